"""`amiguard demo` as its user runs it: a process of its own, seen from outside."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from amiguard.demo.ami import LOGIN
from amiguard.demo.standin import ATTACK
from tests.lab.captures import capture
from tests.lab.waiting import wait_until

pytestmark = pytest.mark.netns

MINUTE = 60
SEEN = (
    "amiguard run: the firewall is laid out",
    "The phone at 10.99.131.7 registers: 200 OK",
    "The attacker at 10.99.130.5 guesses passwords of 6001 over UDP: 5 x 401 Unauthorized",
    '"event.action":"failure","event.code":"ChallengeResponseFailed","source.ip":"10.99.130.5"',
    '"event.action":"ban"',
    "| table inet amiguard, set unproven4: 10.99.130.5 expires in 43",
    "10.99.130.5: sent 1, dropped by the kernel 1, answered 0",
    "10.99.131.7: registered once more, 200 OK",
    "banned 10.99.130.5 (wrong-password, 5 failures)",
    "|   amiguard unban 10.99.130.5",
    "# amiguard status",
    "# amiguard banned",
    "# amiguard unban 10.99.130.5",
    "10.99.130.5: sent 1, answered 1: 401 Unauthorized",
    "amiguard has stopped, exit code 0",
    "All is removed: the network namespaces and their nftables, the processes, the files.",
)
"""In this order."""

COUNTED = (
    "10.99.130.5: packets that reached the server: 10 until then, 10 now",
    "10.99.131.7: packets that reached the server: 2 until then, 4 now",
    "10.99.130.5: packets that reached the server: 10 until then, 11 now",
)
"""What the stand-in counts: five attempts of two requests, none while banned, one after the unban."""


class Demo:
    """A running demo."""

    def __init__(self, process: subprocess.Popen[bytes], written: Path, folder: Path) -> None:
        self.process = process
        self._written = written
        self._folder = folder
        self.namespaces: set[int] = set()

    @property
    def output(self) -> str:
        return self._written.read_text()

    def shows(self, text: str) -> None:
        """Wait until `text` is shown, and remember the network namespaces of the programs that run then."""

        def shown() -> bool:
            assert self.process.poll() is None, self.output
            return text in self.output

        wait_until(shown, MINUTE, text)
        for child in self.children():
            number = namespace_of(child)
            if number not in {0, namespace_of(os.getpid()), *self.namespaces}:  # one that has just begun is in ours
                self._hold(child, number)

    def _hold(self, child: int, number: int) -> None:
        """Keep a namespace, so that none that others make gets its number when the demo is over."""
        with suppress(FileNotFoundError, ProcessLookupError):
            HELD.append(os.open(f"/proc/{child}/ns/net", os.O_RDONLY | os.O_CLOEXEC))
            self.namespaces.add(number)

    def children(self) -> list[int]:
        pid = self.process.pid
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def inhabitants(self) -> list[int]:
        """Return the processes that live in the demo's namespaces."""
        pids = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
        return [pid for pid in pids if namespace_of(pid) in self.namespaces]

    def left_behind(self) -> list[str]:
        """Return what lies in the folder for temporary files, and which processes live on."""
        return [path.name for path in self._folder.iterdir()] + [f"process {pid}" for pid in self.inhabitants()]


def namespace_of(pid: int) -> int:
    """Return the number of a process's network namespace; 0 where it has ended, or is none of ours to look at."""
    try:
        return Path(f"/proc/{pid}/ns/net").stat().st_ino
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return 0


HELD: list[int] = []
"""Open namespaces of demos."""


@pytest.fixture(autouse=True)
def holding() -> Iterator[None]:
    """Let go of what `Demo` holds, once the test has looked at what was left behind."""
    yield
    while HELD:
        os.close(HELD.pop())


