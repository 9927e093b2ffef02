"""What a daemon costs while nothing happens: memory, and its share of a core."""

from __future__ import annotations

import asyncio
import statistics
from pathlib import Path

from tests.bench.peers.peer import cpu_of
from tests.bench.table import Figure
from tests.lab.daemon import Daemon
from tests.lab.stage import Stage, stage

SETTLE = 10.0
WINDOW, WINDOWS = 10.0, 5


async def idle() -> list[Figure]:
    """Measure what a usual installation costs, the same once somebody has asked it something, and the least."""
    async with stage(MAIL_TO="admin@example.org", SMTP_HOST="127.0.0.1", WHOIS="false") as place:
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
