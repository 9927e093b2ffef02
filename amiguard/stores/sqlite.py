"""Bans, offenders and log positions in SQLite: the only place that speaks to it.

WAL with `synchronous=NORMAL`. What `write` acknowledged is in the kernel's page cache, so kill -9 loses none of it.
When the power fails, what Linux had not yet written back is missing (30 s by default), but the database is never
damaged: then an attacker of these seconds has to be caught again, with as many failures as before. `FULL` would buy
these seconds with an fsync for each batch, on the disk where Asterisk records calls."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import aiosqlite

from amiguard.collector import collector_paused
from amiguard.errors import StoreError
from amiguard.history import MAX_TIMES
from amiguard.journal import Action, Journal
from amiguard.model import Allowed, Ban, Minute, Phone, Target, Timestamp
from amiguard.policy import RECIDIVE_FINDTIME
from amiguard.ports import Change, Disallowed, Ended, Position, Resolved, Saved
from amiguard.stores import schema
from amiguard.stores.copying import copy
from amiguard.stores.faults import explained
from amiguard.stores.rows import (
    Row,
    allowed_of,
    bans_of,
    minutes_of,
    names_of,
    phones_of,
    position_of,
    position_row,
    row_of,
    times_of,
)

DAY = 24 * 3600 * 1000

REMEMBERED = 365 * DAY
"""An offender whose newest ban began longer ago than this (milliseconds) is forgotten at the next start."""

MAX_OFFENDERS = 100_000
"""So many offenders are remembered, those with the newest bans."""

TIDY_AFTER = 10_000
"""After so many bans the table of offenders is cut back to `MAX_OFFENDERS`."""

LOADED_AT_ONCE = 10_000

SET_UP = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = NORMAL",
    "PRAGMA temp_store = MEMORY",
)

Statement = tuple[str, Sequence[Row | dict[str, object]] | None]
"""SQL, and the values of each of its executions; None for a statement that takes none."""


class SqliteStore:
    """A `ports.Store` in one SQLite file. `path` and its directory are made where they are missing (0640 and 0750).

    Whoever else holds the database may do so for `patience` seconds before a call fails. Only with `times` is it told
    when earlier bans began: the question costs 5 % of a start with a hundred thousand bans."""

    def __init__(self, path: Path, journal: Journal, *, patience: float = 5.0, times: bool = False) -> None:
        self._path = path
        self._journal = journal
        self._patience = patience
        self._times = times
        self._connection: aiosqlite.Connection | None = None
        self._one_at_a_time = asyncio.Lock()
        self._untidy = 0

    async def open(self, now: Timestamp) -> Saved:
        """Open or create the database; bans that ended before `now` are taken out of it and logged as expired.

        May be called again, after a `StoreError` or at any time.

        Raises:
            StoreError: the text names the file, what is wrong with it, and the remedy. Nothing was overwritten.
        """
        await self.close()
        with explained(self._path):
            create(self._path)
            connection = await aiosqlite.connect(self._path, timeout=self._patience, isolation_level=None)
            try:
                ended, saved = await prepare(connection, self._path, now, times=self._times)
            except BaseException:
                await connection.close()
                raise
        self._connection = connection
        for ban in ended:
            self._journal.write(Action.EXPIRE, "the ban ended while amiguard was not running", ban=ban)
        return saved

    async def open_as_copy(self, source: Path) -> None:
        """Make the database as a copy of the one at `source`, to which nobody may write meanwhile, and open it.

        Raises:
            StoreError: as `copying.copy`.
        """
        await copy(source, self._path)
        with explained(self._path):
            self._connection = await aiosqlite.connect(self._path, timeout=self._patience, isolation_level=None)
            for pragma in SET_UP:
                await self._connection.execute(pragma)

    async def discard(self) -> None:
        """Close the database and remove its file."""
        await self.close()
        with explained(self._path):
            self._path.unlink(missing_ok=True)

    async def write(self, changes: Sequence[Change]) -> None:
        """Write these changes in one transaction; of several on one target or file the last one holds."""
        async with self._one_at_a_time:
            if self._connection is None:
                raise StoreError(f"{self._path} is not open")
            statements = list(statements_of(changes))
            self._untidy += len(changes)
            if self._untidy >= TIDY_AFTER:
                statements.append((schema.FORGET_MANY, [(MAX_OFFENDERS - 1,)]))
            with explained(self._path):
                await transact(self._connection, statements)
            if self._untidy >= TIDY_AFTER:
                self._untidy = 0

    async def close(self) -> None:
        """Close the database; closing it twice is no error."""
        async with self._one_at_a_time:
            connection, self._connection = self._connection, None
            if connection is not None:
                with explained(self._path):
                    await connection.close()


def create(path: Path) -> None:
    """Make the file and its directory where they are missing, and see that it may be written. Raises OSError."""
    path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
    os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o640))


async def migrate(connection: aiosqlite.Connection, path: Path) -> None:
    """Bring the layout to the newest version. Raises StoreError like `layout_of`."""
    version = await layout_of(connection, path)
    newest = len(schema.MIGRATIONS)
    if version < newest:
        steps = [statement for migration in schema.MIGRATIONS[version:] for statement in migration]
        steps += [f"PRAGMA application_id = {schema.APPLICATION_ID}", f"PRAGMA user_version = {newest}"]
        await transact(connection, [(step, None) for step in steps])


async def layout_of(connection: aiosqlite.Connection, path: Path) -> int:
    """Return the version of the layout, 0 for an empty database.

    Raises:
        StoreError: the database belongs to another program, or to a newer amiguard.
    """
    [owner] = await answer(connection, "PRAGMA application_id")
    [version] = await answer(connection, "PRAGMA user_version")
    [tables] = await answer(connection, "SELECT count(*) FROM sqlite_master")
    newest = len(schema.MIGRATIONS)
    if owner != schema.APPLICATION_ID and (owner or version or tables):
        raise StoreError(f"{path} is another program's database: give amiguard a path of its own")
    if version > newest:
        raise StoreError(f"{path} was written by a newer amiguard (layout {version}, this one knows {newest}): upgrade")
    return int(version)


async def prepare(
    connection: aiosqlite.Connection, path: Path, now: Timestamp, *, times: bool
) -> tuple[list[Ban], Saved]:
    """Bring the layout up to date, forget what is over; return the bans that ended, and what remains.

    Raises:
        StoreError: as `migrate`.
        ValueError: a row holds what amiguard never writes.
    """
    for pragma in SET_UP:
        await connection.execute(pragma)
    await migrate(connection, path)
    forget: list[Statement] = [
        (schema.FORGET_PHONES, [(now,)]),
        (schema.FORGET_OLD, [(now - REMEMBERED,)]),
        (schema.FORGET_MANY, [(MAX_OFFENDERS - 1,)]),
    ]
    with collector_paused():
        ended = bans_of(await connection.execute_fetchall(schema.LOAD_ENDED, (now,)))
        if ended:
            forget.append((schema.DELETE_ENDED, [(now,)]))
        await transact(connection, forget)
        bans = await load_bans(connection)
        began = now - RECIDIVE_FINDTIME
        known = times_of(await connection.execute_fetchall(schema.LOAD_TIMES, (began,))) if times else {}
        targets, counts = map(json.loads, await answer(connection, schema.LOAD_HISTORY))
        allowed = allowed_of(await connection.execute_fetchall(schema.LOAD_ALLOWED))
        positions = [position_of(row) for row in await connection.execute_fetchall(schema.LOAD_POSITIONS)]
        phones = phones_of(await connection.execute_fetchall(schema.LOAD_PHONES))
        names = names_of(await connection.execute_fetchall(schema.LOAD_NAMES))
        minutes = minutes_of(await connection.execute_fetchall(schema.LOAD_MINUTES, (now - DAY,)))
        history = dict(zip(targets, counts, strict=True))
        return ended, Saved(bans, history, known, positions, allowed, phones, names, minutes)


async def load_bans(connection: aiosqlite.Connection) -> list[Ban]:
    """Read all bans, some at a time: rows take more memory than bans. Raises ValueError."""
    bans: list[Ban] = []
    newest = Target("")
    while read := bans_of(await connection.execute_fetchall(schema.LOAD_BANS, (newest, LOADED_AT_ONCE))):
        bans += read
        newest = read[-1].target
    return bans


async def transact(connection: aiosqlite.Connection, statements: Iterable[Statement]) -> None:
    """Execute all of these or none, also when the caller is cancelled meanwhile."""
    try:
        await connection.execute("BEGIN IMMEDIATE")
        for sql, rows in statements:
            if rows is None:
                await connection.execute(sql)
            else:
                await connection.executemany(sql, rows)
        await connection.execute("COMMIT")
    except BaseException:
        await connection.rollback()
        raise


def statements_of(changes: Iterable[Change]) -> Iterator[Statement]:
    """Return what these changes mean in SQL, in their order; neighbours of one kind share a statement."""
    for kind, group in groupby(changes, type):
        if kind is Ban:
            bans = [ban for ban in group if isinstance(ban, Ban)]
            yield schema.SAVE_BAN, [row_of(ban) for ban in bans]
            yield schema.COUNT_BAN, [{"target": ban.target, "since": ban.since, "most": MAX_TIMES} for ban in bans]
        elif kind is Position:
            yield schema.SAVE_POSITION, [position_row(change) for change in group if isinstance(change, Position)]
        elif kind is Minute:
            yield schema.SAVE_MINUTE, [(change.place, *change) for change in group if isinstance(change, Minute)]
        elif kind is Phone:
            last = {phone[:2]: phone for phone in group if isinstance(phone, Phone)}
            yield schema.END_PHONE, list(last)
            yield schema.SAVE_PHONE, [phone for phone in last.values() if phone.until]
        elif kind is Resolved:
            names = [one for one in group if isinstance(one, Resolved)]
            yield schema.SAVE_NAME, [(one.name, json.dumps(one.addresses)) for one in names]
            yield schema.FORGET_NAMES, None
        elif kind is Allowed:
            yield (
                schema.SAVE_ALLOWED,
                [(one.target, one.comment, one.node) for one in group if isinstance(one, Allowed)],
            )
        elif kind is Disallowed:
            yield schema.END_ALLOWED, [(change.target,) for change in group if isinstance(change, Disallowed)]
        else:
            yield schema.END_BAN, [(change.target,) for change in group if isinstance(change, Ended)]


async def answer(connection: aiosqlite.Connection, sql: str, values: Sequence[object] = ()) -> Sequence[Any]:
    """Return the one row that a query answers with."""
    [row] = await connection.execute_fetchall(sql, values)
    return row
