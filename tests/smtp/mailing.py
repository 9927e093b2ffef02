"""The mail notifier as the daemon runs it, and what it is given."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from amiguard.clock import steady_clock
from amiguard.model import Ban, Evidence, Reason, parse_target
from amiguard.notifiers.mail import Mail, MailSettings
from amiguard.notifiers.whois import Whois
from amiguard.ports import Notice, NoticeKind
from tests.lab.journal import RecordingJournal

HOSTNAME = "pbx1.example.org"
clock = steady_clock()
NOW = 1_795_000_000_000


@asynccontextmanager
async def mailing(settings: MailSettings, journal: RecordingJournal, whois: Whois | None = None) -> AsyncIterator[Mail]:
    """Run a notifier until the end of the block, without the drain that the daemon would do then."""
    mail = Mail(settings, clock, journal, whois)
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
