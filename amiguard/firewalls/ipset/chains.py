"""What the rules are, whichever iptables keeps them. Pure.

    raw    PREROUTING -300   to AMIGUARD: neighbour discovery and who is allowed return, absolute bans are dropped
    mangle PREROUTING -150   to AMIGUARD: the same, then answers to this server return, and other bans are dropped,
                             and whom lists name

or, where banned ones are to be told, for iptables rejects nowhere else:

    filter INPUT, FORWARD 0  to AMIGUARD, before all other rules: the same as in mangle, but rejected

The second chain drops absolute bans too, even where they have an answer to give, and once more at its end: a packet may
have passed the first chain, or the look before, just when its source's ban moved.

PREROUTING is before conntrack and DNAT, so what Docker publishes and what is forwarded is covered without a rule in
DOCKER-USER. FORWARD is behind both: there the port that the sender named is asked of conntrack."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple, Protocol, TypeVar

from amiguard.firewalls.ipset.names import BAN_SETS, allow_set, list_set
from amiguard.model import Drops

CHAIN = "AMIGUARD"
NEIGHBOUR_DISCOVERY = (135, 136)
"""ICMPv6 types (RFC 4861): what ARP is to IPv4, without which this server could ask nobody on its own link."""


Verdict = Literal["drop", "reject"]
Name = TypeVar("Name", bound=str)


class Table(NamedTuple):
    """One of iptables' tables, in which of its chains packets meet AMIGUARD, and which bans that refuses."""

    version: int
    name: str
    priority: int
    chains: Sequence[str] = ("PREROUTING",)
    absolute_only: bool = False

    @property
    def behind_dnat(self) -> bool:
        """Whether a packet's port may no longer be the one that its sender named, and others accept established flows.

        So amiguard's rule must be the first of all."""
        return self.chains != ("PREROUTING",)


_TABLES: Mapping[Verdict, Sequence[Table]] = {
    "drop": [
        Table(version, name, priority, absolute_only=absolute)
        for version in (4, 6)
        for name, priority, absolute in (("raw", -300, True), ("mangle", -150, False))
    ],
    "reject": [Table(version, "filter", 0, ("INPUT", "FORWARD")) for version in (4, 6)],
}


def tables(verdict: Verdict) -> Sequence[Table]:
    """Return where the rules stand."""
    return _TABLES[verdict]


def other_tables(verdict: Verdict) -> Sequence[Table]:
    """Return where they may still stand from another time."""
    return _TABLES["drop" if verdict == "reject" else "reject"]


class Step(NamedTuple):
    """One rule of the chain: whom it is about (one of these), and whether he goes on, or is refused in which way."""

    source_in: str = ""
    icmp6: int = 0
    answer: bool = False
    ruling: Literal["return", "drop", "reset", "reject"] = "return"
    """`reset` is about TCP alone."""


def steps(table: Table, feeds: Sequence[str] = (), *, answers_pass: bool = True) -> list[Step]:
    """Return the rules of the chain AMIGUARD in this table, in their order; `feeds` are the names of lists."""
    neighbours = NEIGHBOUR_DISCOVERY if table.version == 6 else ()  # noqa: PLR2004 -- IP's number
    return [
        *(Step(icmp6=kind) for kind in neighbours),
        Step(source_in=allow_set(table.version)),
        *_refusals(table, _bans(table, absolute=True)),
        *([] if table.absolute_only else _unproven(table, feeds, answers_pass=answers_pass)),
    ]


def _unproven(table: Table, feeds: Sequence[str], *, answers_pass: bool) -> list[Step]:
    """Return what refuses all but answers. The absolute bans stand behind it once more: a ban that moves to them is put
    there before it is taken from here, so whoever is no longer met here is met there."""
    listed = [list_set(feed, table.version) for feed in feeds]
    return [
        *([Step(answer=True)] if answers_pass else []),
        *_refusals(table, _bans(table, absolute=False)),
        *_refusals(table, listed),
        *_refusals(table, _bans(table, absolute=True)),
    ]


def _bans(table: Table, *, absolute: bool) -> list[str]:
    return [one.text for one in BAN_SETS if (one.version, one.absolute) == (table.version, absolute)]


def _refusals(table: Table, sets: Sequence[str]) -> list[Step]:
    rulings: Sequence[Literal["drop", "reset", "reject"]] = ("reset", "reject") if table.behind_dnat else ("drop",)
    return [Step(source_in=one, ruling=ruling) for one in sets for ruling in rulings]


def sums(counted: Iterable[tuple[Name, Drops]]) -> dict[Name, Drops]:
    """Return what was counted in all under each name."""
    found: dict[Name, Drops] = {}
    for name, one in counted:
        before = found.get(name, Drops(0, 0))
        found[name] = Drops(before.packets + one.packets, before.bytes + one.bytes)
    return found


class Rules(Protocol):
    """How the rules come into the kernel. All raise `FirewallError`."""

    lacks: Sequence[str]
    """What this way can't do, and what that means, a sentence each."""

    async def lay(self, numbers: Mapping[str, int]) -> None:
        """Put the rules there, anew where there are some; `numbers` are those of the sets, by name."""

    async def intact(self) -> bool:
        """Whether they are there, as far as can be told without starting a program."""

    async def dropped(self) -> Mapping[str, Drops]:
        """Tell what they dropped, by the name of the set; of sets that are gone by the empty name."""

    async def withdraw(self) -> None:
        """Remove them."""

    async def close(self) -> None:
        """Free what is open; the rules stay."""
