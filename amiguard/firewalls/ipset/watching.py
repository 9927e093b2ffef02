"""Looks again and again whether bans and rules are still there: of changes to its sets, ipset tells nobody.

What is looked at is one ban of each set, the newest. So an emptied set is noticed at once, whatever its size, and the
look costs some 0.1 ms."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from amiguard.errors import FirewallError
from amiguard.firewalls.ipset import format as ipset
from amiguard.firewalls.ipset.format import LONGEST
from amiguard.firewalls.ipset.names import SetName, place
from amiguard.firewalls.netlink import Netlink, Refused
from amiguard.model import Ban, Target, Timestamp
from amiguard.ports import Interference

INTERVAL = 0.03
"""Seconds between two looks."""

RENEWAL = 24 * 3600 * 1000
"""Milliseconds after which time-outs are set anew that are shorter than their bans: ipset takes no longer ones."""

SOON = 2_000
"""Milliseconds before its end in which a ban that is gone is no surprise."""


class Watching:
    """What was put into the sets, as far as it must be looked after."""

    def __init__(self, netlink: Netlink) -> None:
        self.looks = 0
        self._netlink = netlink
        self._newest: dict[SetName, Ban] = {}
        self._overlong: dict[Target, Ban] = {}
        self._skew = 0
        """By how much the caller's clock is ahead of the loop's, in milliseconds."""
        self._renewed: Timestamp = 0
        self._closed = False

    def put(self, one: SetName, ban: Ban, now: Timestamp) -> None:
        """A ban is about to be put into a set."""
        self._closed = False
        self._skew = now - _steady()
        self._newest[one] = ban
        remaining = ban.remaining(now)
        if remaining is not None and remaining > LONGEST * 1000:
            self._overlong[ban.target] = ban

    def take_out(self, target: Target) -> None:
        """A ban is about to be lifted."""
        self._overlong.pop(target, None)
        self._newest = {one: ban for one, ban in self._newest.items() if ban.target != target}

    async def interference(
        self,
        intact: Callable[[], Awaitable[bool]],
        ban: Callable[[Sequence[Ban], Timestamp], Awaitable[None]],
    ) -> Interference:
        """Wait until rules (`intact`) or bans are gone; set time-outs anew (`ban`) meanwhile.

        Raises:
            FirewallError: the kernel can't be asked, or `close` was called.
        """
        self._closed = False
        while not self._closed:
            if not await intact():
                return Interference("a rule was deleted")
            now = _steady() + self._skew
            emptied = await self._emptied(now)
            if emptied:
                return Interference(f"bans were taken out of the set {emptied}")
            if self._overlong and now - self._renewed > RENEWAL:
                self._renewed = now
                overlong, self._overlong = list(self._overlong.values()), {}
                await ban(overlong, now)
            self.looks += 1
            await asyncio.sleep(INTERVAL)
        raise FirewallError("the sets are no longer looked at")

    def close(self) -> None:
        """End `interference`."""
        self._closed = True

    async def _emptied(self, now: Timestamp) -> str:
        looked_at = {one: ban for one, ban in self._newest.items() if ban.until is None or ban.until > now + SOON}
        if not looked_at:
            return ""
        questions = [
            ipset.test(one.text, ipset.element(place(ban.target, absolute=ban.absolute)[1][0], None))
            for one, ban in looked_at.items()
        ]
        answers = await self._netlink.ask(questions)
        missing = (one.text for one, answer in zip(looked_at, answers, strict=True) if isinstance(answer, Refused))
        gone = next(missing, "")
        if gone:
            await asyncio.sleep(0)  # was it lifted while we asked?
            gone = (
                gone if any(one.text == gone and self._newest.get(one) is ban for one, ban in looked_at.items()) else ""
            )
        return gone


def _steady() -> Timestamp:
    return int(asyncio.get_running_loop().time() * 1000)
