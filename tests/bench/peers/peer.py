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

from typing_extensions import override

from tests.bench.monitor import Monitor
from tests.bench.peers.wires import Wire
from tests.lab.stage import Stage
from tests.lab.waiting import until

TICKS = os.sysconf("SC_CLK_TCK")
BANNED = re.compile(rb"(?s)\x08\x00\x01\x00(\xc6[\x12\x13]..)")
"""The value of a key that is one of `stage.ATTACKERS`, in a notification of a new element."""

LOOK = 0.05
"""Seconds between two looks into a set."""

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

    def bans(self) -> Bans:
        """Return what tells of its bans."""
        return NftBans(self.place)

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


class Bans(ABC):
    """How many the kernel has banned, whoever put them in. A context manager."""

    def __enter__(self) -> Self:
        return self

    @abstractmethod
    def __exit__(self, *_: object) -> None: ...

    @abstractmethod
    async def reached(self, number: int, timeout: float) -> bool:  # noqa: ASYNC109 -- as in `until`
        """Wait until so many are banned; return whether they were in time."""

    @property
    @abstractmethod
    def number(self) -> int:
        """How many are banned now."""


class NftBans(Bans):
    """Hears of each ban from the kernel."""

    def __init__(self, place: Stage) -> None:
        self._seen: set[bytes] = set()
        self._monitor = Monitor(place.namespace)

    @override
    def __enter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._monitor.socket.setblocking(False)
        loop.add_reader(self._monitor.socket, self._hear)
        return self

    @override
    def __exit__(self, *_: object) -> None:
        asyncio.get_running_loop().remove_reader(self._monitor.socket)
        self._monitor.close()

    @override
    async def reached(self, number: int, timeout: float) -> bool:
        try:
            await until(lambda: self.number >= number, timeout, "the bans")
        except AssertionError:
            return False
        return True

    @property
    @override
    def number(self) -> int:
        return len(self._seen)

    def _hear(self) -> None:
        self._seen.update(BANNED.findall(self._monitor.socket.recv(1 << 17)))


class IpsetBans(Bans):
    """Asks how many are in a set, for ipset tells nobody of an addition; not so often that it takes others' time."""

    def __init__(self, place: Stage, name: str) -> None:
        self._place = place
        self._name = name

    @override
    def __exit__(self, *_: object) -> None:
        pass

    @override
    async def reached(self, number: int, timeout: float) -> bool:
        deadline = asyncio.get_running_loop().time() + timeout
        while self.number < number:
            if asyncio.get_running_loop().time() > deadline:
                return False
            await asyncio.sleep(LOOK)
        return True

    @property
    @override
    def number(self) -> int:
        told = self._place.namespace.run(["ipset", "list", "-terse", self._name]).stdout
        return int(told.rpartition("Number of entries:")[2])


def version_of(*command: str | Path) -> str:
    """Return the first version number that a program tells."""
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found = re.search(r"\d+(?:\.\d+)+", told)
    return found[0] if found else told.strip()
