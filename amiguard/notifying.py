"""Builds who tells the administrator from the settings. What is not configured is not imported."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from amiguard import __version__
from amiguard.errors import NotifierError
from amiguard.journal import Action, Journal
from amiguard.notifiers.settings import MailSettings, WebhookSettings
from amiguard.ports import Clock, Country, Notifier
from amiguard.subscriptions import crowdsec_settings

if TYPE_CHECKING:
    from amiguard.notifiers.webhook import Webhook
    from amiguard.settings import Settings


@runtime_checkable
class HandsOn(Protocol):
    """A notifier in whose memory messages wait."""

    def hand_on(self, successor: Any, /) -> None:  # noqa: ANN401 -- one of its own kind
        """Let `successor` tell what waits. Called once `run` has ended."""


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


def webhook_settings(settings: Settings) -> WebhookSettings:
    """Return how to post notices."""
    return WebhookSettings(
        url=settings.webhook_url.get_secret_value(),
        hostname=socket.gethostname(),
        version=__version__,
        secret=settings.webhook_secret.get_secret_value(),
        format=settings.webhook_format,
        ca_file=settings.webhook_tls_ca,
        events=frozenset(settings.webhook_events),
        digest=settings.mail_digest / 1000,
    )


def notifiers_of(settings: Settings, journal: Journal, clock: Clock, country: Country | None) -> list[Notifier]:
    """Return who tells the administrator, and CrowdSec; nobody without `MAIL_TO`, `WEBHOOK_URL`, `CROWDSEC_MACHINE`."""
    notifiers: list[Notifier] = []
    if settings.mail_to:
        from amiguard.notifiers.mail import Mail

        notifiers.append(Mail(mail_settings(settings), clock, journal, country=country))
    if settings.webhook_url.get_secret_value():
        notifiers.append(_webhook(settings, journal, clock, country))
    if settings.crowdsec_machine and settings.firewall != "dry-run":
        from amiguard.feeds.crowdsec.processor import Processor

        notifiers.append(Processor(crowdsec_settings(settings), journal))
    return notifiers


def country_of(settings: Settings, journal: Journal) -> Country | None:
    """Return what tells countries; nothing without `GEOIP_DATABASE`."""
    if settings.geoip_database is None:
        return None
    from amiguard.geo import Countries

    return Countries(settings.geoip_database, journal)


def _webhook(settings: Settings, journal: Journal, clock: Clock, country: Country | None) -> Webhook:
    from amiguard.notifiers.webhook import Webhook

    wanted = webhook_settings(settings)
    if wanted.format == "json":
        return Webhook(wanted, clock, journal)
    from amiguard.notifiers.webhook.layout import Layout

    return Webhook(wanted, clock, journal, Layout(wanted.format, wanted.url), country)


def hand_on_messages(old: Sequence[Notifier], new: Sequence[Notifier]) -> None:
    """Let each new notifier tell what waits in the memory of the old one of its kind."""
    for one in old:
        for other in new:
            if type(one) is type(other) and isinstance(one, HandsOn):
                one.hand_on(other)


async def hand_on_letters(before: Settings, settings: Settings, journal: Journal) -> None:
    """Move the mails that wait to where they are looked for from now on."""
    if not settings.mail_to:
        return
    from amiguard.notifiers.spool import hand_on

    waiting = mail_settings(settings).waiting
    try:
        await asyncio.to_thread(hand_on, before.mail_spool, settings.mail_spool, waiting)
    except NotifierError as error:
        journal.write(Action.MAIL_FAILED, f"mails stay in {before.mail_spool}", error=error)
