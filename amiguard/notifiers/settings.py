"""What a notifier needs to know, as plain values: made once by the daemon from the operator's settings."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from amiguard.ports import NoticeKind


@dataclass(frozen=True, slots=True)
class MailSettings:
    """Where mail goes, through which server, and when. Durations are seconds."""

    to: tuple[str, ...]
    sender: str
    spool: Path
    """The folder of mails that wait; made with mode 0700."""
    hostname: str
    """This server's name, as subjects and EHLO say it."""
    version: str = ""
    host: str = "localhost"
    port: int = 25
    tls: Literal["none", "starttls", "tls"] = "none"
    """`starttls` and `tls` are required when asked for, and always verify the server's certificate."""
    username: str = ""
    """Empty: no login."""
    password: str = field(default="", repr=False)
    ca_file: Path | None = None
    """Certificates to trust instead of the system's."""
    events: frozenset[NoticeKind] = frozenset(NoticeKind) - {NoticeKind.UNBAN}
    digest: float = 300
    """After a mail about a ban, further bans are gathered for this long; at least one second."""
    whois: bool = True
    timeout: float = 30
    """For opening a session, and again for handing over one mail."""
    waiting: int = 200
    """How many mails the spool holds before the oldest are dropped."""


@dataclass(frozen=True, slots=True)
class WebhookSettings:
    """Where notices are posted, and how. Durations are seconds."""

    url: str = field(repr=False)
    """May hold a token."""
    hostname: str
    """This server's name, as messages say it."""
    version: str = ""
    secret: str = field(default="", repr=False)
    """Empty: not signed."""
    format: Literal["json", "slack", "mattermost", "teams", "ntfy"] = "json"
    ca_file: Path | None = None
    """Certificates to trust instead of the system's."""
    events: frozenset[NoticeKind] = frozenset(NoticeKind)
    digest: float = 300
    """How long further bans (in a chat) and alerts are gathered; at least one second."""
    timeout: float = 10
    """For one request."""
    waiting: int = 1000
    """How many messages wait before the oldest are dropped."""
