"""One node among the others: tells what it decides, hears what they decide, and bears with Redis being away."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping, Sequence
from contextlib import aclosing, suppress
from itertools import chain

from amiguard.errors import FleetError, FleetFull
from amiguard.fleet.link import BEGINNING, KNOWN, Id, Link, Outgoing
from amiguard.fleet.messages import KINDS, age_of, encode, shareable
from amiguard.fleet.outbox import Outbox
from amiguard.fleet.reading import Reader
from amiguard.fleet.scripts import KEPT
from amiguard.fleet.settings import Allow, FleetSettings
from amiguard.fleet.tally import PAUSE, Tally
from amiguard.journal import Action, Journal
from amiguard.model import Ban
from amiguard.nodes import Exempted, Observation, Participant, Revoked, Shared
from amiguard.ports import Clock
from amiguard.quota import MAX_NODES
from amiguard.retry import Retry
from amiguard.stepping import in_steps

UNDONE = 10_000
"""Changes that are kept to tell them to a Redis that lost them; as old as those that it keeps."""

BATCH = 100
"""Changes told in one round trip."""

STEP = 500
"""Bans looked at in one step of the loop: whoever may empty Redis has all of them looked at as often as he likes."""

RETRY = (0.1, 1.0)
"""Seconds between tries while Redis is away: first and longest, doubled each time, with jitter."""

GREET = 2.0
"""Seconds between two greetings: so long nobody notices that Redis has lost everything."""

CENSUS = 60.0
"""Seconds between two looks at who else is there."""

LONGEST_NAME = 64
"""How much of a node's name is told in the status."""


