"""The command line as people use it: on narrow terminals, with the options of every program, with nowhere to write."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from amiguard import __version__
from amiguard.control.display import flattened, lasting, show, status_rows
from amiguard.model import Ban, Reason, Target
from tests.lab.journal import RecordingJournal
from tests.lab.shell import Ended, Shell
from tests.lab.terminal import ROOT
from tests.unit.control.conftest import NOW, FakeGuard, serving

STYLES = re.compile(r"\x1b\[[0-9;]*m")
TARGETS = [Target("198.51.100.107"), Target("2001:db8:1234:5678:9abc:def0:1234:5678")]
TRIED = tuple(f"account{number}" for number in range(10))


@pytest.fixture
def guard() -> FakeGuard:
    guard = FakeGuard()
    for target in TARGETS:
        guard.running[target] = Ban(target, NOW, NOW + 432_000_000, Reason.UNKNOWN_ACCOUNT, failures=5, accounts=TRIED)
    return guard


@pytest.fixture
async def amiguard(tmp_path: Path, guard: FakeGuard) -> AsyncIterator[Shell]:
    path = tmp_path / "amiguard.sock"
    server = serving(path, guard, RecordingJournal())
    await server.start()
    yield Shell(path)
    await server.close()


@pytest.mark.parametrize("columns", [120, 80, 60, 40])
async def test_a_narrow_terminal_shows_all_and_each_address_in_one_piece(amiguard: Shell, columns: int) -> None:
    piped = (await amiguard("banned")).out
    shown = STYLES.sub("", await asyncio.to_thread(amiguard.on_terminal, "banned", columns=columns))

    assert [target for target in TARGETS if any(line.startswith(target) for line in shown.splitlines())] == TARGETS
    header = "addressleftreasonfailuresbeforetried"
    assert sorted(filter(str.isalnum, shown)) == sorted(filter(str.isalnum, header + piped))
    assert "unknown-account" in shown


def test_a_hundred_thousand_bans_are_shown_on_a_terminal_in_seconds(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    rows = [[(f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}", "bold"), ("acl", ""), ("100", "dim")] for n in range(100_000)]
    began = time.process_time()
    show(("address", "reason", "tried"), rows)

    assert time.process_time() - began < 8
    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines[:2]] == [["address", "reason", "tried"], ["10.0.0.0", "acl", "100"]]
    assert len(lines) == 100_001


async def test_nobody_is_said_to_people_only(amiguard: Shell, guard: FakeGuard) -> None:
    guard.running.clear()

    assert await asyncio.to_thread(amiguard.on_terminal, "banned") == "nobody is banned\r\n"
    assert await amiguard("banned") == Ended(0, "", "")


def test_the_status_is_told_in_words_that_people_read() -> None:
    status = {
        "ready": False,
        "uptime": 788_645,
        "sources": [{"name": "log", "up": True, "last_line": NOW, "since": None}],
        "feeds": [{"name": "voipbl", "age": 3_661}],
        "firewall": {"enforces": False},
    }

    assert [[text for text, _ in row] for row in status_rows(status)] == [
        ["ready", "no"],
        ["uptime", "9d 3:04:05"],
        ["sources.log.name", "log"],
        ["sources.log.up", "yes"],
        ["sources.log.last_line", "2027-01-15T08:00:00Z"],
        ["sources.log.since", "-"],
        ["feeds.voipbl.name", "voipbl"],
        ["feeds.voipbl.age", "1:01:01"],
        ["firewall.enforces", "no"],
    ]
    assert [name for (name, _), (_, style) in status_rows(status) if style] == ["ready"]
    assert len(flattened(status)) == 9


def test_a_duration_is_told_in_days_and_hours() -> None:
    assert list(map(lasting, (0, 59, 86_399, 86_400, 432_000))) == [
        "0:00:00",
        "0:00:59",
        "23:59:59",
        "1d 0:00:00",
        "5d 0:00:00",
    ]


async def test_help_and_version_are_told_where_every_program_tells_them(amiguard: Shell) -> None:
    assert await amiguard("--version") == Ended(0, f"amiguard {__version__}\n", "")
    assert (await amiguard("-h")).out == (await amiguard("--help")).out != ""
    assert (await amiguard("ban", "-h")).out == (await amiguard("ban", "--help")).out != ""


@pytest.mark.parametrize(
    "command", [["--version"], ["status"], ["status", "--json"], ["banned"], ["banned", "--json"], ["-h"]]
)
@pytest.mark.parametrize(
    ("where", "code", "told"), [("full", 1, "amiguard: No space left on device\n"), ("closed", 0, "")]
)
async def test_where_the_answer_can_not_be_written_a_line_says_so(
    amiguard: Shell, command: list[str], where: str, code: int, told: str
) -> None:
    to = {"full": ">/dev/full", "closed": ">&-"}[where]
    shell = ["sh", "-c", f'exec "$@" {to}', "sh", sys.executable, "-m", "amiguard", *command]
    process = await asyncio.create_subprocess_exec(*shell, cwd=ROOT, env=amiguard.environ, stderr=subprocess.PIPE)
    _, err = await process.communicate()

    assert (process.returncode, err.decode()) == (code, told)


@pytest.mark.parametrize("command", ["banned", "status", "allow", "-h"])
async def test_who_stops_reading_hears_no_complaint(amiguard: Shell, guard: FakeGuard, command: str) -> None:
    for number in range(5_000):
        target = Target(f"10.1.{number >> 8}.{number & 255}")
        guard.running[target] = Ban(target, NOW, None, Reason.ACL)
    ours, theirs = os.pipe()
    os.close(ours)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "amiguard", command),
        cwd=ROOT,
        env=amiguard.environ,
        stdout=theirs,
        stderr=subprocess.PIPE,
    )
    os.close(theirs)
    _, err = await process.communicate()

    assert (process.returncode, err) == (1, b"")


async def test_a_file_that_can_not_be_read_is_named_with_the_reason(amiguard: Shell, tmp_path: Path) -> None:
    missing, binary = tmp_path / "missing", tmp_path / "binary"
    binary.write_bytes(b"\xff\xfe192.0.2.1")
    for file, why in ((missing, "No such file or directory"), (binary, "it is no text in UTF-8")):
        ended = await amiguard("ban", "--file", str(file))
        assert ended.code == 2
        words = " ".join(ended.err.replace("│", " ").split())
        assert why in words
        assert "Errno" not in words
