"""Reads the message of a NOTICE, WARNING or ERROR line by the rows of `table.py`."""

from __future__ import annotations

import re

from amiguard.asterisk.log.fields import HIGHEST_PORT, address, endpoint, text, word
from amiguard.asterisk.log.table import ONLY, ROWS, Row
from amiguard.asterisk.schema import SecurityEvent
from amiguard.model import Address

Notice = tuple[str, Address | None, SecurityEvent | None]
"""What a line says: its shape; of whom, None where nobody knows; the event, None where nothing counts."""


def _by_start(rows: tuple[Row, ...]) -> dict[bytes, tuple[Row, ...]]:
    starts = {bytes([byte]): ("%s", chr(byte)) for byte in range(256)}
    fitting = {byte: tuple(row for row in rows if row.form.startswith(start)) for byte, start in starts.items()}
    return {byte: rows for byte, rows in fitting.items() if rows}


BY_START = {file: _by_start(rows) for file, rows in ROWS.items()}
"""For each of Asterisk's source files, and each first byte of a message: the rows that may fit."""


def read(rows: tuple[Row, ...], level: bytes, message: bytes, *, proves: bool) -> Notice | None:
    """Return what a message says by the first of `rows` that fits; None = none does.

    `proves`: whether a transport that the line names, or implies, is to be believed."""
    for row in rows:
        found = row.pattern.match(message)
        if found is not None and level in row.levels:
            notice = _judge(row, found, proves=proves)
            if notice is not None:
                return notice
    return None


def _judge(row: Row, found: re.Match[bytes], *, proves: bool) -> Notice | None:
    reason, before, at, port, account, session, transport = found.group(*row.groups)
    shape, name, acl = row.outcomes[reason or ONLY]
    if at is None:
        return shape, None, None
    if row.mark is not None and (row.whole is None or b'"' in before):
        place = _place(row, row.mark, found)
        if place is None:
            return shape, None, None
        if place is not found:
            at, session = place["at"], session and found.string[place.end() : found.end("session")]
    source = endpoint(at) if port is None else _host_port(at, port)
    if source is None:
        return None
    event: SecurityEvent | None = None
    if name:
        event = tuple.__new__(  # what SecurityEvent(...) does, in half the time
            SecurityEvent,
            (
                name, row.service, *source, (word(transport) if transport else row.transport) if proves else "",
                text(_user(before) if row.header else account), text(session) if session else "", acl, False, False,
            ),
        )  # fmt: skip
    return shape, source[0], event


def _place(row: Row, mark: re.Pattern[bytes], found: re.Match[bytes]) -> re.Match[bytes] | None:
    """Return the place of Asterisk's own address; None = two places could be it, and they name two addresses."""
    if row.whole is not None and row.whole.fullmatch(found["before"]):
        return found
    places = [found, *mark.finditer(found.string, found.end("at"))]
    named = {source: place for place in reversed(places) if (source := endpoint(place["at"])) is not None}
    return next(iter(named.values())) if len(named) == 1 else None


def _host_port(host: bytes, port: bytes) -> tuple[Address, int] | None:
    found = address(host)
    return None if found is None or int(port) > HIGHEST_PORT else (found, int(port))


def _user(header: bytes) -> bytes:
    """Return the user of the last URI in a From or To header, or the whole header where it has none."""
    uri = header.rfind(b"<") + 1
    scheme, at = header.find(b":", uri), header.find(b"@", uri)
    return header[scheme + 1 : at] if uri <= scheme < at else header
