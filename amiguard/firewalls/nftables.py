"""Bans in nftables, over netlink alone. What the table consists of: `layout.py`."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from errno import ENOENT

from amiguard.errors import FirewallError
from amiguard.firewalls.conntrack import Conntrack
from amiguard.firewalls.elements import SINGLE, Kept, add, element, place_of, remove, upsert
from amiguard.firewalls.layout import (
    COUNTER,
    allowances,
    banned_set,
    kept_of,
    layout,
    lookups,
)
from amiguard.firewalls.netlink import Message, Netlink, Refused
from amiguard.firewalls.nftcounters import (
    NOTHING,
    counted,
    counted_by_element,
    read_counter,
    read_element,
    with_counter,
)
from amiguard.firewalls.nftexpressions import FAMILIES
from amiguard.firewalls.nftmessages import (
    NFNL_SUBSYS_NFTABLES,
    NLM_F_EXCL,
    delete_table,
    list_sets,
    new_table,
    set_name,
)
from amiguard.firewalls.refusals import explained
from amiguard.firewalls.treatment import DROP_ALL, Treatment
from amiguard.model import Ban, Drops, Target, Timestamp

BATCH = 300
"""Targets in one transaction: some 64 KiB, for the loop stands still while the kernel works on one."""
READ_AT_ONCE = 100
"""Elements asked for in one request: the answers must fit into the receive buffer."""

Packed = dict[Kept, dict[bytes, bytes]]
"""Elements by set and key."""


class Nftables:
    """A `ports.Firewall` in the kernel's nf_tables. Needs CAP_NET_ADMIN and nothing else.

    Its errors carry the kernel's number. ENOENT from `ban` or `unban`: the table was removed; `start` restores it."""

    enforces = True

    def __init__(self, table: str = "amiguard", treatment: Treatment = DROP_ALL, *, counters: bool = False) -> None:
        """With `counters` the kernel counts for each ban what it drops: that doubles the memory that a ban takes."""
        self._table = table
        self._treatment = treatment
        self._counters = counters
        self._netlink = Netlink(NFNL_SUBSYS_NFTABLES)
        self._conntrack = Conntrack()
        self._kept: set[Kept] = set(SINGLE.values())

    async def start(self, allow: Iterable[Target], bans: Sequence[Ban], now: Timestamp) -> None:
        """Lay out the table in one transaction that keeps every ban it holds, then put `bans` into it.

        Until that transaction is done the old layout stands, and from then on the new one: no packet passes in between.

        Raises:
            FirewallError: see `ports.Firewall`; EEXIST or EOPNOTSUPP: a table of this name is there and not amiguard's.
        """
        found = await self._kept_by_kernel()
        self._kept |= found or set()
        await self._commit(layout(self._table, self._kept, allow, self._treatment))
        await self._put(bans, now, fresh=found is None)

    async def allow(self, targets: Iterable[Target]) -> None:
        """Replace the networks that are never dropped in one transaction: no packet meets half of them."""
        await self._commit(allowances(self._table, targets))

    async def ban(self, bans: Sequence[Ban], now: Timestamp) -> None:
        """Drop these targets for what remains of their bans at `now`; nothing remains: skipped.

        Of two bans of one target the later in `bans` counts, and with it its strength. Many are done in several
        transactions, but each target in one: it is never let through in between."""
        await self._put(bans, now, fresh=False)

    async def unban(self, targets: Sequence[Target]) -> None:
        """Let these targets through again. The ban of a network that holds one of them is another ban, and stays."""
        for begin in range(0, len(targets), BATCH):
            if begin:
                await asyncio.sleep(0)
            gone: Packed = {}
            for target in targets[begin : begin + BATCH]:
                for absolute in (True, False):
                    self._take_out(gone, target, absolute)
            if gone:
                await self._commit(self._removals(gone))

    async def interrupt(self, targets: Collection[Target]) -> None:
        """End conversations of UDP that this server was made to begin with these; see `Conntrack`."""
        await self._conntrack.end(targets)

    async def drops(self, targets: Sequence[Target]) -> Mapping[Target, Drops]:
        """Return what was dropped of each of these that is banned, since then; nothing without `counters`."""
        places = [(target, *place_of(target, absolute)) for target in targets for absolute in (True, False)]
        found: dict[Target, Drops] = {}
        for begin in range(0, len(places) if self._counters else 0, READ_AT_ONCE):
            part = places[begin : begin + READ_AT_ONCE]
            asked = [read_element(self._table, banned_set(kept).name, key) for _, kept, key in part]
            for (target, _, _), answer in zip(part, await self._netlink.ask(asked), strict=True):
                told = None if isinstance(answer, Refused) else counted_by_element(answer[0])
                if told is not None:
                    found[target] = told
        return found

    async def total_drops(self) -> Drops:
        """Return what was dropped in all, since the table was made."""
        (answer,) = await self._netlink.ask([read_counter(self._table, COUNTER)])
        if isinstance(answer, Refused):
            raise explained(answer, self._table) from answer
        return counted(answer[0])

    async def close(self) -> None:
        """Free the socket; the bans stay in the kernel."""
        await self._netlink.close()
        await self._conntrack.close()

    async def _put(self, bans: Sequence[Ban], now: Timestamp, *, fresh: bool) -> None:
        """Put bans into their sets; `fresh`: no set has an element yet."""
        for begin in range(0, len(bans), BATCH):
            if begin:
                await asyncio.sleep(0)
            last = {ban.target: ban for ban in bans[begin : begin + BATCH] if ban.remaining(now) != 0}
            known = {} if fresh else await self.drops(list(last))
            packed: Packed = {}
            gone: Packed = {}
            for ban in last.values():
                kept, key = place_of(ban.target, ban.absolute)
                one = element(key, ban.remaining(now))
                if self._counters:
                    one = with_counter(one, known.get(ban.target, NOTHING))
                packed.setdefault(kept, {})[key] = one
                if not fresh:
                    self._take_out(gone, ban.target, not ban.absolute)
            if packed:
                change = add if fresh else upsert
                messages = self._growth(packed)
                for kept, elements in packed.items():
                    messages += change(self._table, banned_set(kept).name, elements.values())
                await self._commit(messages + self._removals(gone))

    def _take_out(self, gone: Packed, target: Target, absolute: bool) -> None:
        kept, key = place_of(target, absolute)
        if kept in self._kept:
            gone.setdefault(kept, {})[key] = element(key, None)

    def _removals(self, gone: Packed) -> list[Message]:
        removals = (remove(self._table, banned_set(kept).name, elements.values()) for kept, elements in gone.items())
        return [message for removal in removals for message in removal]

    def _growth(self, wanted: Collection[Kept]) -> list[Message]:
        """Return what makes the sets of prefix lengths that are new.

        All lookups are written anew, so that two calls at once can't leave one twice or drop the other's. The table is
        not made here: where it vanished, so did the allowlist, and only `start` brings both back. What is refused stays
        on the list: the next ban that needs it meets ENOENT, and `start` lays it out."""
        if self._kept.issuperset(wanted):
            return []
        self._kept.update(wanted)
        return lookups(self._table, self._kept)

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
    kept = [*SINGLE.values(), Kept(4, 24), Kept(6, 64, absolute=False)]
    allow = [Target("192.0.2.0/24"), Target("2001:db8::/32")]
    ban = element(bytes(FAMILIES[4].length), 1000)
    netlink = Netlink(NFNL_SUBSYS_NFTABLES)
    try:
        await netlink.commit(
            [
                new_table(table, NLM_F_EXCL),
                *layout(table, kept, allow, DROP_ALL),
                *upsert(table, banned_set(SINGLE[4, True]).name, [ban]),
                delete_table(table),
            ]
        )
    except FirewallError as error:
        raise explained(error, table) from error
    finally:
        await netlink.close()
    return "nf_tables: atomic changes, bans that end by themselves, networks and allowlists, for IPv4 and IPv6"
