"""Bans in nftables, over netlink alone: table `inet amiguard`, one chain that sees packets before anybody else does.

    set allow4, allow6             networks that are never dropped; replaced as a whole
    set banned4, banned6           single addresses, each with its own timeout: the kernel ends bans by itself
    set banned4_24, banned6_64...  networks of one prefix length, looked up by the masked source address; made at need
    chain prerouting               accept @allow*, then drop @banned*

A set for each prefix length, and not one set of intervals, because then no two networks can collide: an interval set
refuses one that overlaps another (EEXIST), and its insertions cost milliseconds where a hash takes microseconds. The
ban of a network and those of addresses inside it live and end independently."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Collection, Iterable, Sequence
from errno import ENOENT

from amiguard.errors import FirewallError
from amiguard.firewalls.elements import SINGLE, Kept, add, element, place_of, remove, upsert
from amiguard.firewalls.layout import allowances, banned_set, kept_of, layout, rules, sets
from amiguard.firewalls.netlink import Message, Netlink
from amiguard.firewalls.nftmessages import (
    FAMILIES,
    NFNL_SUBSYS_NFTABLES,
    NLM_F_EXCL,
    delete_table,
    list_sets,
    new_table,
    set_name,
)
from amiguard.firewalls.refusals import explained
from amiguard.model import Ban, Target, Timestamp

BATCH = 500
"""Targets in one transaction: below 64 KiB, for the loop stands still while the kernel works on one."""

Change = Callable[[str, str, Iterable[bytes]], list[Message]]
"""What is done with packed elements: table, set, elements."""


class Nftables:
    """A `ports.Firewall` in the kernel's nf_tables. Needs CAP_NET_ADMIN and nothing else.

    Its errors carry the kernel's number. ENOENT from `ban` or `unban`: the table was removed; `start` restores it."""

    enforces = True

    def __init__(self, table: str = "amiguard") -> None:
        self._table = table
        self._netlink = Netlink(NFNL_SUBSYS_NFTABLES)
        self._kept: set[Kept] = set(SINGLE.values())

    async def start(self, allow: Iterable[Target], bans: Sequence[Ban], now: Timestamp) -> None:
        """Lay out the table in one transaction that keeps every ban it holds, then put `bans` into it.

        Until that transaction is done the old layout stands, and from then on the new one: no packet passes in between.

        Raises:
            FirewallError: see `ports.Firewall`; EEXIST or EOPNOTSUPP: a table of this name is there and not amiguard's.
        """
        found = await self._kept_by_kernel()
        self._kept |= found or set()
        await self._commit(layout(self._table, self._kept, allow))
        await self._put(bans, now, upsert if found is not None else add)

    async def allow(self, targets: Iterable[Target]) -> None:
        """Replace the networks that are never dropped in one transaction: no packet meets half of them."""
        await self._commit(allowances(self._table, targets))

    async def ban(self, bans: Sequence[Ban], now: Timestamp) -> None:
        """Drop these targets for what remains of their bans at `now`; nothing remains: skipped.

        Of two bans of one target the later in `bans` counts. Many are done in several transactions."""
        await self._put(bans, now, upsert)

    async def _put(self, bans: Sequence[Ban], now: Timestamp, change: Change) -> None:
        for begin in range(0, len(bans), BATCH):
            if begin:
                await asyncio.sleep(0)
            packed: dict[Kept, dict[bytes, bytes]] = {}
            for ban in bans[begin : begin + BATCH]:
                remaining = ban.remaining(now)
                if remaining != 0:
                    kept, key = place_of(ban.target)
                    packed.setdefault(kept, {})[key] = element(key, remaining)
            if packed:
                messages = self._growth(packed)
                for kept, elements in packed.items():
                    messages += change(self._table, banned_set(kept).name, elements.values())
                await self._commit(messages)

    async def unban(self, targets: Sequence[Target]) -> None:
        """Let these targets through again. The ban of a network that holds one of them is another ban, and stays."""
        for begin in range(0, len(targets), BATCH):
            if begin:
                await asyncio.sleep(0)
            packed: dict[Kept, dict[bytes, bytes]] = {}
            for target in targets[begin : begin + BATCH]:
                kept, key = place_of(target)
                if kept in self._kept:
                    packed.setdefault(kept, {})[key] = element(key, None)
            messages: list[Message] = []
            for kept, elements in packed.items():
                messages += remove(self._table, banned_set(kept).name, elements.values())
            if messages:
                await self._commit(messages)

    async def close(self) -> None:
        """Free the socket; the bans stay in the kernel."""
        await self._netlink.close()

    def _growth(self, wanted: Collection[Kept]) -> list[Message]:
        """Return what makes the sets of prefix lengths that are new.

        All rules are written anew, so that two calls at once can't leave one twice or drop the other's. The table is
        not made here: where it vanished, so did the allowlist, and only `start` brings both back. What is refused stays
        on the list: the next ban that needs it meets ENOENT, and `start` lays it out."""
        if self._kept.issuperset(wanted):
            return []
        self._kept.update(wanted)
        return [*sets(self._table, self._kept), *rules(self._table, self._kept)]

    async def _kept_by_kernel(self) -> set[Kept] | None:
        """Return the prefix lengths whose sets an earlier process left in the table; None = there is no table."""
        try:
            bodies = await self._netlink.dump(list_sets(self._table))
        except FirewallError as error:
            if error.errno == ENOENT:
                return None
            raise explained(error, self._table) from error
        return {kept for body in bodies if (kept := kept_of(set_name(body)))}

    async def _commit(self, messages: Sequence[Message]) -> None:
        try:
            await self._netlink.commit(messages)
        except FirewallError as error:
            raise explained(error, self._table) from error


async def probe() -> str:
    """Try everything that `Nftables` needs on a table of its own that is gone before anybody can see it.

    Returns:
        One line on what the kernel can do.

    Raises:
        FirewallError: it can't, or may not; the message names the missing capability or kernel module.
    """
    table = f"amiguard_probe_{os.getpid()}"
    kept: list[Kept] = [*SINGLE.values(), (4, 24), (6, 64)]
    allow = [Target("192.0.2.0/24"), Target("2001:db8::/32")]
    ban = element(bytes(FAMILIES[4].length), 1000)
    netlink = Netlink(NFNL_SUBSYS_NFTABLES)
    try:
        await netlink.commit(
            [
                new_table(table, NLM_F_EXCL),
                *layout(table, kept, allow),
                *upsert(table, banned_set(SINGLE[4]).name, [ban]),
                delete_table(table),
            ]
        )
    except FirewallError as error:
        raise explained(error, table) from error
    finally:
        await netlink.close()
    return "nf_tables: atomic changes, bans that end by themselves, networks and allowlists, for IPv4 and IPv6"
