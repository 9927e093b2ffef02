"""What this node understands of what the others tell, as it comes and afterwards. What is read is bounded, for who has
a node can write into Redis whatever he likes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import replace

from amiguard.errors import InvalidMessage
from amiguard.fleet.link import BEGINNING, Id, Link
from amiguard.fleet.messages import decode
from amiguard.fleet.scripts import MOST
from amiguard.journal import Action, Journal
from amiguard.model import Target
from amiguard.nodes import Exempted, Lifted, Revoked, Shared
from amiguard.ports import Clock
from amiguard.quota import ALL_ALLOWED

MESSAGES, BYTES, SECONDS = 2 * MOST, 128 << 20, 30.0
"""What is read at most of what was missed; the rest is passed over. An honest Redis holds `MOST` bans and as many
changes, some 100 MB."""

HELD = 64 << 20
"""Bytes of the messages that are kept until all are read: of each target the newest."""


class Budget:
    """How much more may be read."""

    def __init__(self, messages: int, clock: Callable[[], float]) -> None:
        self._messages = messages
        self._bytes = BYTES
        self._clock = clock
        self._end = clock() + SECONDS

    def spend(self, message: bytes) -> bool:
        """Take a message off; tell whether it may be read."""
        self._messages -= 1
        self._bytes -= len(message)
        return self._messages >= 0 and self._bytes >= 0 and self._clock() < self._end


class Newest:
    """Of each target the newest change, as far as there is room."""

    def __init__(self) -> None:
        self._changes: dict[Target, tuple[Shared, int]] = {}
        self._held = 0

    def put(self, change: Shared, size: int) -> None:
        """Take a change whose message had so many bytes."""
        self._held -= self._changes.pop(change.target, (change, 0))[1]
        if self._held + size <= HELD:
            self._changes[change.target] = change, size
            self._held += size

    def changes(self) -> list[Shared]:
        """Return them in the order in which they came."""
        return [change for change, _ in self._changes.values()]


class Reader:
    """Turns messages into changes. `instance` is what this process calls itself; `hears_allowed`: whether it is heard
    who is never banned."""

    def __init__(self, instance: str, journal: Journal, clock: Clock, *, hears_allowed: bool) -> None:
        self.ahead = 0
        """By how many milliseconds Redis' clock is ahead of ours."""
        self.refused = 0
        self.received = 0
        self.lag = 0
        """How many milliseconds the newest message was on its way."""
        self._instance = instance
        self._journal = journal
        self._clock = clock
        self._hears_allowed = hears_allowed

    async def live(self, link: Link, place: Id) -> tuple[list[Shared], Id]:
        """Wait for what comes behind `place`; return the changes, and up to where they were read."""
        changes = []
        for at, raw in await link.read(place):
            place = at
            change = self._understood(raw, at[0])
            if isinstance(change, Exempted | Revoked) and not await self._holds(link, change, raw):
                continue
            if change is not None:
                self.lag = max(0, self._clock() + self.ahead - at[0])
                changes.append(change)
        return changes, place

    async def missed(self, link: Link, place: Id | None) -> tuple[list[Shared], Id]:
        """Return what was told behind `place` (None = what is in force, and the last day), of each target the newest,
        and up to where it was read."""
        newest, budget = Newest(), self._budget(MESSAGES)
        complete = True
        if place is None:
            place = BEGINNING
            complete = await self._collect(link.snapshot(), budget, newest)
            budget = self._budget(MESSAGES)
        while messages := await link.behind(place):
            for at, raw in messages:
                place = at
                complete = budget.spend(raw) and complete
                if complete:
                    self._put(newest, raw, at[0])
            if not complete:
                break
        if not complete:
            self.refuse("what was missed is more than a fleet can have told: the rest is passed over")
        return newest.changes(), place

    async def exemptions(self, link: Link) -> list[Exempted]:
        """Return who is never banned on the word of any node."""
        if not self._hears_allowed:
            return []
        found: dict[Target, Exempted] = {}
        budget = self._budget(2 * ALL_ALLOWED)
        async with aclosing(link.exemptions()) as entries:  # type: ignore[type-var] # an async generator is one
            async for at, raw in entries:
                if not budget.spend(raw):
                    self.refuse("more are allowed than a fleet may allow: the rest is passed over")
                    break
                change = self._understood(raw, at, own=True)
                if isinstance(change, Exempted):
                    found[change.target] = change
        return list(found.values())

    def refuse(self, why: str, **fields: object) -> None:
        """Log and count something that is not taken."""
        self.refused += 1
        self._journal.write(Action.FLEET_REFUSED, why, refused=self.refused, **fields)

    # ----------------------------------------------------------------------------------------------------------------

    async def _collect(self, entries: AsyncIterator[tuple[int, bytes]], budget: Budget, newest: Newest) -> bool:
        async with aclosing(entries) as told:  # type: ignore[type-var] # an async generator is one
            async for at, raw in told:
                if not budget.spend(raw):
                    return False
                self._put(newest, raw, at)
        return True

    def _put(self, newest: Newest, raw: bytes, at: int) -> None:
        change = self._understood(raw, at)
        if change is not None and not isinstance(change, Exempted | Revoked):  # who is allowed is asked for afterwards
            newest.put(change, len(raw))

    def _understood(self, raw: bytes, at: int, *, own: bool = False) -> Shared | None:
        """Return the change that a message tells; None for one that is none, or, but for `own`, of our own.

        Of our own, one has to hear that somebody is let through: in between another node may have told a ban anew."""
        now = self._clock()
        try:
            message = decode(raw, now, now + self.ahead - at)
        except InvalidMessage as error:
            self.refuse(f"a message was passed over: {error}")
            return None
        change = message.change
        if isinstance(change, Exempted | Revoked) and not self._hears_allowed:
            return None
        if message.instance != self._instance or own:
            self.received += not own
            return change
        return replace(change, node="") if isinstance(change, Lifted | Revoked) else None

    async def _holds(self, link: Link, change: Exempted | Revoked, raw: bytes) -> bool:
        """Whether what the stream says of who is allowed is so: only who may write there can have others allow."""
        holding = await link.exempted(change.target)
        if isinstance(change, Revoked):
            return holding is None
        if holding is None:
            self.refuse(f"{change.node} tells that {change.target} is never banned, and Redis does not hold it")
        return holding == raw

    def _budget(self, messages: int) -> Budget:
        return Budget(messages, asyncio.get_running_loop().time)
