"""What the core asks of lists that others keep, and of where they are put: ports, as those of `ports.py`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from amiguard.listed import Listed, Width
from amiguard.model import Drops, Timestamp


@dataclass(frozen=True, slots=True)
class Delta:
    """How a list changes."""

    put: Sequence[tuple[Width, int, Timestamp]] = ()
    """Networks that it names from now on, by the bits that their prefix fixes; and until when."""
    take: Sequence[tuple[Width, int]] = ()
    """Networks that it names no more."""


class Lists(Protocol):
    """What lists name, in sets of their own beside those of the bans: never over what is allowed, and sparing the
    answers to what this server asked. Every method returns after the kernel's acknowledgement and raises
    `FirewallError`; what is put in ends by itself, in the kernel."""

    async def replace(self, name: str, listed: Listed, now: Timestamp) -> None:
        """Have a list name these and nobody else, all at once; what both name is dropped throughout."""

    async def change(self, name: str, delta: Delta, now: Timestamp) -> None:
        """Have a list name some more, and others no more."""

    async def dropped(self) -> Mapping[str, Drops]:
        """Tell what was dropped for each list."""


class Taker(Protocol):
    """Takes what feeds tell. Nothing here waits or raises."""

    def replace(self, name: str, listed: Listed, told: Mapping[str, object]) -> None:
        """Have a list name these from now on; `told` are fields for the line of the log."""

    async def change(self, name: str, delta: Delta) -> None:
        """Have a list name some more, and others no more; return once it does, though not in the kernel yet."""

    def renew(self, name: str, end: Timestamp) -> None:
        """Have everybody whom a list names be in it until then."""

    def forget(self, name: str) -> None:
        """Have a list name nobody."""


class Feed(Protocol):
    """A list of others, that changes."""

    name: str

    async def run(self) -> None:
        """Keep the list up to date until cancelled. Expected faults are retried inside."""

    def status(self) -> Mapping[str, object]:
        """Tell how it goes, JSON-able: at least `up`, `error`, `age` (seconds since it was had; None = never) and
        `failures`."""
