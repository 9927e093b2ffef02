"""Reads what fail2ban has banned. Its database is opened read-only, so a running fail2ban is not disturbed.

`fail2ban/server/database.py` since 0.11: `bips` has the newest ban of each address in each jail; who was unbanned is
not in it, and who was banned before is."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from amiguard.errors import InvalidAddress, MigrationError
from amiguard.model import Target, parse_target

BANS = "SELECT jail, ip, timeofban, bantime FROM bips ORDER BY timeofban, ip"
PERMANENT = -1
"""fail2ban's bantime of a ban that does not end."""

PATIENCE = 5.0
"""Seconds for which fail2ban may hold its database."""


@dataclass(frozen=True, slots=True)
class Jailed:
    """One ban. `left` is in seconds; None = permanent."""

    jail: str
    target: Target
    left: int | None


@dataclass(frozen=True, slots=True)
class Found:
    """The bans that still run, and how many are of something else than an address: fail2ban can ban user names."""

    bans: Sequence[Jailed]
    unusable: int


def read_bans(database: Path, now: int) -> Found:
    """Return who is banned at `now` (seconds since 1970).

    Raises:
        MigrationError: there is no such file, it can't be read, or it is no database of fail2ban 0.11 or later.
    """
    if not database.is_file():
        raise MigrationError(f"there is no {database}: give the file that fail2ban's dbfile names")
    place = f"{database.absolute().as_uri()}?mode=ro"
    try:
        with closing(sqlite3.connect(place, uri=True, timeout=PATIENCE)) as connection:
            rows = connection.execute(BANS).fetchall()
    except sqlite3.Error as error:
        raise MigrationError(f"{database} can't be read as a database of fail2ban 0.11 or later: {error}") from error
    bans, unusable = [], 0
    for jail, address, since, bantime in rows:
        if not (isinstance(address, str) and isinstance(since, int) and isinstance(bantime, int)):
            unusable += 1
            continue
        left = None if bantime == PERMANENT else since + bantime - now
        if left is not None and left <= 0:
            continue
        try:
            bans.append(Jailed(str(jail), parse_target(address), left))
        except InvalidAddress:
            unusable += 1
    return Found(bans, unusable)
