"""What the store says when the database can't be had, and that it destroys nothing."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from amiguard.errors import StoreError
from amiguard.stores.schema import APPLICATION_ID, MIGRATIONS
from amiguard.stores.sqlite import SqliteStore
from tests.lab.journal import RecordingJournal
from tests.unit.stores.conftest import NOW, ban, seal, tmpfs


async def filled(store: SqliteStore, count: int = 1) -> None:
    await store.open(NOW)
    await store.write([ban(f"10.0.{number >> 8}.{number & 255}") for number in range(count)])
    await store.close()


def place(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def content(path: Path) -> bytes:
    return path.read_bytes()


def change(path: Path, sql: str) -> None:
    connection = sqlite3.connect(path)
    with connection:
        connection.execute(sql)
    connection.close()


async def test_a_file_that_is_no_database_is_left_as_it_is(tmp_path: Path, journal: RecordingJournal) -> None:
    text = b"no database at all " * 100
    path = place(tmp_path / "notes.txt", text)

    with pytest.raises(StoreError, match=r"is damaged: move it away .*\(SQLITE_NOTADB\)"):
        await SqliteStore(path, journal).open(NOW)

    assert content(path) == text


async def test_damaged_pages_are_told_and_left_as_they_are(store: SqliteStore, path: Path) -> None:
    await filled(store, 2_000)
    pages = content(path)
    pages = pages[:4096] + b"\xff" * (len(pages) - 4096)
    place(path, pages)

    with pytest.raises(StoreError, match=r"is damaged: .*\(SQLITE_CORRUPT"):
        await store.open(NOW)

    assert content(path) == pages


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE bans SET details = '[]'",
        "UPDATE bans SET details = '{'",
        "UPDATE bans SET details = '{}'",
        "UPDATE bans SET details = details || char(10) || details",
        """UPDATE bans SET details = '{"reason": "because", "origin": "local"}'""",
        "UPDATE bans SET since = 'yesterday'",
        "UPDATE bans SET accounts = '[],[]'",
        "UPDATE bans SET accounts = '1'",
        "UPDATE bans SET accounts = ''",
        "INSERT INTO allowed (target, comment, node) VALUES ('office', '', '')",
        "INSERT INTO allowed (target, comment, node) VALUES (x'c0000201', '', '')",
        "INSERT INTO phones (address, account, until) VALUES ('office', '100', 9000000000000)",
        "INSERT INTO phones (address, account, until) VALUES ('192.0.2.0/24', '100', 9000000000000)",
        "INSERT INTO phones (address, account, until) VALUES ('192.0.2.1', '100', 'tomorrow')",
        """INSERT INTO names (name, addresses) VALUES ('pbx.example.org', '["office"]')""",
        "INSERT INTO names (name, addresses) VALUES ('pbx.example.org', 1)",
        f"INSERT INTO minutes VALUES (1, {NOW}, 'many', 0)",
    ],
)
async def test_a_row_that_amiguard_never_writes_is_told(store: SqliteStore, path: Path, sql: str) -> None:
    await filled(store)
    change(path, sql)

    with pytest.raises(StoreError, match="is damaged"):
        await store.open(NOW)


async def test_another_programs_database_is_refused(store: SqliteStore, path: Path) -> None:
    path.parent.mkdir()
    change(path, "CREATE TABLE astdb (key TEXT, value TEXT)")

    with pytest.raises(StoreError, match="is another program's database"):
        await store.open(NOW)


async def test_a_database_of_a_newer_amiguard_is_refused(store: SqliteStore, path: Path) -> None:
    await filled(store)
    change(path, f"PRAGMA user_version = {len(MIGRATIONS) + 1}")

    with pytest.raises(StoreError, match="by a newer amiguard"):
        await store.open(NOW)


async def test_a_new_database_bears_our_mark_and_the_newest_layout(store: SqliteStore, path: Path) -> None:
    await filled(store)

    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)
    assert connection.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS),)
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()


async def test_a_locked_database_fails_after_the_patience_and_works_once_it_is_free(
    store: SqliteStore, path: Path
) -> None:
    await store.open(NOW)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    with pytest.raises(StoreError, match=r"is locked by another process.*\(SQLITE_BUSY\)"):
        await store.write([ban("192.0.2.1")])
    other.execute("ROLLBACK")
    other.close()
    await store.write([ban("192.0.2.1")])

    assert len((await store.open(NOW)).bans) == 1


async def test_a_directory_in_the_place_of_the_file_is_told(tmp_path: Path, journal: RecordingJournal) -> None:
    with pytest.raises(StoreError, match="can't be opened for writing: Is a directory"):
        await SqliteStore(tmp_path, journal).open(NOW)


async def test_a_file_in_the_place_of_the_directory_is_told(tmp_path: Path, journal: RecordingJournal) -> None:
    path = place(tmp_path / "file", b"")

    with pytest.raises(StoreError, match="can't be opened for writing: "):
        await SqliteStore(path / "amiguard.db", journal).open(NOW)


@pytest.mark.netns
async def test_a_full_disk_fails_the_write_keeps_what_is_there_and_is_over_once_there_is_room(
    tmp_path: Path, journal: RecordingJournal
) -> None:
    with tmpfs(tmp_path / "small", "256k"):
        store = SqliteStore(tmp_path / "small" / "amiguard.db", journal)
        await store.open(NOW)
        await store.write([ban("192.0.2.1")])
        ballast = tmp_path / "small" / "ballast"
        with pytest.raises(OSError, match="No space left"):
            ballast.write_bytes(b"x" * 1_000_000)

        with pytest.raises(StoreError, match=r"the disk is full \(SQLITE_FULL\)"):
            await store.write([ban(f"10.0.0.{number}") for number in range(250)])
        ballast.unlink()
        await store.write([ban("192.0.2.2")])

        assert {one.target for one in (await store.open(NOW)).bans} == {"192.0.2.1", "192.0.2.2"}
        await store.close()


@pytest.mark.netns
@pytest.mark.parametrize("existing", [True, False])
async def test_a_read_only_file_system_is_told(tmp_path: Path, journal: RecordingJournal, existing: bool) -> None:
    sealed = tmp_path / "sealed"
    with tmpfs(sealed, "1m"):
        store = SqliteStore(sealed / "amiguard.db", journal)
        if existing:
            await filled(store)
        seal(sealed)

        with pytest.raises(StoreError, match="can't be opened for writing: Read-only file system"):
            await store.open(NOW)
