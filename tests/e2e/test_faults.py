"""What the daemon depends on fails: it says so, and goes on banning."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest

from amiguard.errors import ControlError
from tests.lab.daemon import Daemon, Site, unprivileged
from tests.lab.guessing import attacker
from tests.lab.stage import Stage
from tests.lab.waiting import until

pytestmark = pytest.mark.netns

FIRST, SECOND = "198.18.0.7", "198.18.0.8"
PIPE_SIZE = 4096


async def test_a_flush_of_all_rules_passes_over_what_amiguard_owns(place: Stage) -> None:
    daemon = await place.site.up()
    await place.guess(FIRST, times=5)
    await daemon.told("ban")
    place.namespace.run(["nft", "flush", "ruleset"])
    assert not await place.arrives(FIRST)

    await place.guess(SECOND, times=5)

    await daemon.told("ban", 2)
    assert daemon.lines("firewall-healed") == []
    assert set(place.site.kernel()) == {FIRST, SECOND}


async def test_what_anybody_may_change_is_back_at_once_with_all_bans(place: Stage) -> None:
    place.site.settings["FIREWALL_OWNER"] = "false"
    daemon = await place.site.up()
    await place.guess(FIRST, SECOND, times=5)
    await daemon.told("ban", 2)

    place.namespace.run(["nft", "flush", "ruleset"])

    (line,) = await daemon.told("firewall-healed")
    assert line["process.name"] == "nft"
    assert set(place.site.kernel()) == {FIRST, SECOND}
    assert not await place.arrives(FIRST)
    assert len(daemon.lines("ban")) == 2


async def test_a_second_daemon_in_the_same_table_says_so_and_ends(place: Stage, tmp_path: Path) -> None:
    daemon = await place.site.up()
    await place.guess(FIRST, times=5)
    await daemon.told("ban")
    other = Site(place.namespace, tmp_path, dict(place.site.settings))

    second = other.start()

    await until(lambda: second.process.poll() is not None, what="the second daemon ends")
    assert second.process.returncode == 1
    assert "AMIGUARD_FIREWALL_TABLE" in second.lines("firewall-failed")[0]["message"]
    other.settings["FIREWALL_TABLE"] = "amiguard2"
    third = other.start()
    await third.told("ami-connected")
    assert await third.stop() == 0
    assert not await place.arrives(FIRST)


async def test_when_asterisk_restarts_the_daemon_goes_on(place: Stage) -> None:
    daemon = await place.site.up()
    await place.guess(FIRST, times=5)
    await daemon.told("ban")

    place.server.kick()

    await daemon.told("ami-lost")
    await daemon.told("ami-connected", 2)
    assert [*place.site.kernel()] == [FIRST]
    await place.guess(SECOND, times=5)
    await daemon.told("ban", 2)
    assert not await place.arrives(SECOND)


async def test_a_corrupt_database_is_told_of_and_left_alone_while_bans_go_on(place: Stage) -> None:
    garbage = b"this is no database " * 1000
    place.site.database.write_bytes(garbage)

    daemon = await place.site.up()

    (line,) = daemon.lines("store-failed")
    assert str(place.site.database) in line["error.message"]
    await place.guess(FIRST, times=5)
    await daemon.told("ban")
    assert not await place.arrives(FIRST)
    assert await daemon.stop() == 0
    assert place.site.database.read_bytes() == garbage


async def test_a_database_that_may_not_be_written_is_told_of_while_bans_go_on(place: Stage) -> None:
    place.site.give_to_nobody()
    place.site.database.write_bytes(b"")
    place.site.database.chmod(0o400)

    daemon = place.site.start(unprivileged())

    await daemon.told("store-failed")
    await daemon.told("ami-connected")
    await place.guess(FIRST, times=5)
    await daemon.told("ban")
    assert not await place.arrives(FIRST)


async def test_a_log_that_nobody_reads_any_more_stops_no_ban(place: Stage) -> None:
    with pipe() as (reader, writer):
        daemon = place.site.start(stdout=writer)
        reader.close()
        await connected(daemon)

        await place.guess(FIRST, times=5)

        await until(lambda: [*place.site.kernel()] == [FIRST], what="the ban")
        assert not await place.arrives(FIRST)
        assert await daemon.stop() == 0


async def test_a_log_whose_reader_is_stuck_stops_no_ban(place: Stage) -> None:
    attackers = [attacker(number) for number in range(300)]
    with pipe() as (_, writer):
        daemon = place.site.start(stdout=writer)
        await connected(daemon)

        await place.guess(*attackers, times=5)

        await until(lambda: set(place.site.kernel()) == set(attackers), what="all bans")
        assert not await place.arrives(attackers[-1])
        assert await daemon.stop() == 0


@contextmanager
def pipe() -> Iterator[tuple[IO[bytes], int]]:
    """Yield both ends of a pipe that takes one page."""
    read, write = os.pipe()
    fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, PIPE_SIZE)
    with os.fdopen(read, "rb") as reader:
        try:
            yield reader, write
        finally:
            os.close(write)


async def connected(daemon: Daemon) -> None:
    """Wait until events reach a daemon whose log can't be read."""

    async def ready() -> bool:
        try:
            return bool((await daemon.status())["ready"])
        except ControlError:  # it is not listening yet
            return False

    await until(ready, timeout=20, what="the daemon is ready")
