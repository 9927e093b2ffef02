"""Tries everything that the daemon needs, one after the other, without starting it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

from amiguard.asterisk.log.reading import Kind
from amiguard.errors import AmiguardError
from amiguard.firewalls import nftables
from amiguard.notifiers import smtp, webhook
from amiguard.settings import Settings
from amiguard.sources import ami, logfile
from amiguard.stores import probe as database
from amiguard.wiring import ami_settings, mail_settings, webhook_settings

CHAN_SIP = "for chan_sip, AMI names the address that the sender chose: follow the log too, or use PJSIP"

FORGEABLE = "believed like UDP datagrams; follow a [json] log too (logger.conf: docs/security.md)"

KINDS = {
    Kind.JSON: "JSON lines, which nobody can forge",
    Kind.PLAIN: f"plain lines, {FORGEABLE}",
    Kind.SYSLOG: f"syslog lines, {FORGEABLE}",
    Kind.UNKNOWN: "no line yet that tells what kind of log it is",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found out about one part."""

    name: str
    ok: bool
    text: str


async def check(settings: Settings) -> AsyncIterator[Finding]:
    """Try each part, also when one before it fails. It takes as long as the slowest server's time-out."""
    probes = {
        "ami": _ami,
        "log": _log,
        "firewall": _firewall,
        "database": _database,
        "mail": _mail,
        "webhook": _webhook,
    }
    yield Finding("settings", ok=True, text="all valid")
    for name, probe in probes.items():
        try:
            yield Finding(name, ok=True, text=await probe(settings))
        except AmiguardError as error:
            yield Finding(name, ok=False, text=str(error))


async def _ami(settings: Settings) -> str:
    if not settings.ami_username:
        return "off: AMIGUARD_AMI_USERNAME is empty"
    found = await ami.probe(ami_settings(settings))
    return found if settings.asterisk_log else f"{found}; {CHAN_SIP}"


async def _log(settings: Settings) -> str:
    if not settings.asterisk_log:
        return "off: AMIGUARD_ASTERISK_LOG is empty; what AMI can't tell is not seen (docs/security.md)"
    return "; ".join([f"{await logfile.probe(path)}, {KINDS[logfile.kind_at(path)]}" for path in settings.asterisk_log])


async def _firewall(settings: Settings) -> str:
    if settings.firewall == "dry-run":
        return "dry-run: bans are only logged, nothing is dropped"
    return await nftables.probe()


async def _database(settings: Settings) -> str:
    return await database.probe(settings.database)


async def _mail(settings: Settings) -> str:
    if not settings.mail_to:
        return "off: AMIGUARD_MAIL_TO is empty"
    return await smtp.probe(mail_settings(settings))


async def _webhook(settings: Settings) -> str:
    if not settings.webhook_url.get_secret_value():
        return "off: AMIGUARD_WEBHOOK_URL is empty"
    return await webhook.probe(webhook_settings(settings))
