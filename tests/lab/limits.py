"""What a daemon is not given more of."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.lab.daemon import Daemon


@contextmanager
def little_memory(daemon: Daemon, room: int) -> Iterator[None]:
    """Let the daemon have `room` bytes of address space more than it has now."""
    before = resource.prlimit(daemon.pid, resource.RLIMIT_AS)
    pages = int(Path(f"/proc/{daemon.pid}/statm").read_text().split()[0])
    resource.prlimit(daemon.pid, resource.RLIMIT_AS, (pages * resource.getpagesize() + room, before[1]))
    try:
        yield
    finally:
        if daemon.process.poll() is None:
            resource.prlimit(daemon.pid, resource.RLIMIT_AS, before)
