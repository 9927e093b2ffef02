"""Tells administrators by mail: gather, look up, write, keep on disk, send; each step bounded, and none in a ban's way.

Two loops, because a server that is away for hours must not stop mails from being written and kept: `_writing` turns
notices into letters of the spool, `Delivery.run` hands those over."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING

from amiguard.errors import NotifierError
from amiguard.journal import Action, Journal
from amiguard.model import Target, Timestamp
from amiguard.notifiers.delivery import Delivery
from amiguard.notifiers.message import Draft, Writer, draft
from amiguard.notifiers.pace import Content, Pace
from amiguard.notifiers.rdap import Registration
from amiguard.notifiers.settings import MailSettings
from amiguard.notifiers.smtp import probe
from amiguard.notifiers.spool import HeldInMemory, Letter, Spool, letter_name
from amiguard.ports import Clock, Country, Notice

if TYPE_CHECKING:
    from amiguard.notifiers.whois import Whois

__all__ = ["Mail", "MailSettings", "probe"]

DRAFTS = 16
LOOKED_UP = 10
"""How many addresses of one digest are looked up."""


class Mail:
    """A `ports.Notifier` that writes mails."""

    def __init__(
        self,
        settings: MailSettings,
        clock: Clock,
        journal: Journal,
        whois: Whois | None = None,
        country: Country | None = None,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._journal = journal
        self._whois = whois
        self._writer = Writer(settings, country)
        self._spool = Spool(settings.spool, settings.waiting)
        self._delivery = Delivery(settings, self._spool, clock, journal)
        self._pace = Pace(int(settings.digest * 1000))
        self._drafts: deque[Draft] = deque()
        self._posted = asyncio.Event()
        self._opened = False
        self._lost = 0
        self._last: Timestamp = 0

    def post(self, notice: Notice) -> None:
        """Take a notice. Returns at once, never raises."""
        if notice.kind not in self._settings.events:
            return
        now = self._clock()
        room = len(self._drafts) < DRAFTS
        content = self._pace.admit(notice, now, room=room)
        if content is not None and room:
            self._drafts.append(self._draft(content, now))
        elif content is not None:
            self._lost += 1
            self._journal.write(Action.MAIL_FAILED, "too many mails wait to be written; one is dropped", count=1)
        self._posted.set()

    def status(self) -> Mapping[str, object]:
        """Return how it goes; see `ports.Notifier`."""
        return {
            "name": "mail",
            "where": self._settings.host,
            "waiting": len(self._drafts) + self._delivery.waiting,
            "sent": self._delivery.sent,
            "lost": self._lost + self._delivery.lost,
            "error": self._delivery.failing,
        }

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
                async with asyncio.timeout(self._pace.wait(self._clock())):
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

    def _gather(self, now: Timestamp, *, early: bool = False) -> None:
        """Make drafts of what was gathered and is due, or `early` of all of it."""
        self._drafts.extend(self._draft(content, now) for content in self._pace.take(now, early=early))

    def _draft(self, content: Content, now: Timestamp) -> Draft:
        # No two at the same moment: mails leave in the order of their times.
        self._last = max(now, self._last + 1)
        return draft(content, self._last, self._settings.hostname)

    async def _look_up(self, current: Draft) -> Mapping[Target, Registration]:
        if not self._settings.whois or not current.bans:
            return {}
        if self._whois is None:
            try:  # only now, and in a thread: aiohttp takes 13 MB and 100 ms of CPU
                self._whois = (await asyncio.to_thread(import_module, "amiguard.notifiers.whois")).Whois()
            except (ImportError, OSError, MemoryError):  # such as no file descriptor left: the mail goes without
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
            self._delivery.drop(await asyncio.to_thread(work), "the spool is full")
        except HeldInMemory as error:
            self._delivery.hold(error)
        except Exception as error:  # noqa: BLE001 -- one mail that can't be written must not end the others
            self._journal.write(Action.INTERNAL_ERROR, "a mail can't be written", error=error)
        self._delivery.wake()
