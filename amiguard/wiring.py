"""Builds the parts from the settings. What is not configured is not imported: every library costs memory and time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, tzinfo
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from amiguard import __version__
from amiguard.control.settings import Address, ControlSettings
from amiguard.errors import SettingsError
from amiguard.fleet.places import parse
from amiguard.fleet.settings import Allow, FleetSettings
from amiguard.guard import Guard
from amiguard.journal import Journal
from amiguard.nodes import Fleet
from amiguard.ports import Clock, Firewall, Position, Successor
from amiguard.stores.sqlite import SqliteStore
from amiguard.subscriptions import feed_names

if TYPE_CHECKING:
    from amiguard.control.controlled import Metrics
    from amiguard.firewalls.treatment import Treatment
    from amiguard.fleet.link import Link
    from amiguard.settings import Settings
    from amiguard.sources.ami import AmiSettings, AmiSource, Handover
    from amiguard.sources.logfile import LogIntake, LogSource

LOCALTIME = Path("/etc/localtime")


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


def control_settings(settings: Settings) -> ControlSettings:
    """Return how the daemon is reached."""
    listen = settings.http_listen
    return ControlSettings(
        socket=settings.control_socket,
        group=settings.control_group,
        http=None if listen is None else Address(listen.host, listen.port),
        token=settings.http_token.get_secret_value(),
    )


def metrics_of(guard: Guard) -> Metrics:
    """Return what Prometheus scrapes; its library is imported when it first does."""

    async def scraped() -> tuple[bytes, str]:
        from amiguard.control.metrics import exposition

        return exposition(await guard.administration.measure())

    return scraped


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


def ami_source(
    settings: Settings, guard: Guard, trunks: Callable[[frozenset[str]], None], journal: Journal, clock: Clock
) -> AmiSource | None:
    """Return what hears Asterisk over AMI, and tells `trunks` of where it registers; None where no user is named."""
    if not settings.ami_username:
        return None
    from amiguard.sources.ami import AmiSource

    sink = partial(guard.observe, source="ami")
    if not settings.protect_registered:
        return AmiSource(ami_settings(settings), sink, journal, clock)
    from amiguard.sources.presence import Registrations

    asked = Registrations(guard.presence.learn, trunks, journal, clock)
    return AmiSource(ami_settings(settings), sink, journal, clock, asked.ask)


async def prove_ami(settings: Settings) -> None:
    """Log in to Asterisk once. Raises SourceError, SettingsError."""
    from amiguard.sources.ami import probe

    await probe(ami_settings(settings))


def handover_of(old: AmiSource, new: AmiSource, clock: Clock) -> Handover:
    """Return what lets one connection to Asterisk take over from another; `new` is to be started after this."""
    from amiguard.sources.ami import Handover

    return Handover(old, new, clock)


def log_intake(settings: Settings, guard: Guard, journal: Journal, clock: Clock) -> LogIntake | None:
    """Return what reads the lines of Asterisk's logs; None where none is followed."""
    if not settings.asterisk_log:
        return None
    from amiguard.sources.logfile import LogIntake

    return LogIntake(guard.observe, zone_of(settings), journal, clock)


def log_source(
    settings: Settings, intake: LogIntake, positions: Sequence[Position], journal: Journal, clock: Clock
) -> LogSource:
    """Return what follows Asterisk's logs, from `positions` on."""
    from amiguard.sources.logfile import LogSource

    known = {position.path: position for position in positions}
    return LogSource(settings.asterisk_log, intake.take, journal, clock, positions=known)


def firewall_of(settings: Settings) -> Firewall:
    """Return what enforces bans."""
    if settings.firewall == "dry-run":
        from amiguard.firewalls.dryrun import DryRun

        return DryRun()
    if settings.firewall == "ipset":
        from amiguard.firewalls.ipset.firewall import Ipset

        return Ipset(treatment_of(settings), counters=settings.firewall_counters, feeds=feed_names(settings))
    from amiguard.firewalls.nftables import Nftables

    return Nftables(
        settings.firewall_table,
        treatment_of(settings),
        counters=settings.firewall_counters,
        owner=settings.firewall_owner,
        feeds=feed_names(settings),
    )


def treatment_of(settings: Settings) -> Treatment:
    """Return what becomes of packets of banned sources."""
    from amiguard.firewalls.treatment import Treatment

    return Treatment(settings.firewall_verdict, settings.firewall_ports)


def fleet_of(settings: Settings, journal: Journal, clock: Clock) -> Fleet | None:
    """Return the other nodes; None where no Redis is named.

    Raises:
        SettingsError: its library is not installed.
    """
    if not settings.redis_url.get_secret_value():
        return None
    with _fleet_installed():
        from amiguard.fleet.node import Node

    return Node(fleet_settings(settings), journal, clock)


def fleet_link(settings: Settings) -> Link:
    """Return a connection to Redis, to try it. Raises SettingsError: its library is not installed."""
    with _fleet_installed():
        from amiguard.fleet.link import Link

    return Link(fleet_settings(settings))


def fleet_settings(settings: Settings) -> FleetSettings:
    """Return who this node is, and where the others are met."""
    url = settings.redis_url.get_secret_value()
    return FleetSettings(
        url=url,
        server=parse(url).name,
        node=settings.fleet_node,
        prefix=settings.fleet_prefix,
        version=__version__,
        count=settings.fleet_count,
        allow=Allow(settings.fleet_allow),
    )


@contextmanager
def _fleet_installed() -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError as error:
        raise SettingsError([f"AMIGUARD_REDIS_URL needs amiguard[fleet], which is not installed: {error}"]) from error


def store_of(settings: Settings, journal: Journal) -> Successor:
    """Return what remembers bans over restarts."""
    return SqliteStore(settings.database, journal, times=settings.recidive > 0)
