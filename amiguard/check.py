"""Tries everything that the daemon needs, one after the other, without starting it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

from amiguard.asterisk import advice
from amiguard.asterisk.log.reading import Kind
from amiguard.errors import AmiguardError, SourceError
from amiguard.feeds import feed
from amiguard.feeds.crowdsec import lapi
from amiguard.firewalls import nftables
from amiguard.firewalls.ipset import probing as ipset
from amiguard.notifiers import smtp, webhook
from amiguard.notifying import mail_settings, webhook_settings
from amiguard.settings import Settings
from amiguard.sources import ami, logfile
from amiguard.sources.etc import ETC, read_conf
from amiguard.stores import probe as database
from amiguard.subscriptions import crowdsec_settings, feed_settings, sources_of
from amiguard.wiring import ami_settings, fleet_link, treatment_of, zone_of

CHAN_SIP = "for chan_sip, AMI names the address that the sender chose: follow the log too, or use PJSIP"

FORGEABLE = "believed like UDP datagrams; follow a [json] log too (logger.conf: docs/security.md)"

KINDS = {
    Kind.JSON: "JSON lines, which nobody can forge",
    Kind.PLAIN: f"plain lines, {FORGEABLE}",
    Kind.SYSLOG: f"syslog lines, {FORGEABLE}",
    Kind.UNKNOWN: "no line yet that tells what kind of log it is",
}

ZONE = "set AMIGUARD_ASTERISK_TIMEZONE to Asterisk's zone, or a dateformat with %z in logger.conf"


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found out about one part."""

    name: str
    ok: bool
    text: str


async def check(settings: Settings, etc: Path = ETC) -> AsyncIterator[Finding]:
    """Try each part, also when one before it fails. It takes as long as the slowest server's time-out.

    `etc` is the folder of Asterisk's configuration files; where they are, each line to change is a finding."""
    probes = {
        "ami": _ami,
        "log": _log,
        "time": _time,
        "firewall": _firewall,
        "database": _database,
        "mail": _mail,
        "webhook": _webhook,
        "fleet": _fleet,
        "feeds": _feeds,
        "crowdsec": _crowdsec,
    }
    yield Finding("settings", ok=True, text="all valid")
    for name, probe in probes.items():
        try:
            yield Finding(name, ok=True, text=await probe(settings))
        except AmiguardError as error:
            yield Finding(name, ok=False, text=str(error))
    try:
        for found in _advice(settings, etc):
            yield Finding("asterisk", ok=not found.needed, text=found.text)
    except AmiguardError as error:
        yield Finding("asterisk", ok=True, text=f"not compared: {error}")


def _advice(settings: Settings, etc: Path) -> Iterator[advice.Advice]:
    if settings.ami_username and (conf := read_conf(etc, "manager.conf")):
        local = settings.ami_host == "localhost" or settings.ami_host.startswith(("127.", "::1"))
        secret = settings.ami_secret.get_secret_value()
        yield from advice.manager(conf, settings.ami_username, secret, local=local)
    if settings.asterisk_log and (conf := read_conf(etc, "logger.conf")):
        yield from advice.logger(conf, settings.asterisk_log)


async def _ami(settings: Settings) -> str:
    if not settings.ami_username:
        return "off: AMIGUARD_AMI_USERNAME is empty"
    found = await ami.probe(ami_settings(settings))
    return found if settings.asterisk_log else f"{found}; {CHAN_SIP}"


async def _log(settings: Settings) -> str:
    if not settings.asterisk_log:
        return "off: AMIGUARD_ASTERISK_LOG is empty; what AMI can't tell is not seen (docs/security.md)"
    return "; ".join([f"{await logfile.probe(path)}, {KINDS[logfile.kind_at(path)]}" for path in settings.asterisk_log])


async def _time(settings: Settings) -> str:
    zone = zone_of(settings)
    for path in settings.asterisk_log:
        seconds = logfile.skew(path, zone)
        if seconds is not None and abs(seconds) * 1000 > logfile.SKEW:
            when = f"{abs(seconds)} s {'before' if seconds > 0 else 'after'} its writing"
            raise SourceError(f"the last line of {path} names a time {when}: {ZONE}")
    return "the last lines name the time of their writing" if settings.asterisk_log else "off: no log is followed"


async def _firewall(settings: Settings) -> str:
    if settings.firewall == "dry-run":
        return "dry-run: bans are only logged, nothing is dropped"
    if settings.firewall == "ipset":
        return await ipset.probe(treatment_of(settings))
    return await nftables.probe(treatment_of(settings))


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


async def _fleet(settings: Settings) -> str:
    if not settings.redis_url.get_secret_value():
        return "off: AMIGUARD_REDIS_URL is empty"
    link = fleet_link(settings)
    try:
        return await link.probe()
    finally:
        await link.close()


async def _feeds(settings: Settings) -> str:
    sources = sources_of(settings, pages=1)
    if not sources:
        return "off: AMIGUARD_FEEDS and AMIGUARD_APIBAN_KEY are empty"
    wanted = feed_settings(settings)
    return "; ".join([await feed.probe(name, source, wanted) for name, source in sources.items()])


async def _crowdsec(settings: Settings) -> str:
    if not (settings.crowdsec_machine or settings.crowdsec_api_key.get_secret_value()):
        return "off: AMIGUARD_CROWDSEC_MACHINE and AMIGUARD_CROWDSEC_API_KEY are empty"
    return await lapi.probe(crowdsec_settings(settings))
