"""The command line: `amiguard run`, `check`, `status`, ..."""

from __future__ import annotations

import os
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
            command()


def command() -> None:
    """Run any other command. An answer that can't be written, as on a full disk, is told in a line and ends with 1."""
    from amiguard.cli.commands import app
    from amiguard.cli.speaking import NO, complain

    if sys.stdout is None:  # closed by `>&-`: who asks so wants the exit code alone
        sys.stdout = open(os.devnull, "w")  # noqa: PTH123, SIM115 -- it stays open to the end
    try:
        try:
            app(prog_name="amiguard")
        finally:
            sys.stdout.flush()
    except OSError as error:
        sys.stdout = None  # or the interpreter would try once more, and complain
        if not isinstance(error, BrokenPipeError):
            complain(error.strerror or str(error))
        sys.exit(NO)
