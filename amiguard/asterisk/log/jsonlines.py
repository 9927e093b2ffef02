"""Lines of Asterisk's `[json]` log files: one object a line (`main/logger.c:format_log_json`, Asterisk 16 and newer).

Quotes, line feeds and control characters of a message are escaped, so no text can begin a line or an object of its own.
Asterisk cuts a line after 8191 bytes; what is left of it is no object."""

from __future__ import annotations

import json
import re
from typing import NamedTuple

HEAD = re.compile(
    rb'\{"hostname":"[^"\\]*+","timestamp":"([^"\\]*+)","identifiers":\{"lwp":([0-9]{1,10}),"callid":"[^"\\]*+"\},'
    rb'"logmsg":\{"location":\{"filename":"(?:[^"\\]*/)?([^"\\]*+)","function":"[^"\\]*+","line":[0-9]{1,10}\},'
    rb'"level":"([A-Z]{1,16})","message":"'
)
"""An object as Asterisk 16 to 22 write it, up to its message. Captures the date, the thread, the source file without
its directory, and the level."""

MESSAGE = re.compile(rb'((?:[^"\\]++|\\.)*+)"\}\}\Z')
"""The rest of such an object. Any other is decoded in full."""

FILENAME = b'"filename":'
LEVEL = b'"level":'
INITIALS = b"NWES"
"""What the levels begin with that may tell of an attempt: NOTICE, WARNING, ERROR, SECURITY."""


class Line(NamedTuple):
    """One decoded line; the message as bytes, without its last line feed."""

    date: bytes
    level: bytes
    thread: bytes
    file: bytes
    message: bytes


def message(line: bytes, start: int) -> bytes | None:
    """Return the message that begins behind a `HEAD` that ends at `start`, without its last line feed; None = the line
    does not end as Asterisk ends it."""
    found = MESSAGE.match(line, start)
    if found is None:
        return None
    said = found[1]
    if said.endswith(b"\\n") and not said.endswith(b"\\\\n"):
        said = said[:-2]
    if b"\\" not in said:
        return said
    try:
        return _bytes(json.loads(b'"' + said + b'"'))
    except ValueError:
        return None


def hint(line: bytes) -> bytes:
    """Return the source file of a line whose level may tell of an attempt, else nothing, without decoding it.

    A quote in a text is escaped, so only a real key can be found."""
    start = line.find(b'"', line.find(FILENAME) + len(FILENAME)) + 1
    level = line.find(b'"', line.find(LEVEL) + len(LEVEL)) + 1
    if line[level : level + 1] not in INITIALS:
        return b""
    return _base(line[start : line.find(b'"', start)])


def decode(line: bytes) -> Line | None:
    """Return what a line says, in whatever order; None = it is no log object of Asterisk, or was cut."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    match found:
        case {
            "timestamp": str(date),
            "identifiers": {"lwp": int(thread)},
            "logmsg": {"location": {"filename": str(file)}, "level": str(level), "message": str(said)},
        }:
            return Line(
                _bytes(date),
                _bytes(level),
                str(thread).encode(),
                _base(_bytes(file)),
                _bytes(said.removesuffix("\n")),
            )
    return None


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _base(file: bytes) -> bytes:
    return file[file.rfind(b"/") + 1 :]
