"""Keeps a connection to Asterisk's manager interface alive and tells of every security event."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from amiguard.asterisk.schema import SecurityEvent
from amiguard.coalescing import until_next
from amiguard.errors import LoginRefused, SourceError
from amiguard.journal import Action, Journal
from amiguard.model import Timestamp
from amiguard.ports import Clock, Position
from amiguard.retry import Retry
from amiguard.sources.ami.connection import connect, deaf, hears, login, ping
from amiguard.sources.ami.intake import AmiIntake
from amiguard.sources.ami.protocol import AmiProtocol
from amiguard.sources.ami.settings import AmiSettings


class AmiSource:
    """A `ports.Source`: gives each security event to `sink`, in the loop step in which its bytes arrive.

    What an exception of the sink costs is this one event. `ask` gets each connection, to ask Asterisk over it."""

    def __init__(
        self,
        settings: AmiSettings,
        sink: Callable[[SecurityEvent], object],
        journal: Journal,
        clock: Clock,
        ask: Callable[[AmiProtocol], Awaitable[None]] | None = None,
    ) -> None:
        self.username = settings.username
        self._settings = settings
        self._journal = journal
        self._clock = clock
        self._ask = ask
        self.intake = AmiIntake(settings.username, sink, journal, clock)
        self._lost = Retry(*settings.retry)
        self._refused = Retry(*settings.refused_retry)
        self._since: Timestamp | None = None
        self._reconnects = 0
        self._last_error = ""

    @property
    def connected(self) -> bool:
        """Whether security events reach us: logged in, and one has been seen."""
        return self._since is not None

    def status(self) -> dict[str, object]:
        """Return how it goes, for `amiguard status`."""
        return {
            "name": "ami",
            "where": self._settings.where,
            "up": self.connected,
            "since": self._since,
            "events": self.intake.events,
            "last_event": self.intake.last_event,
            "reconnects": self._reconnects,
            "error": "" if self.connected else self._last_error,
        }

    def positions(self) -> list[Position]:
        """Return nothing: Asterisk repeats no event."""
        return []

    async def run(self) -> None:
        """Stay connected until cancelled."""
        while True:
            delay = 0.0
            try:
                await self._stay_connected()
            except LoginRefused as error:
                delay = self._refused.next()
                self._lose(error, retry_in=delay)
            except SourceError as error:
                delay = self._lost.next()
                self._lose(error, retry_in=delay)
            self._reconnects += 1
            await asyncio.sleep(delay)

    async def _stay_connected(self) -> None:
        intake = self.intake
        try:
            async with connect(self._settings, self._new_protocol) as link:
                intake.begin(link.local)
                await login(link, self._settings)
                async with self._asked(link):
                    await self._watch(link)
        finally:
            self._since = None
            intake.end()

    @asynccontextmanager
    async def _asked(self, link: AmiProtocol) -> AsyncIterator[None]:
        """Let questions be asked over the connection meanwhile."""
        if self._ask is None:
            yield
            return
        asking = asyncio.create_task(self._ask_over(self._ask, link))
        try:
            yield
        finally:
            asking.cancel()
            await asyncio.wait({asking})

    async def _ask_over(self, ask: Callable[[AmiProtocol], Awaitable[None]], link: AmiProtocol) -> None:
        try:
            await ask(link)
        except Exception as error:  # noqa: BLE001 -- a question must not end the connection
            self._journal.write(Action.INTERNAL_ERROR, "Asterisk could not be asked", error=error)

    def _new_protocol(self) -> AmiProtocol:
        return AmiProtocol(self.intake.receive, self.intake.behind)

    async def _watch(self, link: AmiProtocol) -> None:
        """Ping until the connection ends, which raises SourceError."""
        settings = self._settings
        if not await hears(link, settings):
            self._lose(deaf(settings), retry_in=settings.deaf_retry)
        loop = asyncio.get_running_loop()
        retry_at = loop.time() + settings.deaf_retry
        while True:
            if link.heard.done():
                self._find(link)
            elif loop.time() >= retry_at:
                raise deaf(settings)
            await asyncio.wait({link.closed}, timeout=until_next(settings.ping_interval, loop.time()))
            await ping(link, settings)
            if link.heard.done():
                self._lost.reset()
                self._refused.reset()

    def _find(self, link: AmiProtocol) -> None:
        if self._since is not None:
            return
        self._since = self._clock()
        self._journal.write(
            Action.AMI_CONNECTED,
            f"security events of Asterisk at {self._settings.where} reach us",
            host=self._settings.host,
            port=self._settings.port,
            tls=self._settings.tls,
            banner=link.greeted.result(),
        )

    def _lose(self, error: SourceError, retry_in: float) -> None:
        self._last_error = str(error)
        self._journal.write(
            Action.AMI_LOST,
            f"no security events from Asterisk at {self._settings.where}: {error}",
            host=self._settings.host,
            port=self._settings.port,
            error=error,
            retry_in=round(retry_in, 1),
        )
