"""Compares the time of a log's last line with that of its writing: whether both name the same zone."""

from __future__ import annotations

import os
from datetime import tzinfo
from pathlib import Path

from amiguard.asterisk.log import jsonlines, prefix
from amiguard.asterisk.log.times import Times
from amiguard.model import Timestamp

TAIL = 64 << 10
"""Bytes at a log's end that are looked at."""


def skew(path: Path, zone: tzinfo) -> int | None:
    """Return by how many seconds the last dated line lies before the file's last change; None = nothing to compare."""
    try:
        with path.open("rb") as file:
            found = os.fstat(file.fileno())
            file.seek(max(0, found.st_size - TAIL))
            lines = file.read().split(b"\n")[:-1]
    except OSError:
        return None
    changed = found.st_mtime_ns // 1_000_000
    for line in reversed(lines):
        at = _time_of(line, zone, changed)
        if at is not None:
            return (changed - at) // 1000
    return None


def _time_of(line: bytes, zone: tzinfo, now: Timestamp) -> Timestamp | None:
    if line.startswith(b"{"):
        decoded = jsonlines.decode(line)
        date = decoded.date if decoded else None
    else:
        match = prefix.match(prefix.COLOUR.sub(b"", line))
        date = (match["date"] or match["stamp"]) if match else None
    return Times(zone).read(date, now) if date else None
