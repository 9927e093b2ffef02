"""A real database in a fresh folder, and bans to put into it."""

from __future__ import annotations

import stat
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from amiguard.model import Ban, Evidence, Reason, Target
from amiguard.stores.sqlite import SqliteStore
from tests.lab.journal import RecordingJournal

NOW = 1_800_000_000_000
HOUR = 3_600_000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "lib" / "amiguard.db"


@pytest.fixture
def journal() -> RecordingJournal:
    return RecordingJournal()


@pytest.fixture
async def store(path: Path, journal: RecordingJournal) -> AsyncIterator[SqliteStore]:
    store = SqliteStore(path, journal, patience=0.2)
    yield store
    await store.close()


def ban(target: str, *, since: int = NOW, until: int | None = NOW + HOUR) -> Ban:
    return Ban(
        Target(target),
        since,
        until,
        Reason.WRONG_PASSWORD,
        evidence=Evidence.DATAGRAM,
        failures=5,
        accounts=("100", "a,\"b'\udcff\x00"),
        service="PJSIP",
        transport="UDP",
        source="ami",
        absolute=False,
    )


@contextmanager
def tmpfs(place: Path, size: str) -> Iterator[None]:
    """A file system of its own, small enough to be filled."""
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "amiguard-test", place], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", place], check=True)


def seal(place: Path) -> None:
    """Make a file system read-only."""
    subprocess.run(["mount", "-o", "remount,ro", place], check=True)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)
