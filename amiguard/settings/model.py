"""Every setting: its type, default and meaning. `docs/configuration.md` shows the same table; a test keeps them equal.

A field's order matters: what a check compares it with stands above it."""

from __future__ import annotations

import ipaddress
import socket
from pathlib import Path
from typing import Any

from pydantic import Field, SecretStr, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict
from typing_extensions import override

from amiguard.model import Address, Target
from amiguard.ports import NoticeKind
from amiguard.settings.durations import UNITS
from amiguard.settings.kinds import (
    Bantime,
    Count,
    Duration,
    FilePath,
    FilePaths,
    FirewallKind,
    Host,
    LogFormat,
    LogLevel,
    Mailbox,
    Mailboxes,
    MailEvents,
    OptionalFile,
    OptionalHost,
    Port,
    Secret,
    SmtpTls,
    SocketPath,
    Switch,
    Targets,
    Text,
    Timezone,
    is_mailbox,
)

PREFIX = "AMIGUARD_"
DATABASE = Path("/var/lib/amiguard/amiguard.db")


def _own_mailbox() -> str:
    mailbox = f"amiguard@{socket.gethostname()}"
    return mailbox if is_mailbox(mailbox) else "amiguard@localhost"


def _spool(earlier: dict[str, Any]) -> Path:
    database: Path = earlier.get("database", DATABASE)
    return database.parent / "mail"


def _same_as_bantime(earlier: dict[str, Any]) -> int | None:
    bantime: int | None = earlier.get("bantime")
    return bantime


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower().rstrip(".") == "localhost"


class Settings(BaseSettings):
    """What the operator decided. Durations are milliseconds; None is a permanent ban.

    Made by `load`; made directly it takes typed values and reads neither environment nor files."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid", hide_input_in_errors=True)

    asterisk_log: FilePaths = Field(
        (), description="Asterisk's log files to follow beside AMI: `full`, `messages`, `security`, plain or `[json]`"
    )
    asterisk_timezone: Timezone = Field("local", description="the zone of log lines whose time has no offset")
    ami_host: Host = Field("127.0.0.1", description="where Asterisk's manager interface listens")
    ami_port: Port = Field(5038, description="its port")
    ami_username: Text = Field("", validate_default=True, description="the manager user; empty = no AMI, only the log")
    ami_secret: Secret = Field(SecretStr(""), validate_default=True, description="the manager user's secret")
    ami_tls: Switch = Field(default=False, description="speak TLS with Asterisk")
    ami_tls_ca: OptionalFile = Field(
        None, description="trust these certificates; empty = those of the operating system"
    )
    ami_tls_server_name: OptionalHost = Field(
        None, description="the name in Asterisk's certificate, where it is not `AMI_HOST`"
    )
    ami_tls_verify: Switch = Field(default=True, description="check Asterisk's certificate; `false` trusts anybody")
    maxretry: Count = Field(5, description="failures within `FINDTIME` that lead to a ban")
    findtime: Duration = Field(10 * UNITS["m"], description="for how long a failure counts")
    bantime: Bantime = Field(5 * UNITS["d"], description="how long a ban lasts (5d = 432000)")
    unproven_bantime: Bantime = Field(
        default_factory=_same_as_bantime,
        description="how long where only UDP datagrams, which can be forged, claim the address; empty = as `BANTIME`",
    )
    ignoreip: Targets = Field((Target("127.0.0.0/8"), Address(Target("::1"))), description="who is never banned")
    firewall: FirewallKind = Field(
        "nftables", description="where bans are put; `dry-run` only logs them and drops nothing"
    )
    database: FilePath = Field(DATABASE, description="the SQLite file that remembers bans over restarts")
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
    smtp_password: Secret = Field(SecretStr(""), validate_default=True, description="its password")
    mail_events: MailEvents = Field(tuple(NoticeKind), description="what is mailed")
    mail_digest: Duration = Field(
        5 * UNITS["m"], description="the first ban is mailed at once, later ones together once in this time"
    )
    mail_spool: FilePath = Field(
        default_factory=_spool,
        description="the folder where mails wait for the server; empty = `mail` beside `DATABASE`",
    )
    whois: Switch = Field(default=True, description="look up who owns a banned address, for the mail")
    control_socket: SocketPath = Field(
        Path("/run/amiguard/amiguard.sock"), description="where `amiguard status`, `ban`, ... reach the daemon"
    )
    log_format: LogFormat = Field(
        "ecs", description="own log on standard output: JSON with ECS field names, or text for people"
    )
    log_level: LogLevel = Field("info", description="leave out lines below this level; `warning` hides failures")

    @classmethod
    @override
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take only what is handed in: `places` reads environment and files, and says there why not pydantic."""
        del settings_cls, env_settings, dotenv_settings, file_secret_settings
        return (init_settings,)

    @field_validator("ami_username")
    @classmethod
    def _there_is_a_source(cls, username: str, info: ValidationInfo) -> str:
        if not username and not info.data.get("asterisk_log"):
            raise ValueError(
                "is not set, nor is AMIGUARD_ASTERISK_LOG, so there is no source of events; "
                "name a manager user that has read=security"
            )
        return username

    @field_validator("ami_secret")
    @classmethod
    def _login_is_complete(cls, secret: SecretStr, info: ValidationInfo) -> SecretStr:
        if info.data.get("ami_username") and not secret.get_secret_value():
            raise ValueError(f"is not set; give the secret of the manager user {info.data['ami_username']!r}")
        return secret

    @field_validator("ami_tls_ca", "ami_tls_server_name")
    @classmethod
    def _ami_speaks_tls(cls, value: Path | str | None, info: ValidationInfo) -> Path | str | None:
        if value is not None and info.data.get("ami_tls") is False:
            raise ValueError("has no effect without TLS; set AMIGUARD_AMI_TLS=true")
        return value

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