class Node:
    """Fulfils `nodes.Fleet` over Redis."""

    def __init__(self, settings: FleetSettings, journal: Journal, clock: Clock) -> None:
        self._settings = settings
        self._journal = journal
        self._clock = clock
        self._instance = secrets.token_hex(8)
        self._reader = Reader(self._instance, journal, clock, hears_allowed=settings.allow is not Allow.OFF)
        self._outbox = Outbox()
        self._undone = Outbox(UNDONE)
        """Whom this node let through lately, and whom it allowed or did not allow any more; all of it told."""
        self._tally = Tally(self._instance, clock)
        self._wake = asyncio.Event()
        self._failing = "not connected yet"
        self._read: Id | None = None
        """The last message that was heard; None = everything has to be taken up anew."""
        self._written = ""
        self._epoch = ""
        self._sent = 0
        self._nodes: dict[str, tuple[int, str]] = {}

    def publish(self, change: Shared) -> None:
        """Take a change for the others. A network that is too wide for that stays here; so does who is allowed, where
        the settings say so."""
        kept = isinstance(change, Exempted | Revoked) and self._settings.allow is not Allow.SHARE
        if shareable(change) and not kept:
            self._outbox.put(change)
            self._wake.set()

    def observe(self, observation: Observation) -> None:
        """Count a failure together with the others, unless that is switched off."""
        if self._settings.count:
            self._tally.put(observation)

    async def run(self, us: Participant) -> None:
        """Tell and hear until cancelled."""
        if self._settings.allow is Allow.OFF:
            gone = [Revoked(one.target, self._clock()) for one in us.exempted() if one.node]
            await us.take(gone, missed=True)
        retry = Retry(*RETRY)
        while True:
            link = Link(self._settings)
            try:
                await self._meet(link, us)
                await self._catch_up(link, us)
                self._connected()
                retry.reset()
                await self._stay(link, us)
            except FleetError as error:
                self._lost(error)
            finally:
                with suppress(FleetError):
                    await link.close()
            await asyncio.sleep(retry.next())

    def refuse(self, change: Shared, why: str) -> None:
        """Log and count that a change of another node is not done."""
        self._reader.refuse(f"what {change.node} tells of {change.target} is not done: {why}", node=change.node)

    def untold(self) -> Sequence[Shared]:
        """Return the changes that Redis has not taken yet."""
        return self._outbox.peek(len(self._outbox))

    def status(self) -> Mapping[str, object]:
        """Tell how it goes. `lag`: for how many seconds the newest change was on its way. `nodes` lists who is there,
        with the seconds since he was heard of."""
        now = self._clock() + self._reader.ahead
        return {
            "up": not self._failing,
            "error": self._failing,
            "server": self._settings.server,
            "node": self._settings.node,
            "waiting": len(self._outbox),
            "sent": self._sent,
            "counted": self._tally.counted,
            "received": self._reader.received,
            "refused": self._reader.refused,
            "lost": self._outbox.lost,
            "lag": self._reader.lag / 1000,
            "nodes": [
                {"node": node, "version": version, "seen": max(0, now - at) // 1000}
                for node, (at, version) in sorted(self._nodes.items())
            ],
        }

    # ----------------------------------------------------------------------------------------------------------------

    async def _meet(self, link: Link, us: Participant) -> None:
        """Greet, and find out whether Redis has lost what it was told."""
        greeting = await link.greet(self._written)
        self._reader.ahead = greeting.now - self._clock()
        emptied = self._epoch not in {"", greeting.epoch}
        lost = emptied or not greeting.kept
        if lost:
            self._written = ""
            await self._tell_again(us, emptied=emptied)
        newest, oldest = greeting.newest or BEGINNING, greeting.oldest or BEGINNING
        if lost or (self._read is not None and not oldest <= self._read <= newest):
            self._read = None
        self._epoch = greeting.epoch

    async def _tell_again(self, us: Participant, *, emptied: bool) -> None:
        """Tell what Redis has lost: whom this node bans, and whom it let through while others might not have heard.

        Where it was not emptied, no more than its stream keeps: older messages are not lost, but over."""
        async for change in in_steps(chain(self._undone.peek(UNDONE), us.bans()), STEP):
            told = (age_of(change, self._clock()) or 0) < KEPT or (emptied and isinstance(change, Ban))
            if told and shareable(change) and not isinstance(change, Exempted):
                self._outbox.put_back(change)
        self._wake.set()

    async def _catch_up(self, link: Link, us: Participant) -> None:
        """Take up what was told while this node did not listen. Who is allowed comes first, and is told to a Redis that
        does not know it; it refuses what was taken back since."""
        changes, place = await self._reader.missed(link, self._read)
        exempted = await self._reader.exemptions(link)
        known = {one.target for one in exempted}
        for one in us.exempted():
            if one.target not in known:
                self.publish(one)
        await us.take([*exempted, *changes], missed=True)
        self._read = place

    async def _stay(self, link: Link, us: Participant) -> None:
        """Tell and hear. Raises FleetError."""
        tasks = [
            asyncio.create_task(self._listen(link, us)),
            asyncio.create_task(self._tell(link, us)),
            asyncio.create_task(self._count_nodes(link)),
            asyncio.create_task(self._count(link, us)),
        ]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _listen(self, link: Link, us: Participant) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time() + GREET
        while True:
            if self._read is None:
                await self._catch_up(link, us)
            changes, self._read = await self._reader.live(link, self._read or BEGINNING)
            for change in changes:
                if isinstance(change, Exempted):  # so this node does not take it back once more
                    self._undone.put(change)
            if changes:
                await us.take(changes, missed=False)
            if loop.time() >= due:
                await self._meet(link, us)
                due = loop.time() + GREET

    async def _tell(self, link: Link, us: Participant) -> None:
        retry = Retry(*RETRY)
        while True:
            self._wake.clear()
            batch = self._outbox.peek(BATCH)
            if not batch:
                await self._wake.wait()
                continue
            try:
                await self._send(link, batch, us)
            except FleetFull as error:  # the others can still be heard
                self._lost(error)
                await asyncio.sleep(retry.next())
            else:
                self._connected()
                retry.reset()

    async def _count(self, link: Link, us: Participant) -> None:
        while True:
            try:
                await self._tally.flush(link, us.counted)
            except FleetFull as error:
                self._lost(error)
                await asyncio.sleep(RETRY[1])
            else:
                self._connected()
                await asyncio.sleep(PAUSE)

    async def _send(self, link: Link, batch: Sequence[Shared], us: Participant) -> None:
        now = self._clock()
        ids = await link.share([self._outgoing(change, now) for change in batch])
        for change, told in zip(batch, ids, strict=False):  # Redis may have been full after some of them
            self._outbox.done(change)
            if isinstance(change, Exempted) and not told:
                await us.take([Revoked(change.target, now)], missed=True)
            if not isinstance(change, Ban):
                self._undone.put(change)
            if told not in {"", KNOWN}:
                self._written = told
        self._sent += len(ids)

    def _outgoing(self, change: Shared, now: int) -> Outgoing:
        message, age = encode(change, self._settings.node, self._instance, now), age_of(change, now)
        remaining = change.remaining(now) if isinstance(change, Ban) else None
        return Outgoing(KINDS[type(change)], change.target, message, -1 if age is None else age, remaining)

    async def _count_nodes(self, link: Link) -> None:
        while True:
            found: dict[str, tuple[int, str]] = {}
            async with aclosing(link.nodes()) as nodes:  # type: ignore[type-var] # an async generator is one
                async for node, at, version in nodes:
                    if len(found) >= MAX_NODES:
                        break
                    if at:
                        found[node[:LONGEST_NAME]] = at, version[:LONGEST_NAME]
            self._nodes = found
            await asyncio.sleep(CENSUS)

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
