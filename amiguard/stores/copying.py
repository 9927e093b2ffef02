"""Copies the database to another place while amiguard goes on."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from urllib.parse import quote

import aiosqlite

from amiguard.errors import StoreError
from amiguard.stores.faults import explained


async def copy(source: Path, path: Path) -> None:
    """Write what the database `source` holds into a new one at `path`, which is there once it is whole and on the disk.

    Raises:
        StoreError: `path` can't be written, or holds something already: nothing is overwritten.
    """
    part = path.with_name(f"{path.name}.part")
    with explained(path):
        make_room(path)
        try:
            os.close(os.open(part, os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_CLOEXEC, 0o640))
            async with aiosqlite.connect(f"file:{quote(str(source))}?mode=rw", uri=True) as connection:
                await connection.execute("VACUUM INTO ?", (str(part),))
            await asyncio.to_thread(sync, part)
            part.replace(path)
            await asyncio.to_thread(sync, path.parent)
        finally:
            part.unlink(missing_ok=True)


def make_room(path: Path) -> None:
    """Make the directory where it is missing. Raises OSError, and StoreError: something is there."""
    path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
    if path.exists() and (not path.is_file() or path.stat().st_size):
        raise StoreError(f"{path} is there already: move it away, or restart amiguard to go by what it holds")


def sync(path: Path) -> None:
    """Wait until a file or directory is on the disk. Raises OSError."""
    number = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(number)
    finally:
        os.close(number)
