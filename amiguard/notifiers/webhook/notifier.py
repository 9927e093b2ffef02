"""Tells a webhook: a bounded queue, and one loop that empties it in order; none of it in a ban's way.

A message leaves the queue when the receiver took it or refused it for good, so it may come twice, with the same id.
What waits when the daemon ends, and can't be handed over in the grace it gets, is lost: the log says how much. Every
ban and unban also stands in amiguard's own log and database."""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from amiguard.errors import NotifierError
from amiguard.journal import Action, Journal
from amiguard.model import Timestamp
from amiguard.notifiers.pace import Content, Pace
from amiguard.notifiers.pausing import pause
from amiguard.notifiers.settings import WebhookSettings
from amiguard.notifiers.webhook.chat import Card, card
from amiguard.notifiers.webhook.payload import payload
from amiguard.notifiers.webhook.request import Line, line
from amiguard.notifiers.webhook.signature import headers
from amiguard.ports import Clock, Country, Notice, NoticeKind
from amiguard.web import where

TRIES = 6
"""Answers such as 500 to one message before it is given up: it must not hold up the others for ever."""
PATIENCE = 3_600_000
"""Milliseconds for which a message is tried while there is no answer at all."""


@dataclass(slots=True)
class Message:
    """Something that is to be told."""

    content: Content
    at: Timestamp
    id: str = field(default_factory=lambda: f"msg_{secrets.token_hex(12)}")
    refusals: int = 0


class CardLayout(Protocol):
    """How a chat wants a card: `layout.Layout`."""

    @property
    def url(self) -> str:
        """Where to post."""

    def body(self, card: Card) -> bytes:
        """Return the body of a request."""


class Webhook:
    """A `ports.Notifier` that posts JSON.

    With a `layout` it tells people: of bans the first, then digests. Without it tells programs: every ban and unban."""

    def __init__(
        self,
        settings: WebhookSettings,
        clock: Clock,
        journal: Journal,
        layout: CardLayout | None = None,
        country: Country | None = None,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._journal = journal
        self._layout = layout
        self._country = country
        self._sender = {"host": settings.hostname, "version": settings.version}
        self._pace = Pace(int(settings.digest * 1000))
        self._waiting: deque[Message] = deque()
        self._posted = asyncio.Event()
        self._sent = self._lost = self._dropped = 0
        self._failing = ""

    def post(self, notice: Notice) -> None:
        """Take a notice. Returns at once, never raises."""
        if notice.kind not in self._settings.events:
            return
        now = self._clock()
        content: Content | None = notice
        if self._layout is not None or notice.kind is NoticeKind.ALERT:
            content = self._pace.admit(notice, now, room=len(self._waiting) < self._settings.waiting)
        if content is not None:
            self._put(content, now)
        self._posted.set()

    def status(self) -> Mapping[str, object]:
        """Return how it goes; see `ports.Notifier`."""
        return {
            "name": "webhook",
            "where": where(self._settings.url),
            "waiting": len(self._waiting),
            "sent": self._sent,
            "lost": self._lost,
            "error": self._failing,
        }

    async def run(self) -> None:
        """Deliver until cancelled."""
        while True:
            try:
                async with line(self._settings) as opened:
                    await self._deliver(opened)
            except NotifierError as error:
                self._failed(error)
                await asyncio.sleep(pause(10))

    async def drain(self, grace: float) -> None:
        """Deliver what waits, for at most `grace` seconds; what is left then is lost."""
        self._gather(early=True)
        if not self._waiting:
            return
        try:
            async with asyncio.timeout(grace), line(self._settings) as opened:
                while self._waiting and await self._attempt(opened) is None:
                    pass
        except TimeoutError:
            pass  # told below
        except NotifierError as error:
            self._failed(error)
        if self._waiting:
            self._lose("amiguard ends; what waits is lost", len(self._waiting))

    def hand_on(self, successor: Webhook) -> None:
        """Let `successor` tell what waits: other settings are in force. Called once `run` has ended."""
        self._gather(early=True)
        successor._waiting.extendleft(reversed(self._waiting))
        self._waiting.clear()

    async def _deliver(self, opened: Line) -> None:
        failures = 0
        while True:
            self._posted.clear()
            self._gather()
            if not self._waiting:
                try:
                    async with asyncio.timeout(self._pace.wait(self._clock())):
                        await self._posted.wait()
                except TimeoutError:
                    pass  # a digest is due
                continue
            wait = await self._attempt(opened)
            if self._dropped:
                dropped, self._dropped = self._dropped, 0
                self._lose("too many wait; the oldest are dropped", dropped)
            if wait is None:
                failures = 0
                continue
            failures += 1
            await asyncio.sleep(max(wait, pause(failures)))

    async def _attempt(self, opened: Line) -> float | None:
        """Try the oldest message once; return None if it is done with, else how many seconds to wait at least."""
        message = self._waiting[0]
        # Looking countries up reads a file.
        url, body = self._request(message) if self._country is None else await asyncio.to_thread(self._request, message)
        try:
            answer = await opened.post(url, body, headers(message.id, self._clock(), body, self._settings.secret))
        except NotifierError as error:
            if self._clock() - message.at > PATIENCE:
                self._give_up(message, error)
            else:
                self._failed(error)
            return 0
        if answer.taken:
            self._took(message)
            return None
        refusal = NotifierError(f"{where(self._settings.url)}: HTTP status {answer.status}")
        message.refusals += 1
        if answer.final or message.refusals >= TRIES:
            self._give_up(message, refusal)
        else:
            self._failed(refusal)
        return None if answer.final else answer.wait

    def _request(self, message: Message) -> tuple[str, bytes]:
        if self._layout is None:
            return self._settings.url, payload(message.content, message.at, message.id, self._sender)
        return self._layout.url, self._layout.body(card(message.content, self._settings.hostname, self._country))

    def _put(self, content: Content, now: Timestamp) -> None:
        if len(self._waiting) >= self._settings.waiting:
            self._waiting.popleft()
            self._dropped += 1
        self._waiting.append(Message(content, now))

    def _gather(self, *, early: bool = False) -> None:
        now = self._clock()
        for content in self._pace.take(now, early=early):
            self._put(content, now)

    def _took(self, message: Message) -> None:
        self._remove(message)
        self._sent += 1
        if self._failing:
            self._failing = ""
            self._journal.write(Action.WEBHOOK_RECOVERED, waiting=len(self._waiting))

    def _give_up(self, message: Message, error: NotifierError) -> None:
        self._remove(message)
        self._failing = str(error)
        self._lose("given up", 1, error=error)

    def _remove(self, message: Message) -> None:
        if self._waiting and self._waiting[0] is message:  # else it was dropped meanwhile
            self._waiting.popleft()

    def _lose(self, why: str, count: int, **fields: object) -> None:
        self._lost += count
        self._journal.write(Action.WEBHOOK_FAILED, why, count=count, **fields)

    def _failed(self, error: NotifierError) -> None:
        if str(error) != self._failing:
            self._failing = str(error)
            self._journal.write(Action.WEBHOOK_FAILED, "will be tried again", waiting=len(self._waiting), error=error)
