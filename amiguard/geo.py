"""In which country an address is registered, as a MaxMind database on disk says. The only import of maxminddb.

An answer is shown to people; nothing is decided by it."""

from __future__ import annotations

import os
import re
from pathlib import Path

import maxminddb

from amiguard.model import Target, network_of

CODE = re.compile(r"[A-Z]{2}")
"""ISO 3166-1 alpha-2. The database comes from outside: nothing else of it is shown."""


class Countries:
    """Looks countries up. A database that was renewed is opened anew; one that can't be read tells nothing."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._reader: maxminddb.Reader | None = None
        self._opened = (0, 0)

    def __call__(self, target: Target) -> str:
        """Return the country's code, of a network that of its first address; "" = not known. Never raises."""
        try:
            record = self._open().get(str(network_of(target).network_address))
        except Exception:  # noqa: BLE001 -- of a damaged database maxminddb raises whatever comes; a message goes without
            return ""
        code = _code(record)
        return code if CODE.fullmatch(code) else ""

    def close(self) -> None:
        """Close the database; the next lookup opens it again."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def _open(self) -> maxminddb.Reader:
        found = os.stat(self._path)  # noqa: PTH116 -- one call for both
        state = (found.st_ino, found.st_mtime_ns)
        if self._reader is None or state != self._opened:
            self.close()
            # Not mapped into memory: who overwrites the file in place would end this process with SIGBUS.
            self._reader = maxminddb.open_database(self._path, maxminddb.MODE_FILE)
            self._opened = state
        return self._reader


def _code(record: object) -> str:
    """Return the code of a record as GeoLite2 and DB-IP have it, or as IPinfo does."""
    match record:
        case {"country": {"iso_code": str(code)}} | {"registered_country": {"iso_code": str(code)}}:
            return code
        case {"country_code": str(code)}:
            return code
        case _:
            return ""
