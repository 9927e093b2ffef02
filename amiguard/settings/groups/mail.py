"""Who is told by mail, and how."""

from __future__ import annotations

import ipaddress
import socket
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field, SecretStr, ValidationInfo, field_validator

from amiguard.ports import NoticeKind
from amiguard.settings.durations import UNITS
from amiguard.settings.groups.store import DATABASE
from amiguard.settings.kinds import (
    Duration,
    FilePath,
    GeoDatabase,
    Host,
    Mailbox,
    Mailboxes,
    MailEvents,
    OptionalFile,
    Port,
    Secret,
    SmtpTls,
    Switch,
    Text,
    is_mailbox,
)


def _own_mailbox() -> str:
    mailbox = f"amiguard@{socket.gethostname()}"
    return mailbox if is_mailbox(mailbox) else "amiguard@localhost"


def _spool(earlier: dict[str, Any]) -> Path:
    database: Path = earlier.get("database", DATABASE)
    return database.parent / "mail"


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower().rstrip(".") == "localhost"


class MailGroup(BaseModel):
    """Who is told by mail, and how."""

    mail_to: Mailboxes = Field((), description="who gets mail; empty = no mail")
    mail_from: Mailbox = Field(
        default_factory=_own_mailbox, description="the sender; empty = `amiguard@` and this host's name"
    )
    smtp_host: Host = Field("localhost", description="the mail server")
    smtp_port: Port = Field(25, description="its port")
    smtp_tls: SmtpTls = Field("none", description="encryption; `starttls` usually at port 587, `tls` at 465")
    smtp_tls_ca: OptionalFile = Field(
        None, description="trust these certificates; empty = those of the operating system"
    )
    smtp_username: Text = Field("", description="the login at the mail server; empty = none")
    smtp_password: Secret = Field(SecretStr(""), description="its password")
    mail_events: MailEvents = Field(
        (NoticeKind.START, NoticeKind.STOP, NoticeKind.BAN, NoticeKind.ALERT), description="what is mailed"
    )
    mail_digest: Duration = Field(
        5 * UNITS["m"],
        description="the first ban is told at once, later ones together once in this time; so are alerts",
    )
    mail_spool: FilePath = Field(
        default_factory=_spool,
        description="the folder where mails wait for the server; empty = `mail` beside `DATABASE`",
    )
    geoip_database: GeoDatabase = Field(
        None,
        description="tells the countries of bans in digests, commands and on the page; needs `amiguard[geo]`",
    )
    whois: Switch = Field(default=True, description="look up who owns a banned address, for the mail")

    @field_validator("smtp_tls_ca")
    @classmethod
    def _smtp_speaks_tls(cls, value: Path | None, info: ValidationInfo) -> Path | None:
        if value is not None and info.data.get("smtp_tls") == "none":
            raise ValueError("has no effect without TLS; set AMIGUARD_SMTP_TLS to starttls or tls")
        return value

    @field_validator("smtp_password")
    @classmethod
    def _smtp_login_is_complete_and_private(cls, password: SecretStr, info: ValidationInfo) -> SecretStr:
        username, given = info.data.get("smtp_username"), bool(password.get_secret_value())
        if username is not None and bool(username) != given:
            raise ValueError(
                "is set without AMIGUARD_SMTP_USERNAME; set both or none"
                if given
                else "is not set, but AMIGUARD_SMTP_USERNAME is; set both or none"
            )
        if given and info.data.get("smtp_tls") == "none" and not _is_loopback(info.data.get("smtp_host", "localhost")):
            raise ValueError(
                "would cross the network in clear text; set AMIGUARD_SMTP_TLS to starttls or tls, "
                "or use a mail server on this host"
            )
        return password
