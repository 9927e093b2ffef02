"""The changes that the store is yet to take, in their order, within a bound. Pure.

When too many wait, only the newest of each target is kept, and none of a ban that ended by itself: the store then
misses a ban that is over, never one that runs, nor that somebody was let through. That happens change by change, for
to look through all of them at once would stop the loop."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from itertools import count, islice
from typing import NamedTuple

from amiguard.model import Allowed, Minute, Phone
from amiguard.ports import Change, Disallowed, Ended, Ending, Position, Resolved

MOST = 50_000
"""Changes that wait before one makes room for the next of its target."""

Numbered = tuple[int, Change]
"""A change, and what it is known by here."""


class _Newest(NamedTuple):
    number: int
    lifted: bool
    """Whether a change is left out that let its target through: then the store may know of an older ban."""


class Unwritten:
    """What waits; of one target or file at most one change more while `most` wait."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._numbers = count()
        self._changes: OrderedDict[int, Change] = OrderedDict()
        self._newest: dict[tuple[str, str], _Newest] = {}

    def __len__(self) -> int:
        return len(self._changes)

    def add(self, change: Change) -> None:
        """Take a change; behind all others, so that a position stays behind the bans that it led to."""
        subject, lifted = _subject(change), False
        if len(self._changes) >= self._most:
            known = self._newest.pop(subject, None)
            if known is not None:
                lifted = _is_unban(self._changes.pop(known.number)) or known.lifted
            if _is_over(change) and not lifted:
                return
        number = next(self._numbers)
        self._changes[number] = change
        self._newest[subject] = _Newest(number, lifted)

    def batch(self, size: int) -> list[Numbered]:
        """Return those that are next; they wait on until they are `done`."""
        return list(islice(self._changes.items(), size))

    def done(self, batch: Iterable[Numbered]) -> None:
        """Note that the store took these."""
        for number, change in batch:
            if self._changes.pop(number, None) is None:  # a newer one of its target took its place meanwhile
                continue
            subject = _subject(change)
            if self._newest[subject].number == number:
                del self._newest[subject]


def _subject(change: Change) -> tuple[str, str]:
    """Return what a later change of the same replaces: a kind of thing, and which."""
    match change:
        case Position():
            return "position", change.path
        case Resolved():
            return "name", change.name
        case Minute():
            return "minute", str(change.place)
        case Phone():
            return "phone", f"{change.address} {change.account}"
        case Allowed() | Disallowed():
            return "allowed", change.target
        case _:
            return "ban", change.target


def _is_unban(change: Change) -> bool:
    return isinstance(change, Ended) and change.ending is Ending.UNBAN


def _is_over(change: Change) -> bool:
    """Whether the store finds out by itself, for it knows when a ban ends."""
    return isinstance(change, Ended) and change.ending is Ending.EXPIRE
