"""Reads many addresses: one a line, from a file or from standard input."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from amiguard.cli.asking import target_of
from amiguard.errors import InvalidAddress
from amiguard.model import Target, parse_target

From = Annotated[
    Path | None,
    typer.Option(
        "--file", metavar="FILE", help="Many: one a line; what follows it, and what follows a #, is left out."
    ),
]

SHOWN = 5
"""Wrong lines that are told."""


def targets_of(address: str | None, file: Path | None) -> list[Target]:
    """Return what ADDRESS, a file, or standard input for `-` names, each once. A wrong line ends it all."""
    if (address is None) is (file is None):
        raise typer.BadParameter("give an ADDRESS, - for standard input, or --file")
    if address is not None and address != "-":
        return [target_of(address)]
    try:
        text = sys.stdin.read() if file is None else file.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise typer.BadParameter(f"can't read {file or 'standard input'}: {error}") from None
    targets: dict[Target, None] = {}
    wrong = []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.partition("#")[0].split()
        if words:
            try:
                targets[parse_target(words[0])] = None
            except InvalidAddress as error:
                wrong.append(f"line {number}: {error}")
    if wrong:
        more = f"; and {len(wrong) - SHOWN} more" if len(wrong) > SHOWN else ""
        raise typer.BadParameter("; ".join(wrong[:SHOWN]) + more)
    return list(targets)
