"""The machine under the daemon: clocks that jump, memory that runs out, a kernel that tells too much."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
from pathlib import Path

import pytest

from tests.chaos.arena import fill
from tests.chaos.faults import STANDARD_FILES
from tests.lab.daemon import COMMAND, Daemon
from tests.lab.guessing import EVENTS, attacker
from tests.lab.limits import little_memory
from tests.lab.stage import Stage, stage
from tests.lab.waiting import until
from tests.unit.stores.conftest import tmpfs

pytestmark = pytest.mark.netns

HOUR = 3600
CROWD = [attacker(number) for number in range(10_000, 11_000)]
FIRST, SECOND = CROWD[:2]
NO_THREAD = "can't start new thread"
"""What CPython says, in a RuntimeError, where memory does not suffice for one."""

NEWS = "table ip news { set many { type ipv4_addr; }\n}\n" + (
    "add element ip news many { " + ", ".join(f"10.1.{n >> 8}.{n & 255}" for n in range(5_000)) + " }\n"
    "flush set ip news many\n"
)
"""Changes to a table of somebody else's, of which the kernel tells everybody who listens."""


def faked(clock: Path, *, monotonic: bool) -> list[str | Path]:
    """Return the command that starts the daemon with a clock that is off by what stands in the file `clock`.

    With `monotonic` the clocks that nobody sets jump too, as they do when a machine wakes up."""
    library = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
    faketime = {"LD_PRELOAD": library, "FAKETIME_TIMESTAMP_FILE": clock, "FAKETIME_NO_CACHE": "1"}
    real = [] if monotonic else ["DONT_FAKE_MONOTONIC=1"]
    return ["env", *(f"{name}={value}" for name, value in faketime.items()), *real, *COMMAND]


@pytest.mark.parametrize("hours", [-5, 30])
async def test_a_clock_that_is_set_ends_no_ban_and_forgets_no_failure(tmp_path: Path, hours: int) -> None:
    clock = tmp_path / "clock"
    clock.write_text("+0s\n")
    async with stage(BANTIME="2h", FINDTIME="10m") as place:
        daemon = place.site.start(faked(clock, monotonic=False))
        await daemon.told("ami-connected")
        await place.guess(FIRST, times=5)
        await place.guess(SECOND, times=4)
        await daemon.told("ban")

        clock.write_text(f"{hours * HOUR:+d}s\n")
        await place.guess(SECOND)
        await daemon.told("ban", 2)

        left = place.site.kernel()
        assert set(left) == {FIRST, SECOND}
        assert all(seconds is not None and 2 * HOUR - 60 < seconds <= 2 * HOUR for seconds in left.values())
        assert daemon.lines("expire") == []
        remaining = [ban["remaining"] async for ban in daemon.control.bans()]
        assert remaining == [pytest.approx(2 * HOUR, abs=60)] * 2
        assert await daemon.stop() == 0
        assert daemon.errors == ""
        assert not await place.arrives(FIRST)


async def test_a_machine_that_sleeps_for_hours_wakes_up_banning(tmp_path: Path) -> None:
    clock = tmp_path / "clock"
    clock.write_text("+0s\n")
    async with stage(BANTIME="1h", IGNORESELF="false") as place:
        daemon = place.site.start(faked(clock, monotonic=True))
        await daemon.told("ami-connected")
        await place.guess(FIRST, times=5)
        await daemon.told("ban")

        clock.write_text(f"{3 * HOUR:+d}s\n")

        await daemon.told("expire")  # it is over for who was banned for an hour
        await until(lambda: bool(place.server.listeners), 30, "AMI is connected")
        await place.guess(SECOND, times=5)
        await daemon.told("ban", 2)
        assert not await place.arrives(SECOND)
        assert daemon.lines("internal-error") == []
        assert await daemon.stop() == 0
        assert daemon.errors == ""


