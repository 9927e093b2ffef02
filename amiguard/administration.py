"""What the administrator asks of a running guard: how it goes, who is banned, and to change that."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from itertools import chain

from amiguard.alerting import Alerting
from amiguard.allowlist import Allowlist
from amiguard.answers import covering
from amiguard.enforcement import Enforcement
from amiguard.errors import BanRefused, FirewallError
from amiguard.exemptions import Exemptions
from amiguard.histogram import Histogram
from amiguard.judge import Judge
from amiguard.listing import Listing
from amiguard.lists import Feed
from amiguard.measurements import Measurements
from amiguard.model import Address, Allowed, AllowOrigin, Ban, Drops, Evidence, Origin, Reason, Target
from amiguard.nodes import Fleet
from amiguard.offenders import offender
from amiguard.ports import Clock, Country, Notifier, Source
from amiguard.presence import Presence
from amiguard.recorder import Recorder
from amiguard.rules.networks import pieces
from amiguard.timeline import Timeline


class Administration:
    """Answers for a guard whose parts it is given; the control interface asks it."""

    def __init__(
        self,
        *,
        judge: Judge,
        enforcement: Enforcement,
        allowlist: Allowlist,
        exemptions: Exemptions,
        presence: Presence,
        recorder: Recorder,
        alerting: Alerting,
        notifiers: Sequence[Notifier],
        clock: Clock,
        listing: Listing,
        timeline: Timeline,
        fleet: Fleet | None = None,
    ) -> None:
        self.feeds: list[Feed] = []
        """The lists of others; a reload may name others."""
        self.listing = listing
        self.timeline = timeline
        self.sources: list[Source] = []
        self.lag = Histogram()
        """How late the event loop was."""
        self.country: Country | None = None
        """Tells countries, where there is a database of them."""
        self.protecting = False
        """Whether the firewall was laid out: nothing is protected before."""
        self._judge = judge
        self._enforcement = enforcement
        self._allowlist = allowlist
        self._exemptions = exemptions
        self._presence = presence
        self._recorder = recorder
        self._alerting = alerting
        self._notifiers = notifiers
        self._clock = clock
        self.fleet = fleet
        """The other nodes, if there are any; a reload may name others."""
        self._started = clock()
        self._looking_up = asyncio.Lock()

    @property
    def default_bantime(self) -> int | None:
        """How long a manual ban lasts when nobody says, in milliseconds; None = permanent."""
        return self._judge.rules.policy.bantime

    @property
    def ready(self) -> bool:
        """Whether the firewall is in place, takes bans, and at least one source is up."""
        up = any(source.status().get("up") for source in self.sources)
        return self.protecting and up and not self._enforcement.failing

    def bans(self) -> Sequence[Ban]:
        """Return the running bans, in the order in which they were set."""
        return list(self._enforcement.active.values())

    def find(self, target: Target) -> Ban | None:
        """Return the running ban of this very target."""
        return self._enforcement.active.get(target)

    async def offender(self, address: Address) -> dict[str, object]:
        """Return everything that is known of an address, JSON-able; see `offenders.offender`."""
        targets = [ban.target for ban in covering(address, self.find)]
        drops, countries = await self.drops(targets), await self.countries([address, *targets])
        return offender(
            address,
            self._judge.rules,
            self._enforcement,
            self._allowlist,
            self._clock(),
            drops=drops,
            countries=countries,
            listed=self.listing.around(address),
        )

    @property
    def dropped(self) -> Drops:
        """What the kernel dropped in all, as of some seconds ago."""
        return self._enforcement.dropped

    async def drops(self, targets: Sequence[Target]) -> Mapping[Target, Drops]:
        """Return what the kernel dropped of those of these that are banned; of nobody without `FIREWALL_COUNTERS`."""
        try:
            return await self._enforcement.firewall.drops(targets)
        except FirewallError:
            return {}

    async def countries(self, targets: Sequence[Target]) -> Mapping[Target, str]:
        """Return the codes of the countries of those of these of which it is known."""
        country = self.country
        if country is None:
            return {}
        async with self._looking_up:  # the database is for one thread at a time
            return await asyncio.to_thread(lambda: {one: code for one in targets if (code := country(one))})

    async def ban(self, target: Target, bantime: int | None, comment: str, *, force: bool = False) -> Ban:
        """Ban for `bantime` milliseconds (None = permanent); return after the kernel's acknowledgement.

        `force` first takes back what `allow` allowed in the target, and bans a network although some of it is allowed:
        that part is still let through, for in the kernel allow stands before drop. Who was learned is banned then.

        Raises:
            BanRefused: it is allowed, wholly or in part, or a known phone or a trunk is there; with `force`, all of it
                still is allowed, so a ban would drop nothing.
            FirewallError: the kernel refused.
        """
        inside = self._allowlist.inside(target)
        taken_back = [entry for entry in inside if force and entry.origin in {AllowOrigin.RUNTIME, AllowOrigin.FLEET}]
        self._refuse_allowed(target, taken_back, force=force)
        for entry in taken_back:
            await self._exemptions.disallow(entry.target)
        now = self._clock()
        until = None if bantime is None else now + bantime
        earlier = self._enforcement.history.earlier(target)
        return await self._enforcement.ban(
            Ban(target, now, until, Reason.MANUAL, Origin.MANUAL, Evidence.CONNECTED, earlier=earlier, comment=comment)
        )

    def _refuse_allowed(self, target: Target, taken_back: Sequence[Allowed], *, force: bool) -> None:
        """Raises BanRefused."""
        allowed = [entry for entry in self._allowlist.around(target) if entry not in taken_back]
        if allowed:
            raise BanRefused(f"{target} is never banned: {_why(allowed[0])}")
        if force:
            return
        allowed = self._allowlist.inside(target)
        if allowed:
            raise BanRefused(f"{allowed[0].target} in {target} is never banned: {_why(allowed[0])}")
        learned = self._presence.within(target, self._clock())
        if learned:
            raise BanRefused(f"a phone that has logged in, or a trunk, is at {learned[0]}")

    async def allow(self, target: Target, comment: str) -> list[Ban]:
        """Never ban a target, over restarts too, until `disallow`; return the bans that this lifted.

        Raises:
            FirewallError: the kernel refuses just now. It is remembered all the same, and tried again.
        """
        return await self._exemptions.allow(target, comment)

    async def disallow(self, target: Target) -> bool:
        """Take back what `allow` did; False = there is no such entry of an administrator.

        Raises:
            FirewallError: the kernel refuses just now, and lets the target through until it takes the change.
        """
        return await self._exemptions.disallow(target)

    def allowed(self) -> Sequence[Allowed]:
        """Return who is never banned, and who says so; and who was learned, and is spared some bans."""
        now = self._clock()
        phones = (phone for phone in self._presence if phone.until > now)
        trunks = self._presence.trunks().items()
        return [
            *self._allowlist,
            *(Allowed(phone.address, AllowOrigin.LEARNED, phone.account, phone.until) for phone in phones),
            *(Allowed(one, AllowOrigin.LEARNED, f"trunk {name}") for name, addresses in trunks for one in addresses),
        ]

    async def unban(self, target: Target) -> Ban | None:
        """Let a target through again and forget its failures; None = it was not banned. The ban of a network is lifted
        with all pieces in which it was put in.

        Raises:
            FirewallError: the kernel refused.
        """
        bans = chain(self._enforcement.active.values(), self._enforcement.waiting.values())
        lifted = await self._enforcement.unban([target, *pieces(target, bans)], Origin.MANUAL)
        self._judge.rules.forget(target)
        return lifted[0]._replace(target=target) if lifted else None

    async def unban_all(self) -> int:
        """Let everybody through again; return how many bans that were.

        Raises:
            FirewallError: the kernel refused.
        """
        targets = [*self._enforcement.active, *self._enforcement.waiting]
        return len(await self._enforcement.unban(targets, Origin.MANUAL)) if targets else 0

    def status(self) -> dict[str, object]:
        """Return how it goes, JSON-able."""
        counters = self._judge.counters
        return {
            "ready": self.ready,
            "uptime": (self._clock() - self._started) // 1000,
            "sources": [dict(source.status()) for source in self.sources],
            "firewall": {
                "up": not self._enforcement.failing,
                "error": self._enforcement.failing,
                "enforces": self._enforcement.firewall.enforces,
            },
            "dropped": self.dropped._asdict(),
            "store": {
                "up": not self._recorder.failing,
                "error": self._recorder.failing,
                "waiting": self._recorder.waiting,
            },
            "notifiers": [dict(notifier.status()) for notifier in self._notifiers],
            "fleet": None if self.fleet is None else dict(self.fleet.status()),
            "feeds": [{"name": feed.name, **feed.status(), **self.listing.status(feed.name)} for feed in self.feeds],
            "bans": {"active": len(self._enforcement.active), "waiting": len(self._enforcement.waiting)},
            "jail": {"tracked": len(self._judge.rules.jail), "evicted": self._judge.rules.jail.evicted},
            "totals": {
                "events": counters.events,
                "failures": counters.failures,
                "injections": counters.injections,
                "bans": counters.bans,
                "skipped": counters.skipped,
                "after_ban": counters.after_ban,
            },
        }

    async def measure(self) -> Measurements:
        """Return everything that is counted or measured, for graphs."""
        try:
            drops = await self._enforcement.firewall.total_drops()
        except FirewallError:
            drops = None  # the firewall's own state tells that it fails
        return Measurements(
            status=self.status(),
            reasons=self._judge.counters.reasons,
            alerts=self._alerting.counts,
            capacity=self._judge.rules.jail.capacity,
            memory=self._judge.rules.memory(),
            latency=self._enforcement.latency,
            lag=self.lag,
            tasks=len(asyncio.all_tasks()),
            drops=drops,
            feed_drops=await self.listing.dropped(),
        )


def _why(entry: Allowed) -> str:
    """Say who allowed it, and so how to change that."""
    match entry.origin:
        case AllowOrigin.SETTINGS:
            return f"{entry.target} stands in AMIGUARD_IGNOREIP"
        case AllowOrigin.NAME:
            return f"{entry.comment} in AMIGUARD_IGNOREIP stands for it"
        case AllowOrigin.FLEET:
            return f"an administrator allowed {entry.target} on {entry.node}"
        case AllowOrigin.SELF:
            return f"{entry.comment}, see AMIGUARD_IGNORESELF"
        case _:
            return f"an administrator allowed {entry.target}"
