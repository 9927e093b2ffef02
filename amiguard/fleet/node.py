"""One node among the others: tells what it decides, hears what they decide, and bears with Redis being away."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import replace
from random import SystemRandom

from amiguard.errors import FleetError, FleetFull, InvalidMessage
from amiguard.fleet.link import BEGINNING, Id, Link, Outgoing
from amiguard.fleet.messages import decode, encode, shareable
from amiguard.fleet.outbox import Outbox
from amiguard.fleet.settings import FleetSettings
from amiguard.fleet.tally import PAUSE, Tally
from amiguard.journal import Action, Journal
from amiguard.model import Ban, Failure, Target
from amiguard.ports import Clock, Lifted, Reached, Shared, Take

BATCH = 100
"""Changes told in one round trip."""

RETRY = (0.1, 2.0)
"""Seconds between tries while Redis is away: first and longest, doubled each time, with jitter."""

GREET = 2.0
"""Seconds between two greetings: so long nobody notices that Redis has lost everything."""

CENSUS = 30.0
"""Seconds between two looks at who else is there."""

MAX_NODES = 2_000
"""Nodes that are told of in the status."""

_random = SystemRandom()


class Node:
    """Fulfils `ports.Fleet` over Redis."""

    def __init__(self, settings: FleetSettings, journal: Journal, clock: Clock) -> None:
        self._settings = settings
        self._journal = journal
        self._clock = clock
        self._instance = secrets.token_hex(8)
        self._outbox = Outbox()
        self._tally = Tally(self._instance, clock)
        self._wake = asyncio.Event()
        self._failing = "not connected yet"
        self._read: Id | None = None
        """The last message that was heard; None = everything has to be taken up anew."""
        self._written = ""
        self._epoch = ""
        self._ahead = 0
        """By how many milliseconds Redis' clock is ahead of ours."""
        self._refused = 0
        self._sent = 0
        self._received = 0
        self._nodes: dict[str, tuple[int, str]] = {}

    def publish(self, change: Shared) -> None:
        """Take a change for the others; a network that is too wide to be banned for others stays here."""
        if shareable(change.target):
            self._outbox.put(change)
            self._wake.set()

    def observe(self, failure: Failure, findtime: int, maxretry: int) -> None:
        """Count a failure together with the others, unless that is switched off."""
        if self._settings.count:
            self._tally.put(failure, findtime, maxretry)

    async def run(self, take: Take, own: Callable[[], Iterable[Ban]], reached: Reached) -> None:
        """Tell and hear until cancelled."""
        delay = RETRY[0]
        while True:
            link = Link(self._settings)
            try:
                await self._meet(link, own)
                await self._catch_up(link, take)
                self._connected()
                delay = RETRY[0]
                await self._stay(link, take, own, reached)
            except FleetError as error:
                self._lost(error)
            finally:
                with suppress(FleetError):
                    await link.close()
            await asyncio.sleep(_random.uniform(delay / 2, delay))
            delay = min(delay * 2, RETRY[1])

    def untold(self) -> Sequence[Shared]:
        """Return the changes that Redis has not taken yet."""
        return self._outbox.peek(len(self._outbox))

    def status(self) -> Mapping[str, object]:
        """Tell how it goes; `nodes` lists who is there, with the seconds since he was heard of."""
        now = self._clock() + self._ahead
        return {
            "up": not self._failing,
            "error": self._failing,
            "server": self._settings.server,
            "node": self._settings.node,
            "waiting": len(self._outbox),
            "sent": self._sent,
            "counted": self._tally.counted,
            "received": self._received,
            "refused": self._refused,
            "lost": self._outbox.lost,
            "nodes": [
                {"node": node, "version": version, "seen": max(0, now - at) // 1000}
                for node, (at, version) in sorted(self._nodes.items())
            ],
        }

    # ----------------------------------------------------------------------------------------------------------------

    async def _meet(self, link: Link, own: Callable[[], Iterable[Ban]]) -> None:
        """Greet, and find out whether Redis has lost what it was told."""
        greeting = await link.greet(self._written)
        self._ahead = greeting.now - self._clock()
        lost = not greeting.kept or self._epoch not in {"", greeting.epoch}
        if lost:
            self._written = ""
            for ban in own():
                self.publish(ban)
        newest, oldest = greeting.newest or BEGINNING, greeting.oldest or BEGINNING
        if lost or (self._read is not None and not oldest <= self._read <= newest):
            self._read = None
        self._epoch = greeting.epoch

    async def _catch_up(self, link: Link, take: Take) -> None:
        """Take up what was told while this node did not listen: of each target, the newest."""
        newest: dict[Target, Shared] = {}
        place = self._read
        if place is None:
            place = BEGINNING
            async with aclosing(link.snapshot()) as entries:  # type: ignore[type-var] # an async generator is one
                async for at, raw in entries:
                    self._note(newest, raw, at)
        while messages := await link.read(place, wait=False):
            for place, raw in messages:
                self._note(newest, raw, place[0])
        await take(list(newest.values()), missed=True)
        self._read = place

    async def _stay(self, link: Link, take: Take, own: Callable[[], Iterable[Ban]], reached: Reached) -> None:
        """Tell and hear. Raises FleetError."""
        tasks = [
            asyncio.create_task(self._listen(link, take, own)),
            asyncio.create_task(self._tell(link)),
            asyncio.create_task(self._count_nodes(link)),
            asyncio.create_task(self._count(link, reached)),
        ]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _listen(self, link: Link, take: Take, own: Callable[[], Iterable[Ban]]) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time() + GREET
        while True:
            if self._read is None:
                await self._catch_up(link, take)
            changes: list[Shared] = []
            for place, raw in await link.read(self._read or BEGINNING, wait=True):
                self._read = place
                change = self._understood(raw, place[0])
                if change is not None:
                    changes.append(change)
            if changes:
                await take(changes, missed=False)
            if loop.time() >= due:
                await self._meet(link, own)
                due = loop.time() + GREET

    async def _tell(self, link: Link) -> None:
        delay = RETRY[0]
        while True:
            self._wake.clear()
            batch = self._outbox.peek(BATCH)
            if not batch:
                await self._wake.wait()
                continue
            try:
                await self._send(link, batch)
            except FleetFull as error:  # the others can still be heard
                self._lost(error)
                await asyncio.sleep(_random.uniform(delay / 2, delay))
                delay = min(delay * 2, RETRY[1])
            else:
                self._connected()
                delay = RETRY[0]

    async def _count(self, link: Link, reached: Reached) -> None:
        while True:
            try:
                await self._tally.flush(link, reached)
            except FleetFull as error:
                self._lost(error)
                await asyncio.sleep(RETRY[1])
            else:
                self._connected()
                await asyncio.sleep(PAUSE)

    async def _send(self, link: Link, batch: Sequence[Shared]) -> None:
        now = self._clock()
        ids = await link.share([self._outgoing(change, now) for change in batch])
        for change in batch[: len(ids)]:
            self._outbox.done(change)
        self._written = next(filter(None, reversed(ids)), self._written)
        self._sent += len(ids)

    def _outgoing(self, change: Shared, now: int) -> Outgoing:
        message = encode(change, self._settings.node, self._instance, now)
        if isinstance(change, Lifted):
            return Outgoing("unban", change.target, message, max(0, now - change.at))
        return Outgoing("ban", change.target, message, max(0, now - change.since), change.remaining(now))

    async def _count_nodes(self, link: Link) -> None:
        while True:
            found = await link.nodes()
            self._nodes = dict(list(found.items())[:MAX_NODES])
            await asyncio.sleep(CENSUS)

    def _note(self, newest: dict[Target, Shared], raw: bytes, at: int) -> None:
        change = self._understood(raw, at)
        if change is not None:
            newest.pop(change.target, None)
            newest[change.target] = change

    def _understood(self, raw: bytes, at: int) -> Shared | None:
        """Return the change that a message tells; None for a ban of our own, and for what is none.

        Of our own unbans one has to hear: in between another node may have told a ban anew."""
        now = self._clock()
        try:
            message = decode(raw, now, now + self._ahead - at)
        except InvalidMessage as error:
            self._refused += 1
            self._journal.write(Action.FLEET_REFUSED, f"a message was passed over: {error}", refused=self._refused)
            return None
        if message.instance == self._instance:
            return replace(message.change, node="") if isinstance(message.change, Lifted) else None
        self._received += 1
        return message.change

    def _connected(self) -> None:
        if self._failing:
            self._failing = ""
            server = self._settings.server
            self._journal.write(Action.FLEET_CONNECTED, f"bans are shared over Redis at {server}", server=server)

    def _lost(self, error: FleetError) -> None:
        if self._failing == str(error):
            return
        self._failing = str(error)
        self._journal.write(
            Action.FLEET_LOST,
            f"this node goes on alone: {error}",
            server=self._settings.server,
            waiting=len(self._outbox),
            error=error,
        )
