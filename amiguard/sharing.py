"""What this node tells the fleet, and what it does at the word of other nodes: never against its own allowlist."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

from amiguard.allowlist import Allowlist
from amiguard.counting import Counting
from amiguard.enforcement import Enforcement
from amiguard.errors import FirewallError
from amiguard.exemptions import Exemptions
from amiguard.journal import Action, Journal
from amiguard.judge import Judge
from amiguard.model import Allowed, AllowOrigin, Ban, Origin
from amiguard.nodes import Exempted, Fleet, Lifted, Observation, Revoked, Shared, Totals
from amiguard.ports import Clock, Disallowed
from amiguard.quota import ALL_ALLOWED, ALLOWED, Quota
from amiguard.retry import Retry
from amiguard.stepping import in_steps

RETRY = (0.05, 5.0)
"""Seconds between tries while the kernel refuses to lift a ban: first and longest."""

STEP = 100
"""Changes of other nodes that are applied in one step of the loop."""

HEARSAY = {Origin.FLEET, Origin.KERNEL}
"""What this node did not decide, as far as it knows, and so does not tell."""

LITTLE = 10_000
"""Milliseconds by which a ban must end later than the one that runs: who tells it twice prolongs nothing. And by which
one must begin after an unban to stand against it, for how old a message is is not told more exactly."""


class Sharing:
    """Stands between this node, which judges and bans, and the fleet."""

    def __init__(
        self,
        fleet: Fleet,
        enforcement: Enforcement,
        allowlist: Allowlist,
        exemptions: Exemptions,
        judge: Judge,
        *,
        journal: Journal,
        clock: Clock,
    ) -> None:
        self.fleet = fleet
        self._enforcement = enforcement
        self._allowlist = allowlist
        self._exemptions = exemptions
        self._judge = judge
        self._counting = Counting(fleet, enforcement, allowlist, judge)
        self._presence = judge.rules.presence
        self._journal = journal
        self._clock = clock
        self._quota = Quota(enforcement.holds)
        enforcement.ledger.share = self._publish
        exemptions.share = self._publish_allowed
        judge.share = self._counting.observe

    async def run(self) -> None:
        """Tell and hear until cancelled."""
        for ban in self._enforcement.active.values():
            if ban.origin is Origin.FLEET:
                self._quota.book(ban.target, ban.node)
        await self.fleet.run(self)

    def leave(self) -> None:
        """Tell nobody any more, and go by nothing that others allowed."""
        self._enforcement.ledger.share = lambda _: None
        self._exemptions.share = lambda _: None
        self._judge.share = lambda _: None
        self._exemptions.forsake()

    async def take(self, changes: Sequence[Shared], *, missed: bool) -> None:
        """Apply what other nodes tell, in its order. What is taken up after an outage comes at once, and is bounded by
        the bans that a node may hold; what comes now, by a rate too."""
        async for change in in_steps(changes, STEP):
            now = self._clock()
            if not (missed or self._quota.admits(change.node, now)):
                self.fleet.refuse(change, "it tells more changes than a node may")
            else:
                await self._apply(change, now)

    def bans(self) -> Iterable[Ban]:
        """Return the running bans that this node decided."""
        if not self._enforcement.firewall.enforces:
            return ()
        return (ban for ban in list(self._enforcement.active.values()) if ban.origin not in HEARSAY)

    def exempted(self) -> Iterable[Exempted]:
        """Return whom administrators of any node allowed; when, nobody remembers. A dry run does not tell them."""
        enforces = self._enforcement.firewall.enforces
        return [
            Exempted(one.target, 0, one.comment, one.node) for one in self._exemptions.told() if one.node or enforces
        ]

    def counted(self, observation: Observation, totals: Totals) -> None:
        """Go by what was counted together."""
        self._counting.counted(observation, totals)

    # ----------------------------------------------------------------------------------------------------------------

    def _publish_allowed(self, change: Allowed | Disallowed) -> None:
        """Tell whom an administrator of this node allows, and not any more."""
        now = self._clock()
        if isinstance(change, Allowed):
            self._publish(Exempted(change.target, now, change.comment))
        else:
            self._publish(Revoked(change.target, now))

    def _publish(self, change: Shared) -> None:
        """Tell what this node decided itself: so nothing goes round in circles. A dry run decides nothing."""
        if not self._enforcement.firewall.enforces or (isinstance(change, Ban) and change.origin in HEARSAY):
            return
        self.fleet.publish(change)

    async def _apply(self, change: Shared, now: int) -> None:
        match change:
            case Ban():
                self._ban(change, now)
            case Lifted():
                await self._lift(change)
            case Exempted():
                self._allow(change)
            case Revoked():
                known = self._exemptions.find(change.target)
                if known is not None and known.node:
                    self._exemptions.forbid(known, change.node)

    def _allow(self, change: Exempted) -> None:
        """Never ban a target at the word of another node, unless that asks for too much."""
        entry = Allowed(change.target, AllowOrigin.FLEET, change.comment, node=change.node)
        known = self._exemptions.find(change.target)
        if known is not None and (known == entry or not known.node):
            return
        allowing = [one.node for one in self._exemptions.told() if one.node]
        if known is None and (len(allowing) >= ALL_ALLOWED or allowing.count(change.node) >= ALLOWED):
            self.fleet.refuse(change, "it has others allow more than a node may")
        else:
            self._exemptions.permit(entry)

    def _ban(self, ban: Ban, now: int) -> None:
        bans, target = self._enforcement, ban.target
        known = bans.waiting.get(target) or bans.active.get(target)
        if known is not None:
            ban = ban._replace(absolute=ban.absolute or known.absolute)
        if ban.remaining(now) == 0 or (known is not None and not _is_more(ban, known)):
            return
        if self._allowlist.covers(target):
            self._skip(ban, f"{target} is in the allowlist")
        elif self._presence.knows(target, now):
            self._skip(ban, f"a phone that has logged in, or a trunk, is at {target}")
        elif not self._quota.has_room(target, ban.node, now):
            self.fleet.refuse(ban, "it has others ban more than a node may")
        else:
            self._quota.book(target, ban.node)
            bans.submit(ban._replace(earlier=bans.history.earlier(target)))

    async def _lift(self, change: Lifted) -> None:
        """Let through again who was; until the kernel agrees, for what comes after may ban him anew."""
        target, retry = change.target, Retry(*RETRY)
        if change.node and "/" not in target:
            self._judge.rules.forget(target)
        while self._is_to_be_lifted(change):
            try:
                await self._enforcement.unban([target], Origin.FLEET, node=change.node)
            except FirewallError as error:
                text = f"the kernel refused to let {target} through; it is tried again"
                self._journal.write(Action.FIREWALL_FAILED, text, error=error)
                await asyncio.sleep(retry.next())

    def _is_to_be_lifted(self, change: Lifted) -> bool:
        """Whether a ban stands against it that is no newer; what this node decided after its own unban is not."""
        bans = self._enforcement
        ban = bans.waiting.get(change.target) or bans.active.get(change.target)
        if ban is None or ban.since > change.at + LITTLE:
            return False
        return change.node != "" or ban.origin is Origin.FLEET

    def _skip(self, ban: Ban, why: str) -> None:
        self._journal.write(Action.BAN_SKIPPED, why, ban=ban)


def _is_more(ban: Ban, known: Ban) -> bool:
    """Whether a ban lasts longer than the one that runs, or as long and cuts off more."""
    if known.until is not None and (ban.until is None or ban.until > known.until + LITTLE):
        return True
    as_long = ban.until is None or (known.until is not None and ban.until >= known.until - LITTLE)
    return as_long and ban.absolute and not known.absolute