@pytest.mark.parametrize("room", [1 << 20, pytest.param(8 << 20, marks=pytest.mark.chaos)])
async def test_out_of_memory_nobody_gets_in_and_nothing_acknowledged_is_lost(room: int) -> None:
    async with stage(BANTIME="1h") as place:
        daemon = await place.site.up()
        await place.guess(FIRST, times=5)
        await daemon.told("ban")

        with little_memory(daemon, room):
            await place.guess(*CROWD, times=40)
            await until(lambda: _over(daemon, place), 60, "the end of the flood, or of the daemon")
            assert not await place.arrives(FIRST)
            daemon.process.terminate()
            ended = await daemon.ended()

        assert ended in {0, 1, -signal.SIGSEGV}  # a stack that can't grow, as if it were killed
        told = [
            line.get(field, "") for line in daemon.lines("internal-error") for field in ("error.type", "error.message")
        ]
        named = daemon.errors + "".join(told)
        assert ended != 1 or "MemoryError" in named or NO_THREAD in named
        acknowledged = daemon.banned()
        await place.site.up()  # as systemd does
        assert set(acknowledged) <= set(place.site.kernel())
        await place.guess(*CROWD, times=5)
        await until(lambda: set(CROWD) <= set(place.site.kernel()), 30, "all are banned")


def _over(daemon: Daemon, place: Stage) -> bool:
    return daemon.process.poll() is not None or set(CROWD) <= set(place.site.kernel())


async def test_a_command_that_no_file_descriptor_is_left_for_waits_and_the_log_says_why() -> None:
    async with stage(BANTIME="1h") as place:
        daemon = await place.site.up()
        soft, hard = resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, (STANDARD_FILES, hard))
        asked = asyncio.create_task(daemon.status())

        (line, *_) = await daemon.told("internal-error")
        assert "Too many open files" in line["error.message"]
        await place.guess(FIRST, times=5)
        await daemon.told("ban")
        assert not await place.arrives(FIRST)

        resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, (soft, hard))
        assert (await asked)["ready"]
        assert await daemon.stop() == 0
        assert daemon.errors == ""


async def test_a_daemon_that_stands_still_loses_no_event_and_heals_what_it_could_not_hear() -> None:
    async with stage(BANTIME="1h", FIREWALL_OWNER="false") as place:
        daemon = await place.site.up()
        await place.guess(FIRST, times=5)
        await daemon.told("ban")

        os.kill(daemon.pid, signal.SIGSTOP)
        flood = asyncio.create_task(place.guess(*CROWD, times=5))
        assert not await place.arrives(FIRST)
        for _ in range(40):  # more news than the kernel keeps for who does not listen
            place.namespace.run(["nft", "-f", "-"], stdin=NEWS)
        place.namespace.run(["nft", "flush", "ruleset"])
        os.kill(daemon.pid, signal.SIGCONT)

        await flood
        await daemon.told("firewall-healed")
        await daemon.told("ban", 1 + len(CROWD) - 1)
        assert set(place.site.kernel()) == set(CROWD)
        assert not await place.arrives(FIRST)
        assert daemon.lines("ami-lost", "internal-error") == []
        assert (await daemon.status())["totals"]["events"] == EVENTS * 5 * (1 + len(CROWD))
        assert await daemon.stop() == 0


async def test_a_daemon_that_stands_still_when_it_is_to_end_ends_as_soon_as_it_goes_on() -> None:
    async with stage(BANTIME="1h") as place:
        daemon = await place.site.up()
        await place.guess(FIRST, times=5)
        await daemon.told("ban")

        os.kill(daemon.pid, signal.SIGSTOP)
        flood = asyncio.create_task(place.guess(*CROWD, times=5))
        daemon.process.terminate()
        assert not await place.arrives(FIRST)
        os.kill(daemon.pid, signal.SIGCONT)

        assert await daemon.ended() == 0
        await flood
        assert set(daemon.banned()) <= set(place.site.kernel())
        again = await place.site.up()
        assert {ban["address"] async for ban in again.control.bans()} >= set(daemon.banned())
        assert await again.stop() == 0


async def test_an_own_log_that_finds_no_room_stops_no_ban_and_says_how_much_is_missing(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    with tmpfs(disk, "4m"):
        async with stage(BANTIME="1h") as place:
            with (disk / "log").open("ab") as log:
                daemon = place.site.start(stdout=log)
            daemon.log = disk / "log"
            await daemon.told("ami-connected")
            fill(disk / "ballast")

            await place.guess(*CROWD, times=5)  # far more lines than may wait in memory
            await until(lambda: set(place.site.kernel()) == set(CROWD), 30, "all are banned")
            (disk / "ballast").unlink()
            await place.guess(attacker(1), times=5)

            await daemon.told("overload")
            assert not await place.arrives(FIRST)
            fill(disk / "ballast")
            assert await daemon.stop() == 0
            assert daemon.errors == ""
            again = await place.site.up()
            assert set(place.site.kernel()) == {*CROWD, attacker(1)}
            assert again.lines("bans-adopted") == []  # the database knew them all
