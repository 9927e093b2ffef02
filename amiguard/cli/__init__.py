"""The command line: `amiguard run`, `check`, `status`, ..."""

from __future__ import annotations

import sys
from pathlib import Path


def main() -> None:
    """Run the command that the arguments name.

    The daemon is started without typer: it would keep it in memory, and the pydantic with which typer reads paths."""
    match sys.argv[1:]:
        case ["run"]:
            from amiguard.cli.starting import start

            sys.exit(start())
        case ["run", "--env-file", path]:
            from amiguard.cli.starting import start

            sys.exit(start(Path(path)))
        case _:
            from amiguard.cli.commands import app

            app(prog_name="amiguard")
