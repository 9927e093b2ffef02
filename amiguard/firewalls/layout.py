"""What amiguard's table consists of: names of sets, their rules and their order, as messages; see `nftables.py`."""

from __future__ import annotations

import re
from collections.abc import Iterable

from amiguard.firewalls.elements import Kept, intervals, refill
from amiguard.firewalls.netlink import Message
from amiguard.firewalls.nftmessages import (
    FAMILIES,
    AddressSet,
    Verdict,
    delete_rules,
    new_chain,
    new_set,
    new_table,
    source_rule,
)
from amiguard.model import Target

CHAIN = "prerouting"
BANNED_SET = re.compile(r"banned([46])(?:_([0-9]{1,3}))?")


def banned_set(kept: Kept) -> AddressSet:
    """Return the set of banned single addresses (`banned4`), or of networks of one prefix length (`banned4_24`)."""
    version, prefix = kept
    return AddressSet(f"banned{version}" if prefix is None else f"banned{version}_{prefix}", version, prefix)


def kept_of(name: str) -> Kept | None:
    """Return which bans are in a set of this name; None: none are."""
    match = BANNED_SET.fullmatch(name)
    if match is None:
        return None
    version, prefix = int(match[1]), None if match[2] is None else int(match[2])
    return (version, prefix) if prefix is None or prefix < FAMILIES[version].length * 8 else None


def allow_set(version: int) -> AddressSet:
    """Return the set of networks that are never dropped."""
    return AddressSet(f"allow{version}", version)


def layout(table: str, kept: Iterable[Kept], allow: Iterable[Target]) -> list[Message]:
    """Return the one transaction that makes, adopts or repairs a table: bans are kept, rules and allowlist replaced."""
    return [
        new_table(table),
        *(new_set(table, allow_set(version), {"NFT_SET_INTERVAL"}) for version in FAMILIES),
        *sets(table, kept),
        new_chain(table, CHAIN),
        *rules(table, kept),
        *allowances(table, allow),
    ]


def allowances(table: str, allow: Iterable[Target]) -> list[Message]:
    """Return what replaces the elements of both allow sets."""
    allowed = intervals(allow)
    return [message for version in FAMILIES for message in refill(table, allow_set(version).name, allowed[version])]


def sets(table: str, kept: Iterable[Kept]) -> list[Message]:
    """Return what makes the sets of bans that are missing."""
    return [new_set(table, banned_set(one), {"NFT_SET_TIMEOUT"}) for one in sorted(kept, key=_order)]


def rules(table: str, kept: Iterable[Kept]) -> list[Message]:
    """Return what replaces the rules; allow comes first."""
    return [
        delete_rules(table, CHAIN),
        *(source_rule(table, CHAIN, allow_set(version), Verdict.ACCEPT) for version in FAMILIES),
        *(source_rule(table, CHAIN, banned_set(one), Verdict.DROP) for one in sorted(kept, key=_order)),
    ]


def _order(kept: Kept) -> tuple[int, int]:
    """By version, in each the narrowest first."""
    version, prefix = kept
    return version, -FAMILIES[version].length * 8 if prefix is None else -prefix
