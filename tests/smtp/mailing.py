"""The mail notifier as the daemon runs it, and what it is given."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from amiguard.journal import Action
from amiguard.model import Ban, Evidence, Reason, parse_target
from amiguard.notifiers.mail import Mail, MailSettings
from amiguard.notifiers.whois import Whois
from amiguard.ports import Notice, NoticeKind

HOSTNAME = "pbx1.example.org"
NOW = 1_795_000_000_000


@dataclass
class Lines:
    """A journal that remembers."""

    written: list[tuple[Action, str, dict[str, object]]] = field(default_factory=list)

    def write(self, action: Action, message: str = "", /, **fields: object) -> None:
        self.written.append((action, message, fields))

    def of(self, action: Action) -> list[dict[str, object]]:
        return [fields for one, _, fields in self.written if one is action]


def clock() -> int:
    return time.time_ns() // 1_000_000


@asynccontextmanager
async def mailing(settings: MailSettings, lines: Lines, whois: Whois | None = None) -> AsyncIterator[Mail]:
    """Run a notifier until the end of the block, without the drain that the daemon would do then."""
    mail = Mail(settings, clock, lines, whois)
    task = asyncio.create_task(mail.run())
    try:
        yield mail
    finally:
        if task.done():
            await task  # shows why it ended early
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def letters(spool: Path) -> list[Path]:
    return sorted(spool.glob("*.mail"))


def mail_settings(spool: Path, port: int, **changes: Any) -> MailSettings:
    values: dict[str, Any] = {
        "to": ("admin@example.org",),
        "sender": "amiguard@pbx1.example.org",
        "spool": spool,
        "hostname": HOSTNAME,
        "version": "1.2.3",
        "host": "127.0.0.1",
        "port": port,
        "whois": False,
        "timeout": 5,
    }
    return MailSettings(**(values | changes))


def ban(target: str = "198.51.100.7", **changes: Any) -> Ban:
    values: dict[str, Any] = {
        "target": parse_target(target),
        "since": NOW,
        "until": NOW + 432_000_000,
        "reason": Reason.WRONG_PASSWORD,
        "evidence": Evidence.CONNECTED,
        "failures": 5,
        "accounts": ("100", "alice"),
        "service": "PJSIP",
        "transport": "TLS",
    }
    return Ban(**(values | changes))


def ban_notice(target: str = "198.51.100.7", **changes: Any) -> Notice:
    return Notice(NoticeKind.BAN, NOW, ban(target, **changes))
