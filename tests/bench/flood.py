"""200,000 events as fast as the socket takes them."""

from __future__ import annotations

import ctypes
import fcntl
import os
import socket
import struct
import sys
import termios
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from amiguard.errors import ControlError
from tests.bench.decision import decide, floor
from tests.bench.table import Figure
from tests.lab.daemon import Daemon
from tests.lab.guessing import EVENTS, attacker, attempts
from tests.lab.stage import stage
from tests.lab.waiting import until

EVENTS_IN_ALL = 200_000
ATTACKERS = 2_000
RUNS = 3
"""Of the decisions, of which the best counts: on a shared machine the others measure the neighbours."""

NEVER = 100
"""Failures that no attacker makes here. Far more, and the jail would hold fewer offenders than there are attackers."""

STEP = 0.001
PATIENCE = 60
PIDFD_GETFD = 438
TCPI_BYTES_RECEIVED = 128
"""Offset in `struct tcp_info`, include/uapi/linux/tcp.h."""


async def flood() -> list[Figure]:
    """Measure the pure way from bytes to decisions, then the daemon as a whole."""
    addresses = [attacker(number) for number in range(ATTACKERS)]
    data = b"".join(attempts(addresses, EVENTS_IN_ALL // EVENTS // ATTACKERS))
    runs = [
        (
            decide(data).micros,
            decide(data, maxretry=NEVER).micros,
            decide(data, maxretry=NEVER, rules=True).micros,
            floor(data),
        )
        for _ in range(RUNS)
    ]
    mixed, counted, ruled, least = map(min, zip(*runs, strict=True))
    return [
        Figure("bytes → decision, after the ban too: CPU an event", mixed, "µs", 10),
        Figure("bytes → decision, every failure counted: CPU an event", counted, "µs", 10),
        Figure("bytes → decision, every failure counted by every rule: CPU an event", ruled, "µs", 20),
        Figure("for comparison: only to split, and one regex an event", least, "µs"),
        *await _daemon(data),
    ]


async def _daemon(data: bytes) -> list[Figure]:
    async with stage() as place:
        daemon = await place.site.up()
        rss, cpu = daemon.resident(), daemon.cpu()
        with Watch(daemon, place.server.port).running() as watch:
            start = time.perf_counter()
            await place.server.play(data)
            sent = time.perf_counter() - start
            status = await _finished(daemon)
            took = time.perf_counter() - start
        cpu = daemon.cpu() - cpu
        totals = status["totals"]
        in_kernel = len(place.site.kernel())
        return [
            Figure("events lost", EVENTS_IN_ALL - totals["events"], "", 0),
            Figure("bans missed in the kernel", ATTACKERS - in_kernel, "", 0),
            Figure("bans missed in the log", ATTACKERS - len(set(daemon.banned())), "", 0),
            Figure("whole daemon: CPU an event", cpu / EVENTS_IN_ALL * 1e6, "µs", 20),
            Figure("whole daemon: events a second", EVENTS_IN_ALL / took, ""),
            Figure("sent after", sent, "s"),
            Figure("all banned after", watch.all_banned - start, "s"),
            Figure("all handled and in the database after", took, "s"),
            Figure("longest time that the socket was not read", watch.stall * 1000, "ms", 50),
            Figure("resident before", rss / 1e6, "MB"),
            Figure("resident at the peak", daemon.resident(peak=True) / 1e6, "MB"),
            Figure("resident afterwards", daemon.resident() / 1e6, "MB"),
        ]


async def _finished(daemon: Daemon) -> Any:
    last: Any = {}

    async def done() -> bool:
        nonlocal last
        try:
            last = await daemon.status()
        except ControlError:
            return False
        waiting = last["bans"]["waiting"] + last["store"]["waiting"]
        return bool(last["totals"]["events"] >= EVENTS_IN_ALL and not waiting)

    try:
        await until(done, timeout=PATIENCE, what="every event is handled")
    except AssertionError:
        print(last, *daemon.lines()[-5:], daemon.errors, sep="\n", file=sys.stderr)
        raise
    return last


class Watch:
    """Looks at the daemon from outside, every millisecond: how far it has read, and whom it has banned."""

    def __init__(self, daemon: Daemon, port: int) -> None:
        self.stall = 0.0
        self.all_banned = float("inf")
        self._log = daemon.log.open("rb")
        self._bans = 0
        self._socket = borrowed(daemon.pid, port)
        self._stopping = threading.Event()

    @contextmanager
    def running(self) -> Iterator[Watch]:
        """Watch while the body runs."""
        thread = threading.Thread(target=self._run)
        thread.start()
        try:
            yield self
        finally:
            self._stopping.set()
            thread.join()
            self._log.close()
            self._socket.close()

    def _run(self) -> None:
        read, since = self._progress()[0], time.perf_counter()
        while not self._stopping.wait(STEP):
            taken, waiting = self._progress()
            now = time.perf_counter()
            if taken == read and waiting:
                self.stall = max(self.stall, now - since)
            else:
                read, since = taken, now
            self._bans += self._log.read().count(b'"event.action":"ban"')
            if self._bans >= ATTACKERS:
                self.all_banned = min(self.all_banned, now)

    def _progress(self) -> tuple[int, int]:
        """Return how many bytes the daemon has taken from its socket, and how many wait there."""
        waiting: int = struct.unpack("i", fcntl.ioctl(self._socket, termios.FIONREAD, bytes(4)))[0]
        info = self._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
        received: int = struct.unpack_from("Q", info, TCPI_BYTES_RECEIVED)[0]
        return received - waiting, waiting


def borrowed(pid: int, port: int) -> socket.socket:
    """Return the socket by which the process is connected to this port: the very one, shared with it."""
    libc = ctypes.CDLL(None, use_errno=True)
    pidfd = os.pidfd_open(pid)
    try:
        for link in Path(f"/proc/{pid}/fd").iterdir():
            if not str(link.readlink()).startswith("socket:"):
                continue
            found = socket.socket(fileno=libc.syscall(PIDFD_GETFD, pidfd, int(link.name), 0))
            try:
                if found.family == socket.AF_INET and found.getpeername()[1] == port:
                    return found
            except OSError:
                pass
            found.close()
    finally:
        os.close(pidfd)
    raise AssertionError(f"process {pid} has no connection to port {port}")
