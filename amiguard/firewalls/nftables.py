"""Bans in nftables, over netlink alone. What the table consists of: `layout.py`."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from errno import EBUSY, ENOENT
from functools import partial

from amiguard.errors import FirewallError
from amiguard.firewalls.bansets import BanSets
from amiguard.firewalls.concessions import concession
from amiguard.firewalls.conntrack import Conntrack
from amiguard.firewalls.elements import SINGLE, Kept, element, place_of, upsert
from amiguard.firewalls.feedsets import FeedSets
from amiguard.firewalls.layout import COUNTER, allowances, banned_set, layout
from amiguard.firewalls.monitor import Monitor
from amiguard.firewalls.netlink import Netlink
from amiguard.firewalls.netlinkcalls import Refused
from amiguard.firewalls.netlinkformat import Message
from amiguard.firewalls.nftcounters import counted, read_counter
from amiguard.firewalls.nftexpressions import FAMILIES
from amiguard.firewalls.nftmessages import (
    NFNL_SUBSYS_NFTABLES,
    NLM_F_EXCL,
    Kind,
    delete_table,
    is_of,
    kind_of,
    list_parts,
    new_table,
)
from amiguard.firewalls.ownership import Ownership, probe_ownership
from amiguard.firewalls.refusals import explained, explaining
from amiguard.firewalls.treatment import DROP_ALL, Treatment
from amiguard.model import Ban, Drops, Target, Timestamp
from amiguard.ports import Interference

ATTEMPTS = 3
"""How often the layout is begun again because others changed something meanwhile and it is not whole."""
MANY = 1_000
"""Networks that take milliseconds to pack."""

PARTS = {
    Kind.NEWOBJ: Kind.GETOBJ,
    Kind.NEWSET: Kind.GETSET,
    Kind.NEWCHAIN: Kind.GETCHAIN,
    Kind.NEWRULE: Kind.GETRULE,
}
"""What a layout makes, and how to ask for it."""


class Nftables:
    """A `ports.Firewall` in the kernel's nf_tables. Needs CAP_NET_ADMIN and nothing else.

    Its errors carry the kernel's number. ENOENT from `ban` or `unban`: the table was removed; `start` restores it."""

    enforces = True

    def __init__(
        self,
        table: str = "amiguard",
        treatment: Treatment = DROP_ALL,
        *,
        counters: bool = False,
        owner: bool = False,
        feeds: Collection[str] = (),
    ) -> None:
        """With `counters` the kernel counts for each ban what it drops: that doubles the memory that a ban takes.

        With `owner` nobody else may change the table, where the kernel can do that. `feeds` are the names of lists."""
        self._table = table
        self._treatment = treatment
        self._counters = counters
        self._netlink = Netlink(NFNL_SUBSYS_NFTABLES)
        self._conntrack = Conntrack()
        self._bans = BanSets(self._netlink, table, counters=counters)
        self.lists = FeedSets(self._netlink, table, feeds)
        self._lacking: list[str] = []
        self._ownership = Ownership(table, wanted=owner)
        self._monitor = Monitor(table, self._netlink)

    @property
    def place(self) -> str:
        """Which table."""
        return f"nftables: table inet {self._table}"

    async def start(self, allow: Iterable[Target], bans: Sequence[Ban], now: Timestamp) -> None:
        """Lay out the table in one transaction that keeps every ban it holds, then put `bans` into it.

        Until that transaction is done the old layout stands, and from then on the new one: no packet passes in between.

        Raises:
            FirewallError: see `ports.Firewall`; EEXIST or EOPNOTSUPP: a table of this name is there and not amiguard's;
                EPERM: it is another amiguard's; EBUSY: others tear it down as fast as it is laid out.
        """
        allowed = list(allow)
        try:
            with explaining(self._table):
                for _ in range(ATTEMPTS):
                    if await self._stands(allowed, bans, now):
                        return
        except FirewallError:
            self._disturbed()
            raise
        self._disturbed()
        raise FirewallError(f"other programs keep changing the table inet {self._table}", EBUSY)

    async def watch(self) -> Interference:
        """Wait for somebody else to change the table; where it is ours alone, for the loss of the socket that owns it.

        Raises:
            FirewallError: the kernel can't be heard; `start` makes it audible again.
        """
        if not self._ownership.exclusive:
            return await self._monitor.interference()
        await self._netlink.lost.wait()
        self._netlink.lost.clear()
        return Interference("the claim to the table was lost")

    def lacks(self) -> Sequence[str]:
        """Tell what this kernel can't do of what was wanted."""
        return [*self._ownership.lacks, *self._lacking]

    async def allow(self, targets: Iterable[Target]) -> None:
        """Replace the networks that are never dropped in one transaction: no packet meets half of them.

        To pack a hundred thousand takes half a second, in which the loop must not stand still."""
        messages = await asyncio.to_thread(allowances, self._table, list(targets))
        with explaining(self._table):
            await self._netlink.commit(messages)

    async def ban(self, bans: Sequence[Ban], now: Timestamp) -> None:
        """Drop these targets for what remains of their bans at `now`; nothing remains: skipped.

        Of two bans of one target the later in `bans` counts, and with it its strength. Many are done in several
        transactions, but each target in one: it is never let through in between."""
        with explaining(self._table):
            await self._bans.put(bans, now, fresh=False)

    def ban_at_once(self, ban: Ban, now: Timestamp) -> bool:
        """Do as `ban` in this very step; False: nothing was done, for another call is under way."""
        with explaining(self._table):
            return self._bans.put_at_once(ban, now)

    async def unban(self, targets: Sequence[Target]) -> None:
        """Let these targets through again. The ban of a network that holds one of them is another ban, and stays."""
        with explaining(self._table):
            await self._bans.remove(targets)

    async def interrupt(self, targets: Collection[Target]) -> None:
        """End conversations of UDP that this server was made to begin with these; see `Conntrack`."""
        await self._conntrack.end(targets)

    async def drops(self, targets: Sequence[Target]) -> Mapping[Target, Drops]:
        """Return what was dropped of each of these that is banned, since then; nothing without `counters`."""
        return await self._bans.drops(targets)

    async def recall(self, take: Callable[[Target, int | None, bool], None]) -> None:
        """Tell `take` of every ban in the sets; see `ports.Firewall`."""
        with explaining(self._table):
            await self._bans.recall(take)

    async def total_drops(self) -> Drops:
        """Return what was dropped in all, since the table was made."""
        (answer,) = await self._netlink.ask([read_counter(self._table, COUNTER)])
        if isinstance(answer, Refused):
            raise explained(answer, self._table) from answer
        return counted(answer[0])

    async def close(self) -> None:
        """Free the sockets, and so the table for another amiguard; the bans stay in the kernel."""
        self._disturbed()
        await self._netlink.close()
        await self._conntrack.close()
        await self._ownership.close()

    async def withdraw(self) -> None:
        """Delete the table with every ban in it; one that is gone already is no error."""
        try:
            await self._netlink.commit([delete_table(self._table)])
        except FirewallError as error:
            if error.errno != ENOENT:
                raise explained(error, self._table) from error
        finally:
            await self._netlink.close()

    def _disturbed(self) -> None:
        """Have `watch` tell that not all is in force."""
        self._monitor.close()
        self._netlink.lost.set()

    async def _stands(self, allow: Sequence[Target], bans: Sequence[Ban], now: Timestamp) -> bool:
        """Lay everything out and listen; False: somebody took something away before we listened."""
        since = await self._monitor.leave()
        self._netlink.lost.clear()
        adopted = await self._bans.adopt()
        await self.lists.adopt()
        self._ownership.begin()
        while not await self._claim(allow, bans, now):
            pass
        await self._bans.put(bans, now, fresh=not adopted)
        return self._ownership.exclusive or await self._monitor.rejoin(since) or await self._is_whole(allow)

    async def _claim(self, allow: Sequence[Target], bans: Sequence[Ban], now: Timestamp) -> bool:
        """Make, adopt or repair the table in the strongest way that may work; False: try a weaker one."""
        claim = await self._ownership.claim()
        laid_out = await self._packed(allow)
        try:
            await self._netlink.commit([*claim, *laid_out])
        except Refused as error:
            if self._ownership.needs_a_new_table(error):
                await self._replace(allow, bans, now)
            elif self._ownership.yields(error) or self._gives_way(error, allow):
                return False
            else:
                raise
        return True

    def _gives_way(self, error: Refused, allow: Sequence[Target]) -> bool:
        """Whether to try again with a weaker treatment: the kernel lacks what a rule needs."""
        found = concession(error, self._treatment, partial(self._layout, allow))
        if found is None:
            return False
        self._treatment, lack = found
        self._lacking.append(lack)
        return True

    async def _packed(self, allow: Sequence[Target]) -> list[Message]:
        """Return the layout; a large allowlist is packed in a thread, as in `allow`."""
        if len(allow) < MANY:
            return self._layout(allow, self._treatment)
        return await asyncio.to_thread(self._layout, allow, self._treatment)

    def _layout(self, allow: Sequence[Target], treatment: Treatment) -> list[Message]:
        flags, feeds = self._ownership.flags, self.lists.layout()
        return layout(self._table, self._bans.kept, allow, treatment, flags, feeds=feeds, lists=self.lists.any)

    async def _replace(self, allow: Sequence[Target], bans: Sequence[Ban], now: Timestamp) -> None:
        """Make the table anew, for one that was made without an owner can't be claimed.

        Meanwhile a second one drops in its place, also what only the kernel knows to be banned."""
        bans = [*await self._bans.bans(now), *bans]
        self._bans.kept.update(place_of(ban.target, ban.absolute)[0] for ban in bans)
        deputy = BanSets(self._netlink, f"{self._table}_deputy", self._bans.kept, counters=False)
        await self._netlink.commit(layout(deputy.table, deputy.kept, allow, self._treatment))
        await deputy.put(bans, now, fresh=False)
        claimed = self._layout(allow, self._treatment)
        await self._netlink.commit([delete_table(self._table), *claimed])
        await self._bans.put(bans, now, fresh=False)
        await self._netlink.commit([delete_table(deputy.table)])

    async def _is_whole(self, allow: Sequence[Target]) -> bool:
        """Whether the kernel has as many objects, sets, chains and rules in the table as were laid out."""
        wanted = Counter(message.kind for message in await self._packed(allow))
        for new, get in PARTS.items():
            bodies = await self._netlink.dump(list_parts(get, self._table))
            if sum(is_of(self._table, body) for body in bodies) < wanted[kind_of(new)]:
                return False
        return True


