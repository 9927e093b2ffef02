"""What `amiguard check` says about the database, and that it leaves no trace."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from amiguard.errors import StoreError
from amiguard.stores.probe import probe
from amiguard.stores.sqlite import SqliteStore
from tests.unit.stores.conftest import HOUR, NOW, ban


def entries(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


async def test_a_database_that_is_still_to_be_made_is_not_made(path: Path, tmp_path: Path) -> None:
    assert await probe(path) == f"{path} will be made at the first start"
    assert entries(tmp_path) == []


async def test_what_a_database_holds_is_told_and_kept_even_what_has_ended(store: SqliteStore, path: Path) -> None:
    await store.open(NOW)
    await store.write([ban("192.0.2.1", until=1), ban("192.0.2.2", until=NOW + HOUR)])

    assert await probe(path) == f"{path} holds 2 bans and remembers 2 offenders"
    await store.close()
    assert await probe(path) == f"{path} holds 2 bans and remembers 2 offenders"
    assert entries(path.parent) == ["amiguard.db"]


async def test_a_locked_or_damaged_database_is_told(store: SqliteStore, path: Path, tmp_path: Path) -> None:
    await store.open(NOW)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError, match="is locked by another process"):
        await probe(path)
    other.close()

    notes = tmp_path / "notes"
    with notes.open("w") as file:
        file.write("no database " * 100)
    with pytest.raises(StoreError, match="is damaged"):
        await probe(notes)


async def test_a_place_where_no_database_can_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(StoreError, match="can't be"):
        await probe(tmp_path / "file" / "amiguard.db")
