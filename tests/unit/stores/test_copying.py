"""A database moves to another file, whole or not at all."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from amiguard.errors import StoreError
from amiguard.model import Address, Allowed, AllowOrigin, Phone, Target
from amiguard.ports import Position, Resolved
from amiguard.stores.sqlite import SqliteStore
from tests.lab.journal import RecordingJournal
from tests.unit.stores.conftest import HOUR, NOW, ban, mode, seal, tmpfs


@pytest.fixture
async def filled(store: SqliteStore) -> SqliteStore:
    await store.open(NOW)
    runtime = Allowed(Target("192.0.2.9"), AllowOrigin.RUNTIME, "office")
    phone, name = (
        Phone(Address(Target("192.0.2.8")), "100", NOW + HOUR),
        Resolved("trunk.example", (Target("192.0.2.7"),)),
    )
    await store.write([ban("192.0.2.1"), runtime, phone, name, Position("/log", 1, 2, 3, "head")])
    return store


async def test_a_copy_remembers_all_and_takes_changes(
    filled: SqliteStore, path: Path, journal: RecordingJournal, tmp_path: Path
) -> None:
    place = tmp_path / "other" / "moved.db"
    moved = SqliteStore(place, journal)

    await moved.open_as_copy(path)
    await moved.write([ban("192.0.2.2")])

    saved, before = await moved.open(NOW), await filled.open(NOW)
    assert sorted(one.target for one in saved.bans) == ["192.0.2.1", "192.0.2.2"]
    assert saved.history == {"192.0.2.1": 1, "192.0.2.2": 1}
    assert (saved.allowed, saved.phones, saved.names, saved.positions) == (
        before.allowed,
        before.phones,
        before.names,
        before.positions,
    )
    assert len(saved.allowed) == len(saved.phones) == len(saved.names) == len(saved.positions) == 1
    assert (mode(place), mode(place.parent)) == (0o640, 0o750)
    with sqlite3.connect(place) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()
    await moved.close()
    assert [entry.name for entry in place.parent.iterdir()] == ["moved.db"]


async def test_an_empty_file_is_filled(
    filled: SqliteStore, path: Path, journal: RecordingJournal, tmp_path: Path
) -> None:
    place = tmp_path / "moved.db"
    place.touch()
    moved = SqliteStore(place, journal)

    await moved.open_as_copy(path)

    assert [one.target for one in (await moved.open(NOW)).bans] == ["192.0.2.1"]
    await moved.close()


async def test_what_is_there_already_is_never_overwritten(
    filled: SqliteStore, path: Path, journal: RecordingJournal, tmp_path: Path
) -> None:
    precious = tmp_path / "precious"
    precious.write_text("precious")
    link = tmp_path / "link"
    link.symlink_to(path)

    for place in (precious, path, link, tmp_path):
        with pytest.raises(StoreError, match="is there already: move it away, or restart"):
            await SqliteStore(place, journal).open_as_copy(path)

    assert precious.read_text() == "precious"
    assert [one.target for one in (await filled.open(NOW)).bans] == ["192.0.2.1"]


async def test_a_directory_that_can_not_be_made_is_told(
    filled: SqliteStore, path: Path, journal: RecordingJournal, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(StoreError, match="can't be opened for writing: File exists"):
        await SqliteStore(tmp_path / "file" / "moved.db", journal).open_as_copy(path)


@pytest.mark.netns
async def test_a_disk_that_is_full_or_read_only_is_told_and_keeps_nothing_of_it(
    filled: SqliteStore, path: Path, journal: RecordingJournal, tmp_path: Path
) -> None:
    await filled.write([ban(f"198.51.{high}.{low}") for high in range(20) for low in range(200)])
    disk = tmp_path / "disk"
    with tmpfs(disk, "128k"):
        with pytest.raises(StoreError, match="can't grow: the disk is full"):
            await SqliteStore(disk / "moved.db", journal).open_as_copy(path)
        assert list(disk.iterdir()) == []
        seal(disk)
        with pytest.raises(StoreError, match="can't be opened for writing: Read-only file system"):
            await SqliteStore(disk / "moved.db", journal).open_as_copy(path)


async def test_a_copy_that_is_discarded_leaves_no_file(
    filled: SqliteStore, path: Path, journal: RecordingJournal, tmp_path: Path
) -> None:
    place = tmp_path / "other" / "moved.db"
    moved = SqliteStore(place, journal)
    await moved.open_as_copy(path)

    await moved.discard()

    assert list(place.parent.iterdir()) == []
