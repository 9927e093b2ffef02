"""A control server on a real socket, in front of a guard that keeps its bans in a dictionary."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from amiguard.control.client import ControlClient
from amiguard.control.server import ControlServer
from amiguard.control.settings import ControlSettings
from amiguard.control.stream import Stream
from amiguard.errors import BanRefused, FirewallError
from amiguard.journal import Journal
from amiguard.judge import Counters
from amiguard.model import Address, Allowed, AllowOrigin, Ban, Drops, Origin, Reason, Target
from amiguard.timeline import Timeline
from tests.lab.journal import RecordingJournal

NOW = 1_800_000_000_000
ALLOWED = Target("192.0.2.200")
REFUSED_BY_KERNEL = Target("192.0.2.201")
BREAKS = Target("192.0.2.202")


class FakeGuard:
    """Fulfils `controlled.Controlled` without a kernel."""

    default_bantime: int | None = 600_000

    def __init__(self) -> None:
        self.running: dict[Target, Ban] = {}
        self.exempt: dict[Target, Allowed] = {}
        self.counted: dict[Target, Drops] = {}
        self.placed: dict[Target, str] = {}
        self.counters = Counters()
        self.timeline = Timeline(self.counters)
        self.ready = True

    def status(self) -> dict[str, object]:
        return {
            "ready": self.ready,
            "bans": {"active": len(self.running)},
            "totals": {"failures": self.counters.failures, "bans": self.counters.bans},
            "sources": [{"name": "ami", "up": self.ready}],
        }

    def bans(self) -> Sequence[Ban]:
        return list(self.running.values())

    def find(self, target: Target) -> Ban | None:
        return self.running.get(target)

    async def drops(self, targets: Sequence[Target]) -> Mapping[Target, Drops]:
        return {target: self.counted[target] for target in targets if target in self.counted}

    async def countries(self, targets: Sequence[Target]) -> Mapping[Target, str]:
        return {target: self.placed[target] for target in targets if target in self.placed}

    async def ban(self, target: Target, bantime: int | None, comment: str, *, force: bool = False) -> Ban:
        if target == ALLOWED and not force:
            raise BanRefused(f"{target} is in the allowlist")
        if target == REFUSED_BY_KERNEL:
            raise FirewallError("the kernel refused", 1)
        if target == BREAKS:
            raise RuntimeError("a mistake")
        until = None if bantime is None else NOW + bantime
        self.running[target] = Ban(target, NOW, until, Reason.MANUAL, Origin.MANUAL, comment=comment)
        return self.running[target]

    async def unban(self, target: Target) -> Ban | None:
        if target == REFUSED_BY_KERNEL:
            raise FirewallError("the kernel refused", 1)
        return self.running.pop(target, None)

    async def allow(self, target: Target, comment: str) -> Sequence[Ban]:
        self.exempt[target] = Allowed(target, AllowOrigin.RUNTIME, comment)
        lifted = self.running.pop(target, None)
        return [] if lifted is None else [lifted]

    async def disallow(self, target: Target) -> bool:
        return self.exempt.pop(target, None) is not None

    def allowed(self) -> Sequence[Allowed]:
        return [Allowed(ALLOWED, AllowOrigin.NAME, "trunk.example", NOW), *self.exempt.values()]

    async def offender(self, address: Address) -> dict[str, object]:
        return {"address": address, "banned": address in self.running, "failures": []}

    async def unban_all(self) -> int:
        count = len(self.running)
        self.running.clear()
        return count


@pytest.fixture
def guard() -> FakeGuard:
    return FakeGuard()


@pytest.fixture
def journal() -> RecordingJournal:
    return RecordingJournal()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run" / "amiguard.sock"


@pytest.fixture
def stream() -> Stream:
    return Stream()


def serving(path: Path, guard: FakeGuard, journal: Journal, stream: Stream | None = None, **more: Any) -> ControlServer:
    """Return a server on the socket at `path` alone."""
    return ControlServer(ControlSettings(path), guard, journal, lambda: NOW, stream or Stream(), **more)


@pytest.fixture
async def server(
    path: Path, guard: FakeGuard, journal: RecordingJournal, stream: Stream
) -> AsyncIterator[ControlServer]:
    server = serving(path, guard, journal, stream, patience=0.3)
    await server.start()
    journal.lines.clear()
    yield server
    await server.close()


@pytest.fixture
def client(server: ControlServer, path: Path) -> ControlClient:
    return ControlClient(path)
