"""A program that bans: how it is started on a stage, what it costs, and whom the kernel drops for it."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Self

from tests.bench.monitor import Monitor
from tests.bench.peers.wires import Wire
from tests.lab.stage import Stage
from tests.lab.waiting import until

TICKS = os.sysconf("SC_CLK_TCK")
BANNED = re.compile(rb"(?s)\x08\x00\x01\x00(\xc6[\x12\x13]..)")
"""The value of a key that is one of `stage.ATTACKERS`, in a notification of a new element."""

SILENCE = 0.5
"""Seconds without CPU after which all is handled."""


def cpu_of(pid: int) -> float:
    """Return the seconds of CPU of all threads of a process, and of its children that have ended.

    To the nanosecond, as long as no thread ends; those that ended, and children, to the clock's tick."""
    fine = sum(int((task / "schedstat").read_text().split()[0]) for task in Path(f"/proc/{pid}/task").iterdir()) / 1e9
    user, system, *children = map(int, Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:15])
    return max(fine, (user + system) / TICKS) + sum(children) / TICKS


class Peer(ABC):
    """One program. `flood` attackers, `reactions` in a round: so many as it handles within seconds. `against` is whom
    it is compared with."""

    name: str
    against = "amiguard, AMI"
    flood = 2_000
    reactions = 40

    def __init__(self, place: Stage) -> None:
        self.place = place
        self.wire: Wire
        self.pid = 0

    @abstractmethod
    async def start(self) -> None:
        """Start it; it hears of failures when this returns. Sets `pid` and `wire`."""

    def kill(self) -> None:
        """End it at once."""
        os.kill(self.pid, signal.SIGKILL)

    def cpu(self) -> float:
        """Return the seconds of CPU of all its threads, and of its children that have ended."""
        return cpu_of(self.pid)

    def resident(self, *, peak: bool = False) -> int:
        """Return its bytes of memory."""
        name = "VmHWM:" if peak else "VmRSS:"
        status = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in status if line.startswith(name)) * 1024

    async def settled(self, timeout: float) -> float:  # noqa: ASYNC109 -- as in `until`
        """Wait until it has nothing to do; return its CPU up to then."""
        last, deadline = -1.0, asyncio.get_running_loop().time() + timeout
        while (now := self.cpu()) - last > 0.01 and asyncio.get_running_loop().time() < deadline:
            last = now
            await asyncio.sleep(SILENCE)
        return now


class Bans:
    """Hears from the kernel who is banned, whoever put it in, and when. A context manager."""

    def __init__(self, place: Stage) -> None:
        self.seen: dict[bytes, float] = {}
        self._monitor = Monitor(place.namespace)

    def __enter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._monitor.socket.setblocking(False)
        loop.add_reader(self._monitor.socket, self._hear)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.get_running_loop().remove_reader(self._monitor.socket)
        self._monitor.close()

    async def reached(self, number: int, timeout: float) -> bool:  # noqa: ASYNC109 -- as in `until`
        """Wait until so many are banned; return whether they were in time."""
        try:
            await until(lambda: len(self.seen) >= number, timeout, "the bans")
        except AssertionError:
            return False
        return True

    def _hear(self) -> None:
        now = asyncio.get_running_loop().time()
        for address in BANNED.findall(self._monitor.socket.recv(1 << 17)):
            self.seen.setdefault(address, now)


def version_of(*command: str | Path) -> str:
    """Return the first version number that a program tells."""
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found = re.search(r"\d+(?:\.\d+)+", told)
    return found[0] if found else told.strip()
