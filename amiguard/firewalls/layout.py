"""What amiguard's table consists of, and the messages that make it. Pure.

    counter dropped                  packets and bytes dropped or rejected; lives as long as the table
    set allow4, allow6               networks that are never dropped; replaced as a whole
    set banned4, banned6             absolute bans of single addresses; each ends by its own timeout, in the kernel
    set banned4_24, banned6_64 ...   the same of networks of one prefix length, by the masked source; made at need
    set unproven4, unproven4_24 ...  the same of bans that spare the answers to what this server asked
    chain refused                    counts, and drops or rejects; but for IPv6's neighbour discovery, without which
                                     this server could neither ask nor refuse anybody on its own link
    set feed_NAME_4_24_0 ...         networks of one prefix length that the list NAME names; in another generation, the
                                     next (`feedsets.py`)
    counter feed_NAME                packets and bytes whose source that list named
    chain feeds                      a lookup for each set of a list
    chain banned, unproven           goto banned4, unproven4 ... by family
    chain banned4, unproven6 ...     a lookup for each set of the family
    chain prerouting           -310  accept @allow*, then jump to banned; before raw, conntrack and DNAT, so that it
                                     also ends established flows, and covers what is forwarded to containers
    chain prerouting_unproven  -150  accept @allow* and answers, then jump to unproven, banned and, if there are lists,
                                     feeds; after conntrack, before DNAT

With ports there is a jump for each range of them, and else one for everything. They are those that the sender named:
DNAT comes later.

A set for each prefix length, and not one set of intervals, because then no two networks can collide: an interval set
refuses one that overlaps another (EEXIST), and its insertions cost milliseconds where a hash takes microseconds. So the
ban of a network and those of networks or addresses inside it live and end independently. IPv4 has 32 lengths and IPv6
128, and that bounds the rules that a packet meets (docs/performance.md)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from amiguard.firewalls.elements import Kept, intervals, refill
from amiguard.firewalls.netlinkformat import Message
from amiguard.firewalls.nftcounters import new_counter
from amiguard.firewalls.nftexpressions import (
    FAMILIES,
    AddressSet,
    Expression,
    accept,
    answer,
    count,
    drop,
    goto,
    jump,
    neighbour_discovery,
    of_family,
    of_protocol,
    reject,
    reset,
    source_in,
    to_ports,
)
from amiguard.firewalls.nftmessages import delete_rules, new_chain, new_rule, new_set, new_table
from amiguard.firewalls.treatment import Treatment
from amiguard.model import Target

COUNTER = "dropped"
REFUSED = "refused"
FEEDS = "feeds"
BANNED_SET = re.compile(r"(banned|unproven)([46])(?:_([0-9]{1,3}))?")


class Strength(NamedTuple):
    """One of the two strengths of bans: how its sets begin and its chain is called, and where packets meet it."""

    name: str
    hook: str
    priority: int
    answers_pass: bool


STRENGTHS = {
    True: Strength("banned", "prerouting", -310, answers_pass=False),
    False: Strength("unproven", "prerouting_unproven", -150, answers_pass=True),
}
"""By `Ban.absolute`."""


Rule = tuple[str, Sequence[Expression]]
"""What it is for, and what it does."""


def banned_set(kept: Kept) -> AddressSet:
    """Return the set of single addresses (`banned4`), or of networks of one prefix length (`banned4_24`)."""
    name = f"{STRENGTHS[kept.absolute].name}{kept.version}"
    return AddressSet(name if kept.prefix is None else f"{name}_{kept.prefix}", kept.version, kept.prefix)


def kept_of(name: str) -> Kept | None:
    """Return which bans are in a set of this name; None: none are."""
    match = BANNED_SET.fullmatch(name)
    if match is None:
        return None
    version, prefix = int(match[2]), None if match[3] is None else int(match[3])
    if prefix is not None and prefix >= FAMILIES[version].length * 8:
        return None
    return Kept(version, prefix, match[1] == STRENGTHS[True].name)


def allow_set(version: int) -> AddressSet:
    """Return the set of networks that are never dropped."""
    return AddressSet(f"allow{version}", version)


def family_chain(strength: Strength, version: int) -> str:
    """Return the chain that looks up sources of an IP version."""
    return f"{strength.name}{version}"


def layout(
    table: str,
    kept: Iterable[Kept],
    allow: Iterable[Target],
    treatment: Treatment,
    flags: int = 0,
    *,
    feeds: Sequence[Message] = (),
    lists: bool = False,
) -> list[Message]:
    """Return the one transaction that makes, adopts or repairs a table: bans are kept, rules and allowlist replaced.

    `feeds` are the messages that fill the chain for lists; `lists` says whether there are any."""
    return [
        new_table(table, owned=flags),
        new_counter(table, COUNTER),
        *(new_set(table, allow_set(version), {"NFT_SET_INTERVAL"}) for version in FAMILIES),
        new_chain(table, REFUSED),
        new_chain(table, FEEDS),
        *(new_chain(table, chain) for strength in STRENGTHS.values() for chain in _chains(strength)),
        *(new_chain(table, strength.hook, strength.priority) for strength in STRENGTHS.values()),
        *replaced(table, REFUSED, _refusal(treatment)),
        *(
            message
            for strength in STRENGTHS.values()
            for message in replaced(table, *_entry(strength, treatment, lists=lists))
        ),
        *(message for strength in STRENGTHS.values() for message in replaced(table, strength.name, _split(strength))),
        *lookups(table, kept),
        *feeds,
        *allowances(table, allow),
    ]


def lookups(table: str, kept: Iterable[Kept]) -> list[Message]:
    """Return what makes the sets of bans that are missing, and all rules that look them up anew."""
    ordered = sorted(kept, key=_order)
    messages = [new_set(table, banned_set(one), {"NFT_SET_TIMEOUT"}) for one in ordered]
    for absolute, strength in STRENGTHS.items():
        for version in FAMILIES:
            sets = [banned_set(one) for one in ordered if (one.absolute, one.version) == (absolute, version)]
            rules = [(f"set {one.name}", source_in(one) + goto(REFUSED)) for one in sets]
            messages += replaced(table, family_chain(strength, version), rules)
    return messages


def allowances(table: str, allow: Iterable[Target]) -> list[Message]:
    """Return what replaces the elements of both allow sets."""
    allowed = intervals(allow)
    return [message for version in FAMILIES for message in refill(table, allow_set(version).name, allowed[version])]


def replaced(table: str, chain: str, rules: Iterable[Rule]) -> list[Message]:
    """Return what writes the rules of a chain anew."""
    return [delete_rules(table, chain), *(new_rule(table, chain, *rule) for rule in rules)]


def _chains(strength: Strength) -> list[str]:
    return [*(family_chain(strength, version) for version in FAMILIES), strength.name]


def _split(strength: Strength) -> list[Rule]:
    """Send each family its own way, so that no packet meets the lookups of the other."""
    return [(f"IPv{version}", of_family(version) + goto(family_chain(strength, version))) for version in FAMILIES]


def _refusal(treatment: Treatment) -> list[Rule]:
    neighbours = ("neighbours", neighbour_discovery() + accept())
    if treatment.verdict == "drop":
        return [neighbours, ("drops", count(COUNTER) + drop())]
    return [
        neighbours,
        ("resets", of_protocol("tcp") + count(COUNTER) + reset()),
        ("rejections", count(COUNTER) + reject()),
    ]


def _entry(strength: Strength, treatment: Treatment, *, lists: bool) -> tuple[str, list[Rule]]:
    """Return the chain that packets meet, and its rules.

    After conntrack absolute bans are looked up once more: a ban may become absolute while a packet is between the two
    chains, and would be in neither set when that packet looks."""
    allowed = [(f"set {one.name}", source_in(one) + accept()) for one in map(allow_set, FAMILIES)]
    answers = [("answers", answer() + accept())] if strength.answers_pass and treatment.answers_pass else []
    ways = [strength.name] if strength is STRENGTHS[True] else [strength.name, STRENGTHS[True].name]
    if lists and strength is STRENGTHS[False]:
        ways.append(FEEDS)
    entries = [
        (f"{ports.protocol} ports {ports.first}-{ports.last}", to_ports(ports) + jump(way))
        for ports in treatment.ports
        for way in ways
    ]
    return strength.hook, [*allowed, *answers, *(entries or [(f"chain {way}", jump(way)) for way in ways])]


def _order(kept: Kept) -> tuple[int, int]:
    """By version, in each the narrowest first."""
    return kept.version, -FAMILIES[kept.version].length * 8 if kept.prefix is None else -kept.prefix
