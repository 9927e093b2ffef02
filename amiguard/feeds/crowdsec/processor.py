"""Tells CrowdSec whom this server bans, as a log processor does: each ban is an alert with its decision, each unban
deletes that. What waits is kept in memory, a thousand at most: CrowdSec's own bouncers are no part of this server's
protection."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from itertools import takewhile

from amiguard.errors import FeedError
from amiguard.feeds.crowdsec.decisions import alert, scenario
from amiguard.feeds.crowdsec.lapi import Failing, Lapi, Refused, Unauthorized, lapi
from amiguard.feeds.crowdsec.settings import CrowdSecSettings
from amiguard.journal import Action, Journal
from amiguard.model import Origin
from amiguard.ports import Notice, NoticeKind
from amiguard.retry import Retry
from amiguard.web import where

BATCH = 50
"""Bans in one request."""

RETRY = (1.0, 120.0)
"""Seconds between tries: first and longest, doubled each time, with jitter."""

TRIES = 6
"""Answers such as 500 to the same request before it is given up: it must not hold up the others for ever."""

KINDS = frozenset({NoticeKind.BAN, NoticeKind.UNBAN})


class Processor:
    """A `ports.Notifier`."""

    def __init__(self, settings: CrowdSecSettings, journal: Journal) -> None:
        self._settings = settings
        self._journal = journal
        self._waiting: deque[Notice] = deque()
        self._posted = asyncio.Event()
        self._sent = self._lost = self._dropped = self._failures = 0
        self._failing = ""

    def post(self, notice: Notice) -> None:
        """Take a ban or an unban of this server's own."""
        if notice.kind in KINDS and notice.ban is not None and notice.ban.origin is not Origin.FLEET:
            if len(self._waiting) >= self._settings.waiting:
                self._waiting.popleft()
                self._dropped += 1
            self._waiting.append(notice)
            self._posted.set()

    def status(self) -> Mapping[str, object]:
        """Tell how it goes; see `ports.Notifier`."""
        return {
            "name": "crowdsec",
            "where": where(self._settings.url),
            "waiting": len(self._waiting),
            "sent": self._sent,
            "lost": self._lost,
            "error": self._failing,
        }

    async def run(self) -> None:
        """Deliver until cancelled."""
        retry = Retry(*RETRY)
        while True:
            try:
                async with lapi(self._settings) as opened:
                    while True:
                        self._posted.clear()
                        while self._waiting:
                            await self._deliver(opened)
                            retry.reset()
                        await self._posted.wait()
            except FeedError as error:
                self._failed(error)
                await asyncio.sleep(max(error.wait, retry.next()))

    async def drain(self, grace: float) -> None:
        """Deliver what waits, for at most `grace` seconds; what is left then is lost."""
        if not self._waiting:
            return
        try:
            async with asyncio.timeout(grace), lapi(self._settings) as opened:
                while self._waiting:
                    await self._deliver(opened)
        except TimeoutError:
            pass  # told below
        except FeedError as error:
            self._failed(error)
        self._tell_of_dropped()
        if self._waiting:
            self._lose("amiguard ends; what waits is lost", len(self._waiting))

    def hand_on(self, successor: Processor) -> None:
        """Let `successor` tell what waits: other settings are in force. Called once `run` has ended."""
        successor._waiting.extendleft(reversed(self._waiting))
        self._waiting.clear()

    # ----------------------------------------------------------------------------------------------------------------

    async def _deliver(self, opened: Lapi) -> None:
        """Hand the oldest over: several bans at once, unbans in their order between them. Raises FeedError."""
        first = self._waiting[0]
        batch = [first]
        if first.kind is NoticeKind.BAN:
            batch = list(takewhile(lambda notice: notice.kind is NoticeKind.BAN, self._waiting))[:BATCH]
        try:
            await self._tell(opened, batch)
        except Failing as error:
            self._failures += 1
            if self._failures < TRIES:
                raise
            self._give_up(batch, error)
        except Refused as error:
            self._give_up(batch, error)
        else:
            self._remove(batch)
            self._failures = 0
            self._sent += len(batch)
            if self._failing:
                self._failing = ""
                self._journal.write(Action.CROWDSEC_RECOVERED, waiting=len(self._waiting))
        self._tell_of_dropped()

    async def _tell(self, opened: Lapi, batch: list[Notice]) -> None:
        try:
            await self._tell_once(opened, batch)
        except Unauthorized:  # a token lasts for an hour
            await opened.login()
            await self._tell_once(opened, batch)

    async def _tell_once(self, opened: Lapi, batch: list[Notice]) -> None:
        bans = [notice.ban for notice in batch if notice.ban is not None]
        if batch[0].kind is NoticeKind.BAN:
            settings = self._settings
            await opened.tell([alert(ban, settings.origin, settings.version) for ban in bans])
        else:
            (ban,) = bans
            await opened.lift(ban.target, scenario(ban))

    def _give_up(self, batch: list[Notice], error: FeedError) -> None:
        self._remove(batch)
        self._failures = 0
        self._failing = str(error)
        self._lose("given up", len(batch), error=error)

    def _remove(self, batch: list[Notice]) -> None:
        for notice in batch:
            if self._waiting and self._waiting[0] is notice:  # else it was dropped meanwhile
                self._waiting.popleft()

    def _lose(self, why: str, count: int, **fields: object) -> None:
        self._lost += count
        self._journal.write(Action.CROWDSEC_FAILED, why, count=count, **fields)

    def _tell_of_dropped(self) -> None:
        if self._dropped:
            dropped, self._dropped = self._dropped, 0
            self._lose("too many wait; the oldest are dropped", dropped)

    def _failed(self, error: FeedError) -> None:
        self._tell_of_dropped()
        if str(error) != self._failing:
            self._failing = str(error)
            self._journal.write(Action.CROWDSEC_FAILED, "will be tried again", waiting=len(self._waiting), error=error)
