"""What all commands share: exit codes, common options, and how they speak."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, NoReturn

import typer

from amiguard.errors import SettingsError

NO = 1
WRONG = 2
UNREACHABLE = 3

EnvFile = Annotated[
    Path | None, typer.Option("--env-file", help="Read settings from this dotenv file too.", show_default=False)
]
Json = Annotated[bool, typer.Option("--json", help="Answer in JSON.")]


def say(text: str, *, err: bool = False) -> None:
    """Write a line for people."""
    from amiguard.control.display import visible

    typer.echo(visible(text), err=err)


def complain(text: str) -> None:
    """Write a line to standard error."""
    say(f"amiguard: {text}", err=True)


def as_json(value: object) -> None:
    """Write a value as one line of JSON."""
    import json

    typer.echo(json.dumps(value))


def wrong(error: SettingsError) -> NoReturn:
    """End because of settings."""
    for problem in error.problems:
        complain(problem)
    raise typer.Exit(WRONG)
