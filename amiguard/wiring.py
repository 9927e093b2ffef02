"""Builds the parts from the settings. What is not configured is not imported: every library costs memory and time."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from datetime import UTC, tzinfo
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from amiguard import __version__
from amiguard.guard import Guard
from amiguard.journal import Journal
from amiguard.notifiers.settings import MailSettings
from amiguard.policy import Policy, Slow
from amiguard.ports import Clock, Firewall, Notifier, Position, Source
from amiguard.settings import Settings

if TYPE_CHECKING:
    from amiguard.sources.ami import AmiSettings

LOCALTIME = Path("/etc/localtime")


def policy_of(settings: Settings) -> Policy:
    """Return when and for how long to ban."""
    return Policy(
        maxretry=settings.maxretry,
        findtime=settings.findtime,
        bantime=settings.bantime,
        unproven_bantime=settings.unproven_bantime,
        slow=Slow(settings.slow_maxretry, settings.slow_findtime) if settings.slow_maxretry else None,
    )


def ami_settings(settings: Settings) -> AmiSettings:
    """Return how to reach Asterisk."""
    from amiguard.sources.ami import AmiSettings

    return AmiSettings(
        host=settings.ami_host,
        port=settings.ami_port,
        username=settings.ami_username,
        secret=settings.ami_secret.get_secret_value(),
        tls=settings.ami_tls,
        tls_ca=settings.ami_tls_ca,
        tls_server_name=settings.ami_tls_server_name or "",
        tls_verify=settings.ami_tls_verify,
    )


def mail_settings(settings: Settings) -> MailSettings:
    """Return how to send mail."""
    return MailSettings(
        to=settings.mail_to,
        sender=settings.mail_from,
        spool=settings.mail_spool,
        hostname=socket.gethostname(),
        version=__version__,
        host=settings.smtp_host,
        port=settings.smtp_port,
        tls=settings.smtp_tls,
        username=settings.smtp_username,
        password=settings.smtp_password.get_secret_value(),
        ca_file=settings.smtp_tls_ca,
        events=frozenset(settings.mail_events),
        digest=settings.mail_digest / 1000,
        whois=settings.whois,
    )


def zone_of(settings: Settings) -> tzinfo:
    """Return the zone of Asterisk's log lines; where this machine's own can't be told, UTC."""
    name = settings.asterisk_timezone
    if name != "local":
        return ZoneInfo(name)
    try:
        with LOCALTIME.open("rb") as file:
            return ZoneInfo.from_file(file, "local")
    except (OSError, ValueError):
        return UTC


def sources_of(
    settings: Settings, guard: Guard, positions: Sequence[Position], journal: Journal, clock: Clock
) -> list[Source]:
    """Return what tells of failures: AMI, the logs, or both."""
    sources: list[Source] = []
    if settings.ami_username:
        from amiguard.sources.ami import AmiSource

        sources.append(AmiSource(ami_settings(settings), partial(guard.observe, source="ami"), journal, clock))
    if settings.asterisk_log:
        from amiguard.sources.logfile import LogIntake, LogSource

        intake = LogIntake(guard.observe, zone_of(settings), journal, clock)
        known = {position.path: position for position in positions}
        sources.append(LogSource(settings.asterisk_log, intake.take, journal, clock, positions=known))
    return sources


def firewall_of(settings: Settings) -> Firewall:
    """Return what enforces bans."""
    if settings.firewall == "dry-run":
        from amiguard.firewalls.dryrun import DryRun

        return DryRun()
    from amiguard.firewalls.nftables import Nftables

    return Nftables()


def notifiers_of(settings: Settings, journal: Journal, clock: Clock) -> Sequence[Notifier]:
    """Return who tells the administrator; nobody without `MAIL_TO`."""
    if not settings.mail_to:
        return ()
    from amiguard.notifiers.mail import Mail

    return (Mail(mail_settings(settings), clock, journal),)
