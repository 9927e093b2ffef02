"""Lists as feeds tell them."""

from __future__ import annotations

from collections.abc import Iterable

from amiguard.feeds.reading import Reading
from amiguard.listed import Listed

FAR = 1 << 42
"""An end that no test sees."""


def listed(lines: Iterable[str], end: int = FAR) -> Listed:
    """The list that names these addresses and networks until `end`."""
    reading = Reading(1_000_000)
    reading.feed("".join(f"{line}\n" for line in lines).encode())
    into = Listed()
    for _ in reading.ordered(into):
        pass
    into.renew(end)
    return into
