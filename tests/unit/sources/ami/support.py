"""What the tests of the AMI source share: quick settings, a source that runs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from amiguard.asterisk.schema import SecurityEvent
from amiguard.clock import steady_clock
from amiguard.sources.ami import AmiSettings, AmiSource
from tests.lab.fakeami import FakeAmi
from tests.lab.journal import RecordingJournal
from tests.lab.waiting import until
from tests.unit.sources.working import at_work

SECRET = "s3cr3t-of-ours"


def quick(server: FakeAmi, **changes: Any) -> AmiSettings:
    """Settings for this server whose patience is measured in fractions of a second."""
    values: dict[str, Any] = {
        "host": server.host,
        "port": server.port,
        "username": "amiguard",
        "secret": SECRET,
        "connect_timeout": 2,
        "banner_timeout": 0.5,
        "login_timeout": 0.5,
        "canary_timeout": 0.5,
        "deaf_retry": 0.2,
        "ping_interval": 0.05,
        "ping_timeout": 0.3,
        "retry": (0.02, 0.04),
        "refused_retry": (0.4, 0.8),
    }
    return AmiSettings(**(values | changes))


def sockets() -> dict[str, int]:
    """This process's open sockets: what the kernel calls them, and their file descriptors."""
    found = {}
    for entry in Path("/proc/self/fd").iterdir():
        with suppress(OSError):  # the descriptor that reads the folder is gone by now
            target = str(entry.readlink())
            if target.startswith("socket:"):
                found[target] = int(entry.name)
    return found


class Running:
    """A source at work, with what it told."""

    def __init__(self, settings: AmiSettings, sink: Callable[[SecurityEvent], object] | None = None) -> None:
        self.events: list[SecurityEvent] = []
        self.journal = RecordingJournal()
        self.source = AmiSource(settings, sink or self.events.append, self.journal, steady_clock())

    @property
    def reconnects(self) -> int:
        return self.source._reconnects

    @property
    def last_error(self) -> str:
        return self.source._last_error

    async def connected(self) -> None:
        await until(lambda: self.source.connected, what="connected to AMI")

    async def connected_again(self, server: FakeAmi, connections: int) -> None:
        await until(lambda: server.connections >= connections and self.source.connected, what="a new connection")

    async def told(self, taken: list[str], count: int) -> None:
        await until(lambda: len(taken) >= count, what=f"{count} calls of the sink")

    async def heard(self, count: int) -> None:
        await until(lambda: len(self.events) >= count, what=f"{count} events")


@asynccontextmanager
async def running(
    settings: AmiSettings, sink: Callable[[SecurityEvent], object] | None = None
) -> AsyncIterator[Running]:
    """Run a source against `settings` until the end of the block, then cancel it."""
    work = Running(settings, sink)
    async with at_work(work.source):
        yield work
