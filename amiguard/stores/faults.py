"""What SQLite's error codes mean to an operator. Codes: https://sqlite.org/rescode.html"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from amiguard.errors import StoreError

PRIMARY = 0xFF
"""The bits of an extended code that hold the primary one."""

DAMAGED = "is damaged: move it away and restart, amiguard then begins a new one"

MEANINGS = {
    sqlite3.SQLITE_CORRUPT: DAMAGED,
    sqlite3.SQLITE_NOTADB: DAMAGED,
    sqlite3.SQLITE_BUSY: "is locked by another process: does a second amiguard run?",
    sqlite3.SQLITE_LOCKED: "is locked by another process: does a second amiguard run?",
    sqlite3.SQLITE_READONLY: "can't be written: is the file, its directory or its file system read-only?",
    sqlite3.SQLITE_PERM: "may not be opened: check who owns it",
    sqlite3.SQLITE_AUTH: "may not be opened: check who owns it",
    sqlite3.SQLITE_CANTOPEN: "can't be opened: check its directory, and who owns both",
    sqlite3.SQLITE_FULL: "can't grow: the disk is full",
    sqlite3.SQLITE_IOERR: "can't be read or written: the disk reports a fault",
    sqlite3.SQLITE_NOLFS: "can't grow: the file system refuses",
}


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn what goes wrong inside into a `StoreError` that names the file, the fault and the remedy."""
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
        name = getattr(error, "sqlite_errorname", type(error).__name__)
        meaning = MEANINGS.get(code & PRIMARY, "refused a statement")
        raise StoreError(f"{path} {meaning} ({name})") from error
    except OSError as error:
        raise StoreError(f"{error.filename or path} can't be opened for writing: {error.strerror}") from error
    except ValueError as error:
        raise StoreError(f"{path} {DAMAGED} ({error})") from error
