"""What a daemon costs while nothing happens: memory, and its share of a core."""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.bench.peers.peer import cpu_of
from tests.bench.table import Figure
from tests.lab.daemon import Daemon
from tests.lab.stage import Stage, stage
from tests.smtp.servers import Sink, smtp_server

SETTLE = 10.0
WINDOW, WINDOWS = 10.0, 5

GROUP = "root"
"""One that exists, as `amiguard` does on a usual installation: to look for one that doesn't, libc loads more."""


async def idle() -> list[Figure]:
    """Measure what a usual installation costs, the same once somebody has asked it something, and the least."""
    async with stage(MAIL_TO="admin@example.org", WHOIS="false", CONTROL_GROUP=GROUP) as place, mailed(place):
        daemon = await _usual(place)
        await asyncio.sleep(SETTLE)
        share = statistics.median([await _share(daemon) for _ in range(WINDOWS)])
        figures = [
            Figure("AMI, a log, mail, nftables: resident", daemon.resident() / 1e6, "MB", 40),
            Figure("AMI, a log, mail, nftables: share of a core", share, "%", 0.05),
        ]
        await daemon.status()
        figures.append(Figure("once a client has come: resident", daemon.resident() / 1e6, "MB"))
        await asyncio.sleep(SETTLE)
        share = statistics.median([await _share(daemon) for _ in range(WINDOWS)])
        figures.append(Figure("once a client has come: share of a core", share, "%", 0.05))
    async with stage() as place:
        daemon = await place.site.up()
        await asyncio.sleep(1)
        figures.append(Figure("AMI, nftables: resident", daemon.resident() / 1e6, "MB", 40))
    return figures


@asynccontextmanager
async def mailed(place: Stage) -> AsyncIterator[None]:
    """Have a mail server take what is sent: one that is away is tried again and again."""
    with place.namespace.entered():
        serving = smtp_server(Sink())
        sink = await serving.__aenter__()
    try:
        place.site.settings |= {"SMTP_HOST": "127.0.0.1", "SMTP_PORT": str(sink.port)}
        yield
        assert sink.envelopes, "the mail of the start did not arrive"
    finally:
        await serving.__aexit__(None, None, None)


async def _usual(place: Stage) -> Daemon:
    log = place.site.folder / "full"
    _empty(log)
    place.site.settings["ASTERISK_LOG"] = str(log)
    daemon = await place.site.up()
    await daemon.told("log-opened")
    return daemon


def _empty(log: Path) -> None:
    log.touch()


async def _share(daemon: Daemon) -> float:
    before = cpu_of(daemon.pid)
    await asyncio.sleep(WINDOW)
    return (cpu_of(daemon.pid) - before) / WINDOW * 100