@pytest.fixture
def temporary() -> Iterator[Path]:
    """A folder for temporary files whose path leaves room for a socket's name, as pytest's own does not."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


@contextmanager
def demo(temporary: Path, *arguments: str | Path) -> Iterator[Demo]:
    """Start the demo, with settings in its environment that must not matter."""
    folder, written = temporary / "tmp", temporary / "output"
    folder.mkdir()
    env = {"PATH": os.environ["PATH"], "TMPDIR": str(folder), "PYTHONUNBUFFERED": "1", "AMIGUARD_BANTIME": "nonsense"}
    with written.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "amiguard", "demo", *arguments], stdout=output, stderr=subprocess.STDOUT, env=env
        )
    try:
        yield Demo(process, written, folder)
    finally:
        process.kill()
        process.wait()


def in_order(texts: tuple[str, ...], output: str) -> None:
    """Assert that `output` has all these texts, one after the other."""
    at = 0
    for text in texts:
        assert text in output[at:], f"{text!r} is missing after {output[:at][-300:]!r} in:\n{output}"
        at = output.index(text, at) + len(text)


def test_each_step_is_seen_within_a_minute_and_nothing_is_left(temporary: Path) -> None:
    started = time.monotonic()
    with demo(temporary) as played:
        played.shows("amiguard run: the firewall is laid out")
        assert len(played.namespaces) == 1
        assert namespace_of(os.getpid()) not in played.namespaces
        assert played.process.wait(MINUTE) == 0, played.output
    assert time.monotonic() - started < MINUTE
    in_order(SEEN, played.output)
    in_order(COUNTED, played.output)
    assert played.output.count('"event.action":"failure"') == 5
    assert re.search(r"\+[0-9.]+ ms  The kernel has acknowledged the ban", played.output)
    assert "\x1b" not in played.output
    assert "Missing" not in played.output
    assert played.left_behind() == []


@pytest.mark.asterisk
def test_a_real_asterisk_is_attacked_where_one_is_named(temporary: Path, asterisk22_root: Path) -> None:
    with demo(temporary, "--asterisk-root", asterisk22_root) as played:
        played.shows("amiguard run: the firewall is laid out")
        assert played.process.wait(MINUTE) == 0, played.output
    in_order(("a real Asterisk", *SEEN), played.output)
    assert played.left_behind() == []
    assert list((asterisk22_root / "mnt").iterdir()) == []


def test_a_missing_asterisk_is_named_and_nothing_is_played(temporary: Path) -> None:
    with demo(temporary, "--asterisk-root", temporary) as played:
        assert played.process.wait(MINUTE) == 1
    assert f"Missing: there is no {temporary}/usr/sbin/asterisk" in played.output
    assert "amiguard run" not in played.output
    assert played.left_behind() == []


def test_a_daemon_that_dies_makes_the_demo_fail_and_say_what_was_missing(temporary: Path) -> None:
    with demo(temporary) as played:
        played.shows("amiguard run: the firewall is laid out")
        for child in played.children():
            os.kill(child, signal.SIGKILL)
        assert played.process.wait(MINUTE) == 1, played.output
    assert "Missing: " in played.output
    assert "amiguard has stopped, exit code 0" not in played.output
    assert played.left_behind() == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_demo_removes_everything_and_fails(temporary: Path, number: signal.Signals) -> None:
    with demo(temporary) as played:
        played.shows("amiguard run: the firewall is laid out")
        played.process.send_signal(number)
        assert played.process.wait(MINUTE) == 1, played.output
    in_order(("Missing: the rest: interrupted", "All is removed"), played.output)
    assert played.left_behind() == []


def test_the_programs_of_a_killed_demo_end_by_themselves(temporary: Path) -> None:
    with demo(temporary) as played:
        played.shows("amiguard run: the firewall is laid out")
        assert played.inhabitants() != []
        played.process.kill()
    wait_until(lambda: played.inhabitants() == [], what="the end of the daemon, and with it of the namespace")


def test_what_the_stand_in_plays_is_what_a_real_asterisk_wrote() -> None:
    assert capture("22-pjsip/reg-wrong-x10").raw == ATTACK
    assert capture("22-pjsip/ami-ok").raw == LOGIN


def test_others_than_root_are_told_in_one_line_to_use_sudo() -> None:
    nobody = ["unshare", "--user"]
    done = subprocess.run(
        [*nobody, sys.executable, "-m", "amiguard", "demo"], capture_output=True, text=True, timeout=MINUTE, check=False
    )
    assert done.returncode == 1, done.stderr
    assert done.stdout == "Missing: root, for network namespaces and nftables: sudo amiguard demo\n"
