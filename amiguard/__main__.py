"""`python -m amiguard` is `amiguard`."""

from amiguard.cli import main

main()
