"""In which country an address is registered, as a MaxMind database on disk says. The only import of maxminddb.

An answer is shown to people; nothing is decided by it."""

from __future__ import annotations

import asyncio
import os
import re
from contextlib import suppress
from functools import partial
from pathlib import Path
from threading import Lock

import maxminddb

from amiguard.journal import Action, Journal
from amiguard.model import Target, network_of

CODE = re.compile(r"[A-Z]{2}")
"""ISO 3166-1 alpha-2. The database comes from outside: nothing else of it is shown."""

MISSING = (0, 0)
"""The version of a file that is not there."""


class Countries:
    """Looks countries up, for all who tell them, in whatever thread; made in that of the loop, which writes the log.

    A database that was renewed is opened anew; one that can't be read tells nothing, and the log says so, once."""

    def __init__(self, path: Path, journal: Journal) -> None:
        self._path = path
        self._journal = journal
        self._loop = asyncio.get_running_loop()
        self._lock = Lock()
        self._reader: maxminddb.Reader | None = None
        self._seen = MISSING
        """Which version of the file was looked at last."""
        self._failed: tuple[int, int] | None = None
        """Which version the log has told of that it can't be read."""

    def __call__(self, target: Target) -> str:
        """Return the country's code, of a network that of its first address; "" = not known. Never raises."""
        with self._lock:
            try:
                record = self._open().get(str(network_of(target).network_address))
            except Exception as error:  # noqa: BLE001 -- of a damaged database maxminddb raises whatever comes
                self._tell_once(error)
                return ""
        code = _code(record)
        return code if CODE.fullmatch(code) else ""

    def close(self) -> None:
        """Close the database; the next lookup opens it again."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def _open(self) -> maxminddb.Reader:
        before, self._seen = self._seen, MISSING
        found = os.stat(self._path)  # noqa: PTH116 -- one call for both
        self._seen = (found.st_ino, found.st_mtime_ns)
        if self._reader is None or self._seen != before:
            self.close()
            # Not mapped into memory: who overwrites the file in place would end this process with SIGBUS.
            self._reader = maxminddb.open_database(self._path, maxminddb.MODE_FILE)
            self._failed = None
        return self._reader

    def _tell_once(self, error: Exception) -> None:
        if self._failed != self._seen:
            self._failed = self._seen
            text = f"countries are not told: {self._path} can't be read"
            write = partial(self._journal.write, Action.GEOIP_FAILED, text, error=error)
            with suppress(RuntimeError):  # the loop has ended, and the log with it
                self._loop.call_soon_threadsafe(write)


def _code(record: object) -> str:
    """Return the code of a record as GeoLite2 and DB-IP have it, or as IPinfo does."""
    match record:
        case {"country": {"iso_code": str(code)}} | {"registered_country": {"iso_code": str(code)}}:
            return code
        case {"country_code": str(code)}:
            return code
        case _:
            return ""
