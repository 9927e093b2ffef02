"""The command line: `amiguard run`, `check`, `status`, ..."""

from amiguard.cli.commands import app, main

__all__ = ["app", "main"]
