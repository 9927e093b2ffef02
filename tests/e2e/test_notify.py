"""What the daemon tells systemd: sd_notify(3)."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.daemon import COMMAND
from tests.lab.stage import Stage
from tests.lab.waiting import until

pytestmark = pytest.mark.netns

WATCHDOG = "WATCHDOG=1"


class Told:
    """The socket that systemd would listen on, and what came in, without the watchdog's food."""

    def __init__(self, receiver: socket.socket) -> None:
        self.states: list[str] = []
        self.fed = 0
        self._receiver = receiver

    def __call__(self, *states: str) -> bool:
        try:
            while True:
                state = self._receiver.recv(4096).decode()
                self.fed += state == WATCHDOG
                self.states += [state] if state != WATCHDOG else []
        except BlockingIOError:
            return [state.partition("\n")[0] for state in self.states] == list(states)


@pytest.fixture
def told(tmp_path: Path) -> Iterator[Told]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(tmp_path / "notify"))
        receiver.setblocking(False)
        yield Told(receiver)


async def test_systemd_hears_of_the_start_each_reload_and_the_end_and_that_the_loop_turns(
    place: Stage, told: Told, tmp_path: Path
) -> None:
    daemon = place.site.start(["env", f"NOTIFY_SOCKET={tmp_path / 'notify'}", "WATCHDOG_USEC=150000", *COMMAND])
    await until(lambda: told("READY=1"), 20, "READY=1")
    assert daemon.lines("ready")  # so the firewall is laid out: Asterisk, which waits for us, may start

    before = time.monotonic_ns() // 1000
    os.kill(daemon.pid, signal.SIGHUP)
    await until(lambda: told("READY=1", "RELOADING=1", "READY=1"), 20, "the reload")
    name, _, moment = told.states[1].partition("\n")[2].partition("=")
    assert name == "MONOTONIC_USEC"
    assert before <= int(moment) <= time.monotonic_ns() // 1000

    fed = told.fed
    await until(lambda: told("READY=1", "RELOADING=1", "READY=1") and told.fed > fed + 3, what="food for the watchdog")
    assert await daemon.stop() == 0
    assert told("READY=1", "RELOADING=1", "READY=1", "STOPPING=1")
