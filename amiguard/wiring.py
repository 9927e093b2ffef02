"""Builds the parts from the settings. What is not configured is not imported: every library costs memory and time."""

from __future__ import annotations

import socket
from collections.abc import Sequence

from amiguard import __version__
from amiguard.jail import Policy
from amiguard.journal import Journal
from amiguard.notifiers.settings import MailSettings
from amiguard.ports import Clock, Firewall, Notifier
from amiguard.settings import Settings
from amiguard.sources.ami import AmiSettings


def policy_of(settings: Settings) -> Policy:
    """Return when and for how long to ban."""
    return Policy(settings.maxretry, settings.findtime, settings.bantime, settings.unproven_bantime)


def ami_settings(settings: Settings) -> AmiSettings:
    """Return how to reach Asterisk."""
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
