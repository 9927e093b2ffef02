"""The real logrotate, in each of its ways, while 2,000 lines a second are written: every line is read once."""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from pathlib import Path

import pytest

from tests.lab.logwriter import Writer, numbers, writing
from tests.lab.waiting import until
from tests.unit.sources.logfile.support import running, touch

COUNT = 2_000
RATE = 2_000
ROTATIONS = 4

WAYS = {
    "create": "create 0644 root root",
    "nocreate": "nocreate",
    "compressed": "create\ncompress",
    "compressed later": "create\ncompress\ndelaycompress",
    "dated": "create\ndateext\ndateformat -%Y%m%d-%s",
    "dated before the suffix": "create\nextension .log\ndateext\ndateformat -%Y%m%d-%s",
    "copytruncate": "copytruncate",
    "copytruncate, dated": "copytruncate\ndateext\ndateformat -%Y%m%d-%s",
    "copy": "copy",
}

CONFIGURATION = """\
{log} {{
    rotate 50
    size 1
    su root root
    missingok
    {way}
    postrotate
        kill -HUP {pid}
    endscript
}}
"""


@pytest.fixture
def logrotate() -> str:
    """The program."""
    found = shutil.which("logrotate", path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    if found is None:
        pytest.fail("this needs Debian's logrotate: apt-get install logrotate", pytrace=False)
    return found


class Rotator:
    """Runs logrotate on one log."""

    def __init__(self, program: str, log: Path, way: str, writer: Writer) -> None:
        self._command = [program, "--force", "--state", str(log.with_name("state")), str(log.with_name("conf"))]
        self._next = 0.0
        configuration = CONFIGURATION.format(log=log, way=way, pid=writer.process.pid)
        log.with_name("conf").write_text(configuration)
        log.with_name("conf").chmod(0o644)

    async def rotate(self) -> None:
        await until(lambda: time.time() > self._next, what="the next second: dated names have no more")
        process = await asyncio.create_subprocess_exec(*self._command, stderr=asyncio.subprocess.PIPE)
        _, said = await process.communicate()
        assert process.returncode == 0, said.decode()
        self._next = int(time.time()) + 1.1  # its clock may be a tick behind


def kept(log: Path) -> set[int]:
    """The numbers of the lines that lie in any file."""
    return {number for path in log.parent.glob(f"{log.stem}*") for number in numbers(path.read_bytes().split(b"\n"))}


@pytest.mark.parametrize("way", WAYS)
async def test_logrotate_costs_no_line_and_doubles_none(way: str, logrotate: str, tmp_path: Path) -> None:
    log = tmp_path / "full.log"
    count = COUNT * 3 if "dated" in way else COUNT  # one rotation a second
    touch(log)
    async with running(log) as work:
        await work.up()
        with writing(log, count, RATE) as writer:
            rotator = Rotator(logrotate, log, WAYS[way], writer)
            for part in range(1, ROTATIONS + 1):
                await work.read(part * count // (ROTATIONS + 2))
                await rotator.rotate()
            await until(lambda: numbers(work.lines[-1:]) == [count - 1], 10, "the last line")
    got = numbers(work.lines)
    if way.startswith("copytruncate"):  # what came between the copying and the truncating is in no file any more
        assert got == sorted(set(got))
        assert kept(log) <= set(got)
    else:
        assert got == list(range(count))
    assert work.lost == []


@pytest.mark.parametrize("way", ["create", "nocreate", "dated", "dated before the suffix", "compressed later"])
async def test_what_was_rotated_while_nobody_read_is_read_at_the_next_start(
    way: str, logrotate: str, tmp_path: Path
) -> None:
    log = tmp_path / "full.log"
    touch(log)
    with writing(log, COUNT, RATE) as writer:
        async with running(log) as first:
            await first.read(COUNT // 8)
            rotator = Rotator(logrotate, log, WAYS[way], writer)
        await rotator.rotate()
        await until(lambda: writer.done, 10, "the writer's end")
    got = numbers(first.lines)
    async with running(log, positions=first.source.positions()) as second:
        await second.read(COUNT - got[-1] - 1)
    got += numbers(second.lines)
    assert got == list(range(got[0], COUNT))
