"""Lines of Asterisk's `[json]` log files: one object a line (`main/logger.c:format_log_json`, Asterisk 16 and newer).

Quotes, line feeds and control characters of a message are escaped, so no text can begin a line or an object of its own.
Asterisk cuts a line after 8191 bytes; what is left of it is no object."""

from __future__ import annotations

import json
import re
from typing import NamedTuple

FILENAME = b'"filename":'
LEVEL = b'"level":'
INITIALS = b"NWES"
"""What the levels begin with that may tell of an attempt: NOTICE, WARNING, ERROR, SECURITY."""

OBJECT = re.compile(
    rb'\{"hostname": ?"(?:[^"\\]|\\.)*+", ?"timestamp": ?"([^"\\]*+)", ?'
    rb'"identifiers": ?\{"lwp": ?([0-9]{1,10}), ?"callid": ?"[^"\\]*+"\}, ?'
    rb'"logmsg": ?\{"location": ?\{"filename": ?"([^"\\]*+)", ?"function": ?"[^"\\]*+", ?"line": ?[0-9]{1,10}\}, ?'
    rb'"level": ?"([A-Z]{1,16})", ?"message": ?"((?:[^"\\]++|\\.)*+)"\}\}\Z'
)
"""An object as Asterisk 16 to 22 write it. Any other is decoded in full."""


class Line(NamedTuple):
    """One decoded line; the message as bytes, without its last line feed."""

    date: bytes
    level: bytes
    thread: bytes
    file: bytes
    message: bytes


def hint(line: bytes) -> bytes:
    """Return the source file of a line whose level may tell of an attempt, else nothing, without decoding it.

    A quote in a text is escaped, so only a real key can be found."""
    start = line.find(b'"', line.find(FILENAME) + len(FILENAME)) + 1
    level = line.find(b'"', line.find(LEVEL) + len(LEVEL)) + 1
    if line[level : level + 1] not in INITIALS:
        return b""
    return _base(line[start : line.find(b'"', start)])


def decode(line: bytes) -> Line | None:
    """Return what a line says; None = it is no log object of Asterisk, or was cut."""
    found = OBJECT.match(line)
    if found is None:
        return _decode_any(line)
    date, thread, file, level, message = found.groups()
    if message.endswith(b"\\n") and not message.endswith(b"\\\\n"):
        message = message[:-2]
    if b"\\" in message:
        try:
            message = json.loads(b'"' + message + b'"').encode("utf-8", "surrogatepass")
        except ValueError:
            return None
    return tuple.__new__(Line, (date, level, thread, _base(file), message))


def _decode_any(line: bytes) -> Line | None:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    match found:
        case {
            "timestamp": str(date),
            "identifiers": {"lwp": int(thread)},
            "logmsg": {"location": {"filename": str(file)}, "level": str(level), "message": str(message)},
        }:
            return Line(
                _bytes(date),
                _bytes(level),
                str(thread).encode(),
                _base(_bytes(file)),
                _bytes(message.removesuffix("\n")),
            )
    return None


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _base(file: bytes) -> bytes:
    return file[file.rfind(b"/") + 1 :]
