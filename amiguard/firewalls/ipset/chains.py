"""What the rules are, whichever iptables keeps them. Pure.

    raw    PREROUTING -300   to AMIGUARD: neighbour discovery and who is allowed return, absolute bans are dropped
    mangle PREROUTING -150   to AMIGUARD: the same, then answers to this server return, and other bans are dropped

The second chain drops absolute bans too, even where they have an answer to give, and once more at its end: a packet may
have passed the first chain, or the look before, just when its source's ban moved.

Before conntrack and DNAT, so what Docker publishes and what is forwarded is covered without a rule in DOCKER-USER."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from amiguard.firewalls.ipset.names import BAN_SETS, allow_set
from amiguard.model import Drops

CHAIN = "AMIGUARD"
PREROUTING = "PREROUTING"
NEIGHBOUR_DISCOVERY = (135, 136)
"""ICMPv6 types (RFC 4861): what ARP is to IPv4, without which this server could ask nobody on its own link."""


class Table(NamedTuple):
    """One of iptables' tables, where packets meet its chain PREROUTING, and which strength of bans it drops."""

    version: int
    name: str
    priority: int
    absolute: bool


TABLES = tuple(
    Table(version, name, priority, absolute)
    for version in (4, 6)
    for name, priority, absolute in (("raw", -300, True), ("mangle", -150, False))
)


class Step(NamedTuple):
    """One rule of the chain: whom it is about (one of these), and whether he is dropped or goes on."""

    source_in: str = ""
    icmp6: int = 0
    answer: bool = False
    drop: bool = False


def steps(table: Table) -> list[Step]:
    """Return the rules of the chain AMIGUARD in this table, in their order."""
    neighbours = NEIGHBOUR_DISCOVERY if table.version == 6 else ()  # noqa: PLR2004 -- IP's number
    return [
        *(Step(icmp6=kind) for kind in neighbours),
        Step(source_in=allow_set(table.version)),
        *_drops(table.version, absolute=True),
        *([] if table.absolute else _unproven(table.version)),
    ]


def _unproven(version: int) -> list[Step]:
    """Return what drops all but answers. The absolute bans stand behind it once more: a ban that moves to them is put
    there before it is taken from here, so whoever is no longer met here is met there."""
    return [Step(answer=True), *_drops(version, absolute=False), *_drops(version, absolute=True)]


def _drops(version: int, *, absolute: bool) -> list[Step]:
    sets = [one for one in BAN_SETS if (one.version, one.absolute) == (version, absolute)]
    return [Step(source_in=one.text, drop=True) for one in sets]


class Rules(Protocol):
    """How the rules come into the kernel. All raise `FirewallError`."""

    lacks: Sequence[str]
    """What this way can't do, and what that means, a sentence each."""

    async def lay(self, numbers: Mapping[str, int]) -> None:
        """Put the rules there, anew where there are some; `numbers` are those of the sets, by name."""

    async def intact(self) -> bool:
        """Whether they are there, as far as can be told without starting a program."""

    async def dropped(self) -> Drops:
        """Tell what they dropped."""

    async def withdraw(self) -> None:
        """Remove them."""

    async def close(self) -> None:
        """Free what is open; the rules stay."""
