"""Tells administrators by mail: gather, look up, write, keep on disk, send; each step bounded, and none in a ban's way.

Two loops, because a server that is away for hours must not stop mails from being written and kept: `_writing` turns
notices into letters of the spool, `Delivery.run` hands those over."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping

from amiguard.errors import NotifierError
from amiguard.journal import Action, Journal
from amiguard.model import Target, Timestamp
from amiguard.notifiers.alerts import Alerts
from amiguard.notifiers.delivery import Delivery
from amiguard.notifiers.digest import Digest, Summary
from amiguard.notifiers.message import Content, Draft, Writer, draft
from amiguard.notifiers.settings import MailSettings
from amiguard.notifiers.smtp import probe
from amiguard.notifiers.spool import Letter, Spool, letter_name
from amiguard.notifiers.whois import Registration, Whois
from amiguard.ports import Clock, Notice, NoticeKind

__all__ = ["Mail", "MailSettings", "probe"]

DRAFTS = 16
LOOKED_UP = 10
"""How many addresses of one digest are looked up."""


class Mail:
    """A `ports.Notifier` that writes mails."""

    def __init__(self, settings: MailSettings, clock: Clock, journal: Journal, whois: Whois | None = None) -> None:
        self._settings = settings
        self._clock = clock
        self._journal = journal
        self._whois = (whois or Whois()) if settings.whois else None
        self._writer = Writer(settings)
        self._spool = Spool(settings.spool, settings.waiting)
        self._delivery = Delivery(settings, self._spool, clock, journal)
        self._digest = Digest(int(settings.digest * 1000))
        self._alerts = Alerts(int(settings.digest * 1000))
        self._drafts: deque[Draft] = deque()
        self._posted = asyncio.Event()
        self._opened = False
        self._last: Timestamp = 0

    def post(self, notice: Notice) -> None:
        """Take a notice. Returns at once, never raises."""
        if notice.kind not in self._settings.events:
            return
        now = self._clock()
        room = len(self._drafts) < DRAFTS
        if notice.ban is not None and not (room and self._digest.at_once(now)):
            self._digest.add(notice.ban)
        elif notice.kind is NoticeKind.ALERT:
            if room and (alert := self._alerts.at_once(notice, now)):
                self._drafts.append(self._draft(alert, now))
            else:
                self._alerts.add(notice, now)
        elif room:
            self._drafts.append(self._draft(notice, now))
        else:
            self._journal.write(Action.MAIL_FAILED, "too many mails wait to be written; one is dropped", count=1)
        self._posted.set()

    async def run(self) -> None:
        """Write and send until cancelled."""
        await self._open()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._writing())
            group.create_task(self._delivery.run())

    async def drain(self, grace: float) -> None:
        """Keep everything on disk, then send for at most `grace` seconds."""
        await self._open()
        self._gather(self._clock(), early=True)
        await self._write_all(look_up=False)
        try:
            async with asyncio.timeout(grace):
                await self._delivery.attempt()
        except TimeoutError:
            pass  # told below
        left = len(await asyncio.to_thread(self._spool.names))
        if left:
            self._journal.write(Action.MAIL_FAILED, "mails wait for the next start", count=left)

    async def _open(self) -> None:
        if self._opened:
            return
        self._opened = True
        try:
            await asyncio.to_thread(self._spool.open)
        except NotifierError as error:
            self._journal.write(Action.MAIL_FAILED, "mails wait in memory only", error=error)

    async def _writing(self) -> None:
        while True:
            self._posted.clear()
            await self._write_all(look_up=True)
            try:
                async with asyncio.timeout(self._until_due()):
                    await self._posted.wait()
            except TimeoutError:
                continue

    async def _write_all(self, *, look_up: bool) -> None:
        """Turn drafts, and what was gathered if it is due, into letters.

        A draft is forgotten only once its letter is kept."""
        self._gather(self._clock())
        while self._drafts:
            current = self._drafts[0]
            registrations = await self._look_up(current) if look_up else {}
            await self._write(current, registrations)
            self._drafts.popleft()

    def _until_due(self) -> float | None:
        """Return in how many seconds the first of what was gathered is due; None = nothing is gathered."""
        now = self._clock()
        waits = [left for left in (self._digest.wait(now), self._alerts.wait(now)) if left is not None]
        return min(waits) / 1000 if waits else None

    def _gather(self, now: Timestamp, *, early: bool = False) -> None:
        """Make drafts of what was gathered and is due, or `early` of all of it."""
        for alert in self._alerts.take(now, early=early):
            self._drafts.append(self._draft(alert, now))
        if (early or self._digest.wait(now) == 0) and (summary := self._digest.take(now)):
            self._drafts.append(self._draft_of(summary))

    def _draft_of(self, summary: Summary) -> Draft:
        """Return a digest's draft; a digest of one ban is better told as a ban."""
        content = Notice(NoticeKind.BAN, summary.until, summary.bans[0]) if summary.count == 1 else summary
        return self._draft(content, summary.until)

    def _draft(self, content: Content, now: Timestamp) -> Draft:
        # No two at the same moment: mails leave in the order of their times.
        self._last = max(now, self._last + 1)
        return draft(content, self._last, self._settings.hostname)

    async def _look_up(self, current: Draft) -> Mapping[Target, Registration]:
        if self._whois is None:
            return {}
        targets = [ban.target for ban in current.bans[:LOOKED_UP]]
        found = await asyncio.gather(*map(self._whois.look_up, targets))
        return {target: one for target, one in zip(targets, found, strict=True) if one is not None}

    async def _write(self, current: Draft, registrations: Mapping[Target, Registration]) -> None:
        def work() -> int:
            content = self._writer.write(current, registrations)
            name = letter_name(current.at, current.kind, current.token)
            return self._spool.add(Letter(name, self._settings.to, content))

        try:
            dropped = await asyncio.to_thread(work)
        except NotifierError as error:
            self._journal.write(Action.MAIL_FAILED, "a mail waits in memory only", count=1, error=error)
        except Exception as error:  # noqa: BLE001 -- one mail that can't be written must not end the others
            self._journal.write(Action.INTERNAL_ERROR, "a mail can't be written", error=error)
        else:
            if dropped:
                self._journal.write(Action.MAIL_FAILED, "the spool is full; the oldest are dropped", count=dropped)
        self._delivery.wake()
