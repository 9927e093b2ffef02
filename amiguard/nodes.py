"""What nodes of a fleet tell each other, and what the core asks of the fleet. Contracts, as those of `ports.py`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from amiguard.model import Ban, Failure, Target, Timestamp


@dataclass(frozen=True, slots=True)
class Lifted:
    """An administrator of some node let a target through again."""

    target: Target
    at: Timestamp
    node: str = ""
    """Which node told of it; empty = this one, which hears itself in the order in which all hear it."""


@dataclass(frozen=True, slots=True)
class Exempted:
    """An administrator of some node said that a target is never banned."""

    target: Target
    at: Timestamp
    """When; 0 = nobody knows any more, and whoever took it back at any time wins."""
    comment: str = ""
    node: str = ""


@dataclass(frozen=True, slots=True)
class Revoked:
    """An administrator of some node took back that a target is never banned."""

    target: Target
    at: Timestamp
    node: str = ""


Shared = Ban | Lifted | Exempted | Revoked
"""What nodes of a fleet tell each other."""


class Crowd(NamedTuple):
    """Something whose addresses are counted: `most` different ones within `findtime` milliseconds are too many."""

    name: str
    most: int
    findtime: int


class Observation(NamedTuple):
    """A failure that all nodes count together: `maxretry` of its address within `findtime` ms are too many."""

    failure: Failure
    findtime: int
    maxretry: int
    """0 = it is banned already, and counts for its network and its account only."""
    network: Crowd | None = None
    at_once: bool = False
    """Whether its address counts for its network now; else once it has failed too often."""
    account: Crowd | None = None


class Totals(NamedTuple):
    """How many count on all nodes."""

    failures: int
    """Of the address."""
    neighbours: int
    """Of its network; 0 as long as they are not too many."""
    proven: bool
    """Whether a connection proves each of them."""
    attackers: int
    """Addresses that failed on its account."""
    newest: tuple[str, ...]
    """The last of them, if this one made them too many; as other nodes tell them."""


class Participant(Protocol):
    """This node, as the fleet asks and tells it. Nothing of it raises."""

    async def take(self, changes: Sequence[Shared], *, missed: bool) -> None:
        """Apply what other nodes tell, in its order. `missed`: it is not of now, but what was told while this node did
        not listen."""

    def bans(self) -> Iterable[Ban]:
        """Return this node's own running bans, to tell them again to a Redis that lost them."""

    def exempted(self) -> Iterable[Exempted]:
        """Return who is never banned because an administrator of any node said so."""

    def counted(self, observation: Observation, totals: Totals) -> None:
        """Hear how many failures there are on all nodes, after one of this node was counted."""


class Fleet(Protocol):
    """The other nodes. Without them, this one goes on alone."""

    def publish(self, change: Shared) -> None:
        """Take a change of this node for the others. Returns at once, never raises; memory is bounded, and of one
        target only the newest change is kept."""

    def observe(self, observation: Observation) -> None:
        """Take a failure that all nodes count together. Returns at once, never raises; memory is bounded."""

    async def run(self, us: Participant) -> None:
        """Tell and hear until cancelled; expected faults are retried inside."""

    def refuse(self, change: Shared, why: str) -> None:
        """Log and count that a change of another node is not done."""

    def untold(self) -> Sequence[Shared]:
        """Return the changes that the others were not told yet."""

    def status(self) -> Mapping[str, object]:
        """Tell how it goes, JSON-able: at least `up`, `error`, `waiting` and `nodes`."""
