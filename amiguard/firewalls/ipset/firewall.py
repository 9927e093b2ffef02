"""Bans in ipset's sets over netlink, dropped by a few rules of iptables."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from errno import ENOENT, EPERM

from amiguard.errors import FirewallError
from amiguard.firewalls.conntrack import Conntrack
from amiguard.firewalls.elements import place_of
from amiguard.firewalls.ipset import format as ipset
from amiguard.firewalls.ipset.chains import Rules, sums
from amiguard.firewalls.ipset.format import NFNL_SUBSYS_IPSET, Key
from amiguard.firewalls.ipset.legacy import LegacyRules
from amiguard.firewalls.ipset.listholdings import ListHoldings
from amiguard.firewalls.ipset.listsets import ListSets
from amiguard.firewalls.ipset.names import BAN_SETS, SetName, allow_set, network_keys, place, spare, targets_at
from amiguard.firewalls.ipset.probing import rules_that_work
from amiguard.firewalls.ipset.refusals import MISSING
from amiguard.firewalls.ipset.rules import NetlinkRules
from amiguard.firewalls.ipset.sets import Sets
from amiguard.firewalls.ipset.watching import Watching
from amiguard.firewalls.netlink import Netlink
from amiguard.firewalls.netlinkcalls import Refused
from amiguard.firewalls.ownership import UNLOCKED, Ownership
from amiguard.firewalls.treatment import DROP_ALL, Treatment
from amiguard.model import Ban, Drops, Target, Timestamp
from amiguard.ports import Interference

BATCH = 1_000
"""Elements in one message: below 64 KiB, for the loop stands still while the kernel works on one."""

ATTEMPTS = 3
"""How often everything is laid out where somebody takes sets or chains away meanwhile."""

Packed = dict[SetName, dict[Key, bytes]]
"""Elements by set and key."""


class Ipset:
    """A `ports.Firewall` of ipset and iptables. Needs CAP_NET_ADMIN, and with iptables-legacy CAP_NET_RAW too.

    ipset knows no transactions, but what is added takes effect at once and nothing is taken out before something else
    stands in its place, so no packet of a banned one passes in between. Time-outs are whole seconds, rounded up."""

    enforces = True
    place = "the sets amiguard4, amiguard6 and so on"

    def __init__(
        self,
        treatment: Treatment = DROP_ALL,
        *,
        counters: bool = False,
        legacy: bool = False,
        feeds: Collection[str] = (),
    ) -> None:
        """With `counters` the kernel counts for each ban. `legacy`: do not try nf_tables. `feeds`: names of lists."""
        self._treatment = treatment
        self._counters = counters
        self._netlink = Netlink(NFNL_SUBSYS_IPSET)
        self._conntrack = Conntrack()
        self._feeds = sorted(feeds)
        self._rules: Rules = (LegacyRules if legacy else NetlinkRules)(treatment, self._feeds)
        self._claim = Ownership("amiguard_ipset", wanted=False)
        self._sets = Sets(self._netlink, counters=counters)
        holdings = ListHoldings()
        self._watching = Watching(holdings)
        self.lists = ListSets(self._sets, holdings, self._dropped, self._feeds)

    async def start(self, allow: Iterable[Target], bans: Sequence[Ban], now: Timestamp) -> None:
        """Make the sets or take up those that are there, then the rules; every ban in them stays.

        Raises:
            FirewallError: see `ports.Firewall`; EEXIST: a set of amiguard's name is of another kind; EPERM: another
                amiguard has them, or the capability is missing.
        """
        await self._be_the_only_one()
        allowed = list(allow)
        for _ in range(ATTEMPTS - 1):
            try:
                await self._lay_out(allowed, bans, now)
            except FirewallError as error:
                if error.errno != ENOENT:
                    raise
            else:
                return
        await self._lay_out(allowed, bans, now)

    async def allow(self, targets: Iterable[Target]) -> None:
        """Replace who is never dropped: new sets are filled and then exchanged for the old ones."""
        keys: dict[int, list[Key]] = {4: [], 6: []}
        for target in targets:
            kept, packed = place_of(target, absolute=True)
            full = len(packed) * 8
            keys[kept.version] += network_keys(packed, full if kept.prefix is None else kept.prefix)
        for version, members in keys.items():
            name = allow_set(version)
            await self._sets.make_spare(name, "hash:net", version, counters=False)
            for begin in range(0, len(members), BATCH):
                part = [ipset.element(key) for key in members[begin : begin + BATCH]]
                await self._sets.do(ipset.add(spare(name), part))
            self._watching.keep(name, ())
            await self._sets.exchange(name)
            self._watching.keep(name, members)

    async def ban(self, bans: Sequence[Ban], now: Timestamp) -> None:
        """Drop these targets for what remains of their bans at `now`; nothing remains: skipped."""
        await self._put(bans, now)

    def ban_at_once(self, ban: Ban, now: Timestamp) -> bool:  # noqa: ARG002 -- never done
        """Leave it to `ban`: without transactions it takes several calls, between which nothing else may be put in."""
        return False

    async def unban(self, targets: Sequence[Target]) -> None:
        """Let these targets through again. The ban of a network that holds one of them is another ban, and stays."""
        for begin in range(0, len(targets), BATCH):
            gone: Packed = {}
            for target in targets[begin : begin + BATCH]:
                self._watching.lift(target)
                for absolute in (True, False):
                    self._take_out(gone, target, absolute=absolute)
            await self._delete(gone)
            await asyncio.sleep(0)

    async def interrupt(self, targets: Collection[Target]) -> None:
        """End conversations of UDP that this server was made to begin with these; see `Conntrack`."""
        await self._conntrack.end(targets)

    async def drops(self, targets: Sequence[Target]) -> Mapping[Target, Drops]:
        """Return what was dropped of each of these that is banned, since then; nothing without `counters`.

        ipset tells of no single element, so the sets are read whole."""
        if not self._counters:
            return {}
        wanted: dict[SetName, dict[Key, Target]] = {}
        for target in targets:
            for absolute in (True, False):
                one, keys = place(target, absolute=absolute)
                wanted.setdefault(one, {}).update(dict.fromkeys(keys, target))
        counted: list[tuple[Target, Drops]] = []
        for one, members in wanted.items():

            def note(body: bytes, members: dict[Key, Target] = members) -> bool:
                counted.extend(
                    (members[one.key], Drops(one.packets, one.bytes))
                    for one in ipset.listed(body)
                    if one.key in members
                )
                return False

            await self._netlink.dump(ipset.list_set(one.text), note)
        return sums(counted)

    async def recall(self, take: Callable[[Target, int | None, bool], None]) -> None:
        """Tell `take` of every ban in the sets; see `ports.Firewall`. On a socket of its own: no ban waits for it."""
        aside = Netlink(NFNL_SUBSYS_IPSET, aside=True)
        try:
            for one in BAN_SETS:

                def note(body: bytes, one: SetName = one) -> bool:
                    for key, _, _, left in ipset.listed(body):
                        target, *halved = targets_at(one, key)
                        if not halved:  # half of everything, which ipset can't name
                            take(target, None if left is None else left * 1000, one.absolute)
                            self._watching.recall(one.text, key, left)
                    return False

                with self._watching.recalling():
                    await aside.dump(ipset.list_set(one.text), note)
        finally:
            await aside.close()

    async def total_drops(self) -> Drops:
        """Return what was dropped in all, since the rules were made."""
        counted = (await self._dropped()).values()
        return Drops(sum(one.packets for one in counted), sum(one.bytes for one in counted))

    @property
    def looks(self) -> int:
        """How often it was looked whether everything is in place."""
        return self._watching.looks

    async def watch(self) -> Interference:
        """Return when somebody removed a rule or bans: ipset tells of nothing, so we look."""
        return await self._watching.interference(self._rules.intact, self.ban)

    def lacks(self) -> Sequence[str]:
        """Tell what this way of banning can't do."""
        return [*self._claim.lacks, *self._rules.lacks]

    async def close(self) -> None:
        """Free the sockets and the claim to the sets; the bans stay in the kernel."""
        await self._watching.close()
        await self._claim.close()
        await self._netlink.close()
        await self._conntrack.close()
        await self._rules.close()

    async def withdraw(self) -> None:
        """Let everybody through: remove the rules and the sets. Only after `close`."""
        await self._rules.withdraw()
        for name in [one.text for one in BAN_SETS] + [allow_set(version) for version in (4, 6)]:
            await self._sets.destroy(name)
        await self.lists.withdraw()
        await self.close()

    # ----------------------------------------------------------------------------------------------------------------

    async def _lay_out(self, allow: Iterable[Target], bans: Sequence[Ban], now: Timestamp) -> None:
        self._watching.forget(now)
        allowed = [(allow_set(version), "hash:net", version) for version in (4, 6)]
        for name, kind, version in allowed:
            await self._sets.make(name, kind, version, counters=False)
        await self.allow(allow)
        await self.lists.make()
        fresh = await self._sets.make_all(bans)
        renewed = [] if fresh else [one for one in BAN_SETS if not await self._sets.make_ban_set(one)]
        await self._put(bans, now, renewed, fresh=fresh)
        for one in renewed:
            await self._sets.exchange(one.text)
        names = [*(one.text for one in BAN_SETS), *(name for name, _, _ in allowed), *self.lists.names]
        await self._lay({name: await self._sets.number(name) for name in names})
        await self.lists.remove_strange()

    async def _put(
        self, bans: Sequence[Ban], now: Timestamp, renewed: Collection[SetName] = (), *, fresh: bool = False
    ) -> None:
        """Put bans into their sets; into the spare one of those that are `renewed`. `fresh`: no set has an element."""
        for begin in range(0, len(bans), BATCH):
            wanted: dict[SetName, dict[Key, Ban]] = {}
            gone: Packed = {}
            for ban in {ban.target: ban for ban in bans[begin : begin + BATCH]}.values():
                if ban.until is None or ban.until > now:
                    one, keys = place(ban.target, absolute=ban.absolute)
                    for key in keys:
                        wanted.setdefault(one, {})[key] = ban
                    if not fresh:
                        self._take_out(gone, ban.target, absolute=not ban.absolute)
            for one, elements in wanted.items():
                packed = ipset.elements((key, _seconds(ban, now)) for key, ban in elements.items())
                if not fresh:
                    self._watching.take_out(one.text, elements)
                await self._sets.do(ipset.add(spare(one.text) if one in renewed else one.text, packed))
                self._watching.put(one.text, elements.items(), now)
            await self._delete(gone)
            await asyncio.sleep(0)

    async def _delete(self, gone: Packed) -> None:
        for one, elements in gone.items():
            self._watching.take_out(one.text, elements)
            await self._sets.do(ipset.delete(one.text, elements.values()))
            self._watching.take_out(one.text, elements)  # who waited for the kernel before us booked his only now

    @staticmethod
    def _take_out(gone: Packed, target: Target, *, absolute: bool) -> None:
        one, keys = place(target, absolute=absolute)
        gone.setdefault(one, {}).update({key: ipset.element(key, None) for key in keys})

    async def _be_the_only_one(self) -> None:
        try:
            await self._claim.claim()
        except Refused as error:
            if error.errno == EPERM and error.message is not None:
                raise FirewallError(f"another amiguard bans with ipset here: {error}", EPERM) from error
            if error.errno not in MISSING:
                raise
            self._claim.lacks.append(UNLOCKED)

    async def _dropped(self) -> Mapping[str, Drops]:
        """Return what was dropped, by the name of the set."""
        return await self._rules.dropped()

    async def _lay(self, numbers: Mapping[str, int]) -> None:
        try:
            await self._rules.lay(numbers)
        except FirewallError as error:
            if error.errno not in MISSING or not await self._gives_way():
                raise
            await self._rules.lay(numbers)

    async def _gives_way(self) -> bool:
        """Take rules that the kernel knows, if it lacks what ours are made of; else somebody took something away."""
        if not isinstance(self._rules, NetlinkRules):
            return False
        other = await rules_that_work(self._treatment, self._feeds)
        if (type(other), other.lacks) == (NetlinkRules, self._rules.lacks):
            return False
        await self._rules.close()
        self._rules = other
        return True


def _seconds(ban: Ban, now: Timestamp) -> int:
    """Return what remains of a ban in whole seconds, rounded up; 0 = it has no end."""
    return 0 if ban.until is None else -((now - ban.until) // 1000)
