"""The captures of real Asterisk servers under attack that lie in tests/data/captures.tar.xz."""

from __future__ import annotations

import json
import tarfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ARCHIVE = Path(__file__).parents[1] / "data" / "captures.tar.xz"
BANNER = b"Asterisk Call Manager/11.0.0\r\n"
VICTIM = "9.9.9.9"


@dataclass(frozen=True)
class Capture:
    """One attack, what Asterisk told the manager interface of it, and what a listener must conclude."""

    name: str
    """Asterisk's version and driver, a slash, the case."""
    group: str
    conclude: str
    count: int
    attempts: int
    packet_source: str
    ami_failures: int
    raw: bytes
    log_failures: int = 0
    full_log: bytes = b""
    """What Asterisk wrote into `full` meanwhile: NOTICE and SECURITY lines, and others."""
    security_log: bytes = b""
    attack: tuple[str, ...] = ()
    """What was sent: the kind of attempt and its options, as `tests/lab/hostile.py` reads them."""


@cache
def captures() -> tuple[Capture, ...]:
    """Return every capture, in the index's order."""
    with tarfile.open(ARCHIVE) as archive:
        files = {member.name: stream.read() for member in archive if (stream := archive.extractfile(member))}
    rows = map(json.loads, files["index.jsonl"].splitlines())
    return tuple(
        Capture(
            row["files"],
            row["group"],
            row["conclude"],
            row["count"],
            row["attempts"],
            row["packet_source"],
            row["ami_failures"],
            files[row["files"] + "/ami.raw"],
            row["log_failures"],
            files[row["files"] + "/full.log"],
            files[row["files"] + "/security.log"],
            tuple(row["attack"]),
        )
        for row in rows
    )


def capture(name: str) -> Capture:
    """Return one capture by its name."""
    return next(found for found in captures() if found.name == name)
