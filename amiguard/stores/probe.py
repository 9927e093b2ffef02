"""Looks at the database for `amiguard check`, and changes nothing: a file that root makes would shut the daemon out."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import quote

import aiosqlite

from amiguard.errors import StoreError
from amiguard.stores.faults import explained
from amiguard.stores.sqlite import answer, layout_of

PATIENCE = 2.0
"""Seconds that whoever holds the database may go on."""


async def probe(path: Path) -> str:
    """See whether the database can be opened and written, or made; return one line.

    Raises:
        StoreError: it can't; the text names the remedy.
    """
    with explained(path):
        try:
            os.close(os.open(path, os.O_RDWR | os.O_CLOEXEC))
        except FileNotFoundError:
            return absent(path)
        source = f"file:{quote(str(path))}?mode=rw"
        async with aiosqlite.connect(source, uri=True, timeout=PATIENCE, isolation_level=None) as connection:
            if await layout_of(connection, path) == 0:
                return f"{path} is empty and will be filled"
            await connection.execute("BEGIN IMMEDIATE")
            [bans] = await answer(connection, "SELECT count(*) FROM bans")
            [offenders] = await answer(connection, "SELECT count(*) FROM offenders")
            await connection.rollback()
    return f"{path} holds {bans} bans and remembers {offenders} offenders"


def absent(path: Path) -> str:
    """Return what will happen to a path where no file is. Raises StoreError."""
    place = next(parent for parent in path.absolute().parents if parent.exists())
    if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
        raise StoreError(f"{path} can't be made: {place} may not be written, or is no directory")
    return f"{path} will be made at the first start"
