"""Tells CrowdSec whom this server bans, as a log processor does: each ban is an alert with its decision, each unban
deletes that. What waits is kept in memory, a thousand at most: CrowdSec's own bouncers are no part of this server's
protection."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from itertools import islice, takewhile

from amiguard.feeds.crowdsec.decisions import alert, scenario
from amiguard.feeds.crowdsec.lapi import Failing, Lapi, Refused, Unauthorized, lapi
from amiguard.feeds.crowdsec.settings import CrowdSecSettings
from amiguard.journal import Action, Journal
from amiguard.model import Origin
from amiguard.override import override
from amiguard.ports import Notice, NoticeKind
from amiguard.queued import Fault, QueuedNotifier
from amiguard.web import where

BATCH = 50
"""Bans in one request."""

KINDS = frozenset({NoticeKind.BAN, NoticeKind.UNBAN})


class Processor(QueuedNotifier[Notice, Lapi]):
    """A `ports.Notifier`."""

    name = "crowdsec"

    def __init__(self, settings: CrowdSecSettings, journal: Journal) -> None:
        super().__init__(
            where(settings.url),
            settings.waiting,
            journal,
            failed=Action.CROWDSEC_FAILED,
            recovered=Action.CROWDSEC_RECOVERED,
        )
        self._settings = settings

    def post(self, notice: Notice) -> None:
        """Take a ban or an unban of this server's own."""
        if notice.kind in KINDS and notice.ban is not None and notice.ban.origin is not Origin.FLEET:
            self._put(notice)

    @override
    def _open(self) -> AbstractAsyncContextManager[Lapi]:
        return lapi(self._settings)

    @override
    def _batch(self) -> Sequence[Notice]:
        """Return several bans, or one unban: both in their order."""
        bans = takewhile(lambda notice: notice.kind is NoticeKind.BAN, self._waiting)
        return list(islice(bans, BATCH)) or [self._waiting[0]]

    @override
    async def _hand_over(self, line: Lapi, batch: Sequence[Notice]) -> None:
        try:
            await self._tell(line, batch)
        except Unauthorized:  # a token lasts for an hour
            await line.login()
            await self._tell(line, batch)

    @override
    def _is_final(self, error: Fault) -> bool:
        return isinstance(error, Refused)

    @override
    def _is_answer(self, error: Fault) -> bool:
        return isinstance(error, Failing)

    async def _tell(self, line: Lapi, batch: Sequence[Notice]) -> None:
        bans = [notice.ban for notice in batch if notice.ban is not None]
        if batch[0].kind is NoticeKind.BAN:
            settings = self._settings
            await line.tell([alert(ban, settings.origin, settings.version) for ban in bans])
        else:
            (ban,) = bans
            await line.lift(ban.target, scenario(ban))
