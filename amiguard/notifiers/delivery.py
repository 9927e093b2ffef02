"""Hands the spool's letters to the server, oldest first, until each is taken or refused for good.

A letter leaves the spool only after the server took it: it may come twice, with the same Message-ID, but is not lost.
A plain loop and no retry library: what is retried is a whole folder, for days, and a pause must survive many mails."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from amiguard.errors import NotifierError
from amiguard.journal import Action, Journal
from amiguard.notifiers.settings import MailSettings
from amiguard.notifiers.smtp import Session, session
from amiguard.notifiers.spool import HeldInMemory, Letter, Spool
from amiguard.ports import Clock
from amiguard.retry import Retry

RETRY = (1.0, 120.0)
"""Seconds between tries that brought nothing: first and longest, doubled each time, with jitter."""

PATIENCE = 5 * 86_400_000
"""Milliseconds for which a letter is retried that the server keeps putting off (RFC 5321 section 4.5.4.1: 4-5 days)."""


@dataclass(slots=True)
class Round:
    """What one session brought: letters that stay, letters that somebody got, and why the last that was tried stays."""

    left: int
    sent: int = 0
    error: NotifierError | None = None


class Delivery:
    """Empties a spool."""

    def __init__(self, settings: MailSettings, spool: Spool, clock: Clock, journal: Journal) -> None:
        self._settings = settings
        self._spool = spool
        self._clock = clock
        self._journal = journal
        self._spooled = asyncio.Event()
        self.waiting = 0
        """Letters that are not handed over, as far as is known."""
        self.sent = 0
        self.lost = 0
        """Letters that somebody did not get, for good."""
        self.failing = ""
        """Why the latest session could not hand letters over; empty while all is well."""

    def wake(self) -> None:
        """Say that the spool has a new letter."""
        self.waiting += 1
        self._spooled.set()

    def hold(self, error: HeldInMemory) -> None:
        """Say that a letter waits in memory only."""
        self._journal.write(Action.MAIL_FAILED, "a mail waits in memory only", count=1, error=error)
        self.drop(error.dropped, "too many mails wait in memory")

    def drop(self, count: int, why: str) -> None:
        """Say that so many letters made room for others."""
        if count:
            self.lost += count
            self._journal.write(Action.MAIL_FAILED, f"{why}; the oldest are dropped", count=count)

    async def run(self) -> None:
        """Deliver until cancelled."""
        retry = Retry(*RETRY)
        while True:
            self._spooled.clear()
            done = await self.attempt()
            if _ending():
                raise asyncio.CancelledError
            if done.sent or not done.left:
                retry.reset()
            if done.left:
                await asyncio.sleep(retry.next())
            else:
                await self._spooled.wait()

    async def attempt(self) -> Round:
        """Try every letter once, in one session. Never raises."""
        names = await asyncio.to_thread(self._spool.names)
        done = Round(left=len(names))
        if not names:
            self.waiting, self.failing = 0, ""
            return done
        try:
            async with session(self._settings) as server:
                for name in names:
                    await self._settle(server, name, done)
                    if not server.alive or _ending():
                        break
        except NotifierError as error:
            done.error = error
        self.waiting = done.left
        self.sent += done.sent
        self.failing = "" if done.error is None else str(done.error)
        if done.error is not None:  # else letters may be left all the same: some servers take one a session
            self._journal.write(Action.MAIL_FAILED, "will be tried again", count=done.left, error=done.error)
        return done

    async def _settle(self, server: Session, name: str, done: Round) -> None:
        """Try one letter; unless it is to be tried again, forget it."""
        try:
            letter = await asyncio.to_thread(self._spool.read, name)
            again = letter is not None and await self._send(server, letter, done)
        except NotifierError as error:
            if not error.permanent:
                done.error = error
                return
            self.lost += 1
            self._journal.write(Action.MAIL_FAILED, "given up", count=1, error=error)
            again = False
        if again:
            return
        done.left -= 1
        try:
            await asyncio.to_thread(self._spool.remove, name)
        except NotifierError as error:
            self._journal.write(Action.MAIL_FAILED, "may be sent again after a restart", count=1, error=error)

    async def _send(self, server: Session, letter: Letter, done: Round) -> bool:
        """Send `letter`; return whether somebody is still to get it."""
        refused = await server.send(letter.to, letter.content)
        if taken := len(letter.to) - len(refused):
            done.sent += 1
            self._journal.write(Action.MAIL_SENT, count=1, recipients=taken)
        late = self._clock() - letter.at > PATIENCE
        never = [error for error in refused.values() if error.permanent or late]
        if never:
            self.lost += 1
            self._journal.write(Action.MAIL_FAILED, "given up", count=1, recipients=len(never), error=never[0])
        later = tuple(address for address, error in refused.items() if error not in never)
        if not later:
            return False
        done.error = refused[later[0]]
        if later != letter.to:
            await self._narrow(Letter(letter.name, later, letter.content))
        return True

    async def _narrow(self, letter: Letter) -> None:
        try:
            await asyncio.to_thread(self._spool.add, letter)
        except HeldInMemory as error:
            self.hold(error)


def _ending() -> bool:
    """Tell whether this task was cancelled: Python 3.11's `wait_for`, which aiosmtplib uses, may swallow that."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
