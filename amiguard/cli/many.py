"""Reads many addresses, one a line, from a file or from standard input, and has the same done to each."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from amiguard.cli.asking import asked, target_of
from amiguard.cli.speaking import NO, as_json, complain, say
from amiguard.errors import InvalidAddress
from amiguard.model import Target, parse_target

if TYPE_CHECKING:
    from amiguard.control.client import ControlClient

ANY = "An address, or a network such as 192.0.2.0/24; - = many, from standard input."

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
        why = error.strerror if isinstance(error, OSError) else "it is no text in UTF-8"
        raise typer.BadParameter(f"can't read {file or 'standard input'}: {why}") from None
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


def done(
    targets: Sequence[Target],
    to: ControlClient,
    act: Callable[[ControlClient, Target], Awaitable[dict[str, Any]]],
    tell: Callable[[dict[str, Any]], None],
    *,
    json: bool,
    many: str,
) -> None:
    """Do it to one after the other; of one, tell what came of it, of `many`, how often it came to what."""
    refused = asked(each(targets, to, act, as_json if json else tell if not many else None))
    if many and not json:
        say(f"{many}: {len(targets) - refused}, refused: {refused}")
    if refused:
        raise typer.Exit(NO)


async def each(
    targets: Sequence[Target],
    to: ControlClient,
    act: Callable[[ControlClient, Target], Awaitable[dict[str, Any]]],
    tell: Callable[[dict[str, Any]], None] | None,
) -> int:
    """Do it to one after the other over one connection, and return how many were refused; each is complained about."""
    from amiguard.control import display
    from amiguard.control.client import RequestRefused

    refused = 0
    async with to:
        for target in targets if len(targets) == 1 else display.progress(targets, "addresses"):
            try:
                answer = await act(to, target)
            except RequestRefused as error:
                complain(str(error))
                refused += 1
            else:
                if tell is not None:
                    tell(answer)
    return refused
