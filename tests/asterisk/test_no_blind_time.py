"""No attempt goes by unseen or counts twice while AMI is away, or the daemon."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

from tests.lab.asterisk import Asterisk
from tests.lab.daemon import Daemon, Site
from tests.lab.guarding import BOTH, all_told, failures, guarded, guesses
from tests.lab.relay import relay
from tests.lab.waiting import until

pytestmark = pytest.mark.asterisk

STEADY = "10.99.156.1"
FAST = "10.99.156.2"
AMI_PORT = 5038
CUT = float(os.environ.get("AMIGUARD_TEST_CUT", "0"))
"""Seconds for which AMI is cut at least."""


@pytest.fixture(params=["asterisk22", "asterisk16"])
def asterisk(request: pytest.FixtureRequest) -> Asterisk:
    found: Asterisk = request.getfixturevalue(request.param)
    return found


async def told(daemon: Daemon, source: str, count: int) -> None:
    await until(lambda: failures(daemon)[source] == count, 20, f"{count} failures of {source}")


async def test_an_attacker_is_banned_while_ami_is_cut_and_nothing_counts_twice(
    asterisk: Asterisk, tmp_path: Path
) -> None:
    async with relay(asterisk.server, AMI_PORT) as line:
        settings = BOTH | {"AMI_PORT": str(line.port), "MAXRETRY": "10"}
        async with guarded(asterisk, tmp_path, [asterisk.full_log], settings) as daemon:
            await guesses(asterisk, STEADY, 3)
            await told(daemon, STEADY, 3)

            await line.cut()
            await daemon.told("ami-lost")
            mended = asyncio.get_running_loop().time() + CUT
            await guesses(asterisk, STEADY, 3)
            await guesses(asterisk, FAST, 10)
            (ban,) = await daemon.told("ban")
            assert (ban["source.ip"], ban["amiguard.source"]) == (FAST, "log")
            await until(lambda: asyncio.get_running_loop().time() >= mended, CUT + 1, "the cut to have lasted")

            await line.mend()
            await daemon.told("ami-connected", 2)
            await guesses(asterisk, STEADY, 3)
            await told(daemon, STEADY, 9)
            await all_told(asterisk, daemon)
            assert {source: failures(daemon)[source] for source in (STEADY, FAST)} == {STEADY: 9, FAST: 10}


def stored(site: Site, log: Path) -> int:
    """Return up to where the database says that the log was read."""
    with closing(sqlite3.connect(site.database)) as database:
        found = database.execute("SELECT offset FROM positions WHERE path = ?", (str(log),)).fetchone()
    return found[0] if found else 0


def over_all(site: Site) -> Counter[str]:
    return sum((failures(daemon) for daemon in site.lives), Counter())


@pytest.mark.parametrize("ending", ["stopped", "killed"])
async def test_what_is_tried_while_the_daemon_is_away_counts_when_it_is_back(
    asterisk: Asterisk, tmp_path: Path, ending: str
) -> None:
    log = asterisk.full_log
    site = Site(asterisk.server, tmp_path, BOTH | {"ASTERISK_LOG": str(log)})

    async def begin() -> Daemon:
        daemon = await site.up()
        await daemon.told("log-opened")
        return daemon

    async def end(daemon: Daemon) -> None:
        await until(lambda: stored(site, log) == log.stat().st_size, 20, "the position to be stored")
        if ending == "killed":
            daemon.kill()
        else:
            assert await daemon.stop() == 0

    try:
        first = await begin()
        await guesses(asterisk, STEADY, 3)
        await told(first, STEADY, 3)
        await end(first)

        await guesses(asterisk, STEADY, 4)
        await guesses(asterisk, FAST, 5)
        second = await begin()
        (ban,) = await second.told("ban")
        assert (ban["source.ip"], ban["amiguard.failures"]) == (FAST, 5)
        assert ban["amiguard.since"] < second.lines("start")[0]["@timestamp"]  # the time of the line that it is for
        await told(second, STEADY, 4)
        await guesses(asterisk, STEADY, 1)
        await second.told("ban", 2)
        await end(second)

        third = await begin()
        await all_told(asterisk, third)
        assert {source: over_all(site)[source] for source in (STEADY, FAST)} == {STEADY: 8, FAST: 5}
        assert not {STEADY, FAST}.intersection(third.banned())
        assert {STEADY, FAST} <= set(site.kernel())
        assert await third.stop() == 0
    finally:
        asterisk.server.run(["nft", "flush", "ruleset"])
