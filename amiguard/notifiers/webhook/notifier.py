"""Tells a webhook, over `queued.py`'s queue: a message that comes twice has the same id."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Protocol

from amiguard.journal import Action, Journal
from amiguard.model import Timestamp
from amiguard.notifiers.pace import Content, Pace
from amiguard.notifiers.settings import WebhookSettings
from amiguard.notifiers.webhook.chat import Card, card
from amiguard.notifiers.webhook.payload import payload
from amiguard.notifiers.webhook.request import Line, NotTaken, line
from amiguard.notifiers.webhook.signature import headers
from amiguard.override import override
from amiguard.ports import Clock, Country, Notice, NoticeKind
from amiguard.queued import Fault, QueuedNotifier
from amiguard.web import where

PATIENCE = 3_600_000
"""Milliseconds for which a message is tried while there is no answer at all."""


@dataclass(slots=True)
class Message:
    """Something that is to be told."""

    content: Content
    at: Timestamp
    id: str = field(default_factory=lambda: f"msg_{secrets.token_hex(12)}")


class CardLayout(Protocol):
    """How a chat wants a card: `layout.Layout`."""

    @property
    def url(self) -> str:
        """Where to post."""

    def body(self, card: Card) -> bytes:
        """Return the body of a request."""


class Webhook(QueuedNotifier[Message, Line]):
    """A `ports.Notifier` that posts JSON.

    With a `layout` it tells people: of bans the first, then digests. Without it tells programs: every ban and unban."""

    name = "webhook"

    def __init__(
        self,
        settings: WebhookSettings,
        clock: Clock,
        journal: Journal,
        layout: CardLayout | None = None,
        country: Country | None = None,
    ) -> None:
        super().__init__(
            where(settings.url),
            settings.waiting,
            journal,
            failed=Action.WEBHOOK_FAILED,
            recovered=Action.WEBHOOK_RECOVERED,
        )
        self._settings = settings
        self._clock = clock
        self._layout = layout
        self._country = country
        self._sender = {"host": settings.hostname, "version": settings.version}
        self._pace = Pace(int(settings.digest * 1000))

    def post(self, notice: Notice) -> None:
        """Take a notice. Returns at once, never raises."""
        if notice.kind not in self._settings.events:
            return
        now = self._clock()
        content: Content | None = notice
        if self._layout is not None or notice.kind is NoticeKind.ALERT:
            content = self._pace.admit(notice, now, room=len(self._waiting) < self._settings.waiting)
        if content is not None:
            self._put(Message(content, now))
        self._posted.set()  # also for what was gathered: it may be due sooner than anything before

    @override
    def _open(self) -> AbstractAsyncContextManager[Line]:
        return line(self._settings)

    @override
    async def _hand_over(self, line: Line, batch: Sequence[Message]) -> None:
        (message,) = batch
        # Looking countries up reads a file.
        url, body = self._request(message) if self._country is None else await asyncio.to_thread(self._request, message)
        await line.post(url, body, headers(message.id, self._clock(), body, self._settings.secret))

    @override
    def _is_final(self, error: Fault) -> bool:
        return isinstance(error, NotTaken) and error.permanent

    @override
    def _is_answer(self, error: Fault) -> bool:
        return isinstance(error, NotTaken)

    @override
    def _is_too_old(self, message: Message) -> bool:
        return self._clock() - message.at > PATIENCE

    @override
    def _gather(self, *, early: bool = False) -> None:
        now = self._clock()
        for content in self._pace.take(now, early=early):
            self._put(Message(content, now))

    @override
    def _due(self) -> float | None:
        return self._pace.wait(self._clock())

    def _request(self, message: Message) -> tuple[str, bytes]:
        if self._layout is None:
            return self._settings.url, payload(message.content, message.at, message.id, self._sender)
        return self._layout.url, self._layout.body(card(message.content, self._settings.hostname, self._country))