async def probe(treatment: Treatment = DROP_ALL) -> str:
    """Try everything that `Nftables` needs on a table of its own that is gone before anybody can see it.

    Returns:
        One line on what the kernel can do, and what it lacks.

    Raises:
        FirewallError: it can't, or may not; the message names the missing capability or kernel module.
    """
    table = f"amiguard_probe_{os.getpid()}"
    kept = [*SINGLE.values(), Kept(4, 24), Kept(6, 64, absolute=False)]
    allow = [Target("192.0.2.0/24"), Target("2001:db8::/32")]
    ban = upsert(table, banned_set(SINGLE[4, True]).name, [element(bytes(FAMILIES[4].length), 1000)])
    lacking: list[str] = []
    netlink = Netlink(NFNL_SUBSYS_NFTABLES)
    try:
        with explaining(table):
            while True:
                laid_out = layout(table, kept, allow, treatment)
                try:
                    await netlink.commit([new_table(table, NLM_F_EXCL), *laid_out, *ban, delete_table(table)])
                    break
                except Refused as error:
                    found = concession(error, treatment, partial(layout, table, kept, allow))
                    if found is None:
                        raise
                    treatment, lack = found
                    lacking.append(lack)
            owned = await probe_ownership(netlink, table)
    finally:
        await netlink.close()
    can = "nf_tables: atomic changes, bans that end by themselves, networks and allowlists, IPv4 and IPv6"
    return "; ".join([can, owned, *lacking])
