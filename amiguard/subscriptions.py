"""Builds what reads the lists of others from the settings. What is not configured is not imported."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from amiguard import __version__
from amiguard.feeds.crowdsec.settings import CrowdSecSettings
from amiguard.feeds.names import APIBAN, CROWDSEC, feeds_of
from amiguard.feeds.settings import FeedSettings
from amiguard.journal import Journal
from amiguard.lists import Feed, Taker
from amiguard.ports import Clock

if TYPE_CHECKING:
    from amiguard.feeds.feed import Source
    from amiguard.settings import Settings


def feed_names(settings: Settings) -> list[str]:
    """Return the names of the lists that these settings ask for."""
    return list(urls_of(settings))


def urls_of(settings: Settings) -> dict[str, str]:
    """Return where each list is had, by its name; a URL may hold a secret."""
    urls = feeds_of(settings.feeds.get_secret_value())
    if settings.apiban_key.get_secret_value():
        urls[APIBAN] = settings.apiban_url
    if settings.crowdsec_api_key.get_secret_value():
        urls[CROWDSEC] = settings.crowdsec_url
    return urls


def feeds_for(settings: Settings, taker: Taker, journal: Journal, clock: Clock) -> list[Feed]:
    """Return what keeps these lists up to date; `taker` gets them."""
    if not feed_names(settings):
        return []
    from amiguard.feeds.feed import PlainFeed

    wanted, sources = feed_settings(settings), sources_of(settings)
    feeds: list[Feed] = [
        PlainFeed(name, source, taker, wanted, journal=journal, clock=clock) for name, source in sources.items()
    ]
    if settings.crowdsec_api_key.get_secret_value():
        from amiguard.feeds.crowdsec.bouncer import Bouncer

        feeds.append(Bouncer(crowdsec_settings(settings), taker, journal, clock))
    return feeds


def sources_of(settings: Settings, **apiban: int) -> dict[str, Source]:
    """Return where each list comes from; `apiban` are further arguments for APIBAN's."""
    wanted = feed_settings(settings)
    sources: dict[str, Source] = {}
    for name, url in feeds_of(settings.feeds.get_secret_value()).items():
        if url.startswith("file:"):
            from amiguard.feeds.file import File

            sources[name] = File(Path(unquote(urlsplit(url).path)), wanted)
        else:
            from amiguard.feeds.web import Web

            sources[name] = Web(url, wanted)
    if key := settings.apiban_key.get_secret_value():
        from amiguard.feeds.apiban import Apiban

        sources[APIBAN] = Apiban(settings.apiban_url, key, wanted, **apiban)
    return sources


def crowdsec_settings(settings: Settings) -> CrowdSecSettings:
    """Return how CrowdSec is reached."""
    return CrowdSecSettings(
        url=settings.crowdsec_url,
        version=__version__,
        node=settings.fleet_node,
        key=settings.crowdsec_api_key.get_secret_value(),
        machine=settings.crowdsec_machine,
        password=settings.crowdsec_password.get_secret_value(),
        ca_file=settings.crowdsec_tls_ca,
        interval=settings.crowdsec_interval / 1000,
        limit=settings.feed_limit,
    )


def feed_settings(settings: Settings) -> FeedSettings:
    """Return how lists are kept."""
    return FeedSettings(
        version=__version__,
        interval=settings.feed_interval / 1000,
        stale=settings.feed_stale,
        limit=settings.feed_limit,
    )
