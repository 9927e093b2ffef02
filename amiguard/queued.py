"""Notifiers whose messages wait in memory: a bounded queue, and one loop that empties it in order, in no ban's way.

A message leaves the queue when the receiver took it or refused it for good, so it may come twice. What waits when the
daemon ends, and can't be handed over in the grace it gets, is lost: the log says how much. Every ban and unban also
stands in amiguard's own log and database."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Generic, Self, TypeVar

from amiguard.errors import FeedError, NotifierError
from amiguard.journal import Action, Journal
from amiguard.retry import Retry

RETRY = (1.0, 120.0)
"""Seconds between tries: first and longest, doubled each time, with jitter."""

TRIES = 6
"""Answers such as 500 to the same message before it is given up: it must not hold up the others for ever."""

Fault = FeedError | NotifierError
FAULTS = (FeedError, NotifierError)

Message = TypeVar("Message")
Line = TypeVar("Line")


class QueuedNotifier(ABC, Generic[Message, Line]):
    """A `ports.Notifier` but for `post`: what waits are `Message`s, and a `Line` leads to the receiver."""

    name: str

    def __init__(self, place: str, limit: int, journal: Journal, *, failed: Action, recovered: Action) -> None:
        """`place` is where the receiver is, without a secret; of more than `limit` messages the oldest are dropped."""
        self._place = place
        self._limit = limit
        self._journal = journal
        self._failure = failed
        self._recovery = recovered
        self._waiting: deque[Message] = deque()
        self._posted = asyncio.Event()
        self._sent = self._lost = self._dropped = 0
        self._failing = ""
        self._put_off: Message | None = None
        """The oldest message, if the receiver answered that it can't take it now; and how often it did."""
        self._times_put_off = 0

    def status(self) -> Mapping[str, object]:
        """Return how it goes; see `ports.Notifier`."""
        return {
            "name": self.name,
            "where": self._place,
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
                async with self._open() as line:
                    while True:
                        await self._wait_for_messages()
                        await self._deliver(line)
                        retry.reset()
            except FAULTS as error:
                self._failed(error)
                await asyncio.sleep(max(error.wait, retry.next()))

    async def drain(self, grace: float) -> None:
        """Deliver what waits, for at most `grace` seconds; what is left then is lost."""
        self._gather(early=True)
        if self._waiting:
            try:
                async with asyncio.timeout(grace), self._open() as line:
                    while self._waiting:
                        await self._deliver(line)
            except TimeoutError:
                pass  # told below
            except FAULTS as error:
                self._failed(error)
        self._tell_of_dropped()
        if self._waiting:
            self._lose("amiguard ends; what waits is lost", len(self._waiting))

    def hand_on(self, successor: Self) -> None:
        """Let `successor` tell what waits: other settings are in force. Called once `run` has ended."""
        self._gather(early=True)
        self._tell_of_dropped()
        successor._waiting.extendleft(reversed(self._waiting))
        self._waiting.clear()

    # ----------------------------------------------------------------------------------------------------------------

    @abstractmethod
    def _open(self) -> AbstractAsyncContextManager[Line]:
        """Open a line to the receiver; raises FeedError or NotifierError."""

    @abstractmethod
    async def _hand_over(self, line: Line, batch: Sequence[Message]) -> None:
        """Have the receiver take these; raises FeedError or NotifierError."""

    @abstractmethod
    def _is_final(self, error: Fault) -> bool:
        """Whether the receiver answered that it will never take it."""

    @abstractmethod
    def _is_answer(self, error: Fault) -> bool:
        """Whether the receiver answered at all."""

    def _batch(self) -> Sequence[Message]:
        """Return what is handed over next, the oldest first."""
        return [self._waiting[0]]

    def _is_too_old(self, _message: Message) -> bool:
        """Whether to give a message up to which nobody has answered."""
        return False

    def _gather(self, *, early: bool = False) -> None:
        """Put what is due; or `early` what would be later."""

    def _due(self) -> float | None:
        """Return in how many seconds something is due to be gathered; None = nothing is."""
        return None

    def _put(self, message: Message) -> None:
        if len(self._waiting) >= self._limit:
            self._waiting.popleft()
            self._dropped += 1
        self._waiting.append(message)
        self._posted.set()

    # ----------------------------------------------------------------------------------------------------------------

    async def _wait_for_messages(self) -> None:
        """Wait until there is something to tell."""
        while True:
            self._posted.clear()
            self._gather()
            if self._waiting:
                return
            try:
                async with asyncio.timeout(self._due()):
                    await self._posted.wait()
            except TimeoutError:
                continue

    async def _deliver(self, line: Line) -> None:
        """Hand the oldest over; raises FeedError or NotifierError: the receiver is not well."""
        batch = self._batch()
        try:
            await self._hand_over(line, batch)
        except FAULTS as error:
            final = self._is_final(error)
            if final or self._is_hopeless(error, batch[0]):
                self._give_up(batch, error)
            if not final:
                raise
        else:
            self._remove(batch)
            self._sent += len(batch)
            if self._failing:
                self._failing = ""
                self._journal.write(self._recovery, waiting=len(self._waiting))
        self._tell_of_dropped()

    def _is_hopeless(self, error: Fault, message: Message) -> bool:
        if not self._is_answer(error):
            return self._is_too_old(message)
        if message is not self._put_off:
            self._put_off, self._times_put_off = message, 0
        self._times_put_off += 1
        return self._times_put_off >= TRIES

    def _give_up(self, batch: Sequence[Message], error: Fault) -> None:
        self._remove(batch)
        self._failing = str(error)
        self._lose("given up", len(batch), error=error)

    def _remove(self, batch: Sequence[Message]) -> None:
        for message in batch:
            if self._waiting and self._waiting[0] is message:
                self._waiting.popleft()
            else:  # it was dropped meanwhile, which made no difference
                self._dropped -= 1

    def _lose(self, why: str, count: int, **fields: object) -> None:
        self._lost += count
        self._journal.write(self._failure, why, count=count, **fields)

    def _tell_of_dropped(self) -> None:
        if self._dropped:
            dropped, self._dropped = self._dropped, 0
            self._lose("too many wait; the oldest are dropped", dropped)

    def _failed(self, error: Fault) -> None:
        self._tell_of_dropped()
        if str(error) != self._failing:
            self._failing = str(error)
            self._journal.write(self._failure, "will be tried again", waiting=len(self._waiting), error=error)
