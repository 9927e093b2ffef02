"""From a line's bytes to the security event it tells of: prefix, grammar, time, and how far the line is believed.

A plain log can be forged by one UDP packet: PJSIP dumps a packet without CSeq into it verbatim, so its body can hold a
perfect line of any shape, and a lone ESC in a header erases what follows it (`main/term.c:term_strip`). So a plain line
never proves an address, whatever transport it names. A line of a JSON file can't be forged like that, and keeps it.
`LogReader._is` is the one place of this rule."""

from __future__ import annotations

import re
from datetime import UTC, tzinfo
from enum import StrEnum
from typing import NamedTuple

from amiguard.asterisk.log import jsonlines, notices, prefix, usual
from amiguard.asterisk.log.notices import BY_START, Notice
from amiguard.asterisk.log.pairs import PAIRED, Pairs
from amiguard.asterisk.log.security import Security
from amiguard.asterisk.log.table import ROWS
from amiguard.asterisk.log.times import Times
from amiguard.asterisk.schema import SecurityEvent
from amiguard.model import Timestamp

LONGEST = 8190
"""Bytes of a line without its line feed. Asterisk cuts after them (`main/logger.c`, LOGMSG_SIZE), line feed and all, so
a longer one is two lines in one."""

SECURITY_LOG = b"res_security_log.c"
WATCHED = frozenset({*ROWS, SECURITY_LOG})
"""The source files whose lines are read further."""


class Kind(StrEnum):
    """What kind of log a file is."""

    UNKNOWN = "unknown"
    JSON = "json"
    PLAIN = "plain"
    SYSLOG = "syslog"


LEVELS = frozenset(prefix.LEVELS.split(b"|"))

UNPROVEN = (Kind.UNKNOWN, Kind.JSON)
"""Kinds that a single line that is no object disproves."""

Origin = tuple[bytes, bytes, bytes, bytes]
"""Source file, level, thread and date of a line."""


class Channel(StrEnum):
    """What a line is to the guard. `NOTICE` and `SECURITY` lines of one log tell of the same attempts: they are two
    witnesses, of which the one that saw more is believed. `ALARM` lines are reported."""

    NOTICE = "notice"
    SECURITY = "security"
    ALARM = "alarm"


UNKNOWN, PLAIN, SYSLOG, NOTICE, SECURITY = Kind.UNKNOWN, Kind.PLAIN, Kind.SYSLOG, Channel.NOTICE, Channel.SECURITY
"""What the way of every line needs: to look a member up in its class takes ten times as long."""


class Reading(NamedTuple):
    """What one line says.

    `at` is its own time, None where it has none that we understand. `event` is what the manager interface would have
    told, None where the line is known but counts nobody: it names nobody for certain, it is no attack, or the line
    before it told of the same attempt."""

    shape: str
    channel: Channel
    at: Timestamp | None
    event: SecurityEvent | None


class LogReader:
    """Reads the lines of one log, in their order. A new file, or one that begins anew, wants a new reader.

    `zone` is Asterisk's own, for times without an offset. `kind` is what an earlier reader of the same file found."""

    def __init__(self, zone: tzinfo, kind: Kind = Kind.UNKNOWN) -> None:
        self._is(kind)
        self._times = Times(zone)
        self._event_times = Times(UTC)
        self._security = Security()
        self._pairs = Pairs()

    def read(self, line: bytes, now: Timestamp) -> Reading | None:
        """Return what a line without its line feed says; None = nothing of an attempt. Never raises, in linear time."""
        if line.startswith(b"{"):
            return self._read_json(line, now)
        if b"\x1b" in line:
            line = prefix.COLOUR.sub(b"", line)
        if self._security.torn is not None and (joined := self._join(line, now)):
            return joined
        found = prefix.match(line)
        if found is None:
            if self.kind in UNPROVEN and line and not prefix.BANNER.match(line):
                self._is(Kind.PLAIN)
            return None
        return self._read_plain(found, line, now)

    def _read_plain(self, found: re.Match[bytes], line: bytes, now: Timestamp) -> Reading | None:
        stamp, date, level, thread, file = found.groups()
        kind = PLAIN if stamp is None else SYSLOG
        if self.kind is not kind:
            self._is(kind)
        by_start = BY_START.get(file)
        if by_start is None and file != SECURITY_LOG:
            return None
        date = date or stamp or b""
        if len(line) > LONGEST:
            return Reading("cut", Channel.ALARM, self._times.read(date, now), None)
        start = found.end()
        if by_start is None:
            return self._read_security(level, line.removesuffix(b"\r"), start, now)
        rows = by_start.get(line[start : start + 1])
        if rows is None:
            return None
        notice = usual.read(usual.PLAIN, file, level, line, start)
        if notice is None:
            notice = notices.read(rows, level, line[start:].removesuffix(b"\r"), proves=self._proves)
        return None if notice is None else self._told(notice, thread, date, now)

    def _is(self, kind: Kind) -> None:
        """Note what kind of log this is, and so whether its lines can prove an address: the one place of that rule."""
        self.kind = kind
        self._proves = kind is Kind.JSON

    def _read_json(self, line: bytes, now: Timestamp) -> Reading | None:
        if self.kind is UNKNOWN:
            self._is(Kind.JSON)
        head = jsonlines.HEAD.match(line)
        if head is None or len(line) > LONGEST:
            return self._read_any_json(line, now)
        date, thread, file, level = head.groups()
        if file not in WATCHED or level not in LEVELS:
            return None
        start = head.end()
        notice = usual.read(usual.JSON, file, level, line, start)
        if notice is not None:
            return self._told(notice, thread, date, now)
        message = jsonlines.message(line, start)
        if message is None:
            return self._read_any_json(line, now)
        return self._read_message((file, level, thread, date), message, now)

    def _read_any_json(self, line: bytes, now: Timestamp) -> Reading | None:
        """Read an object that is not as Asterisk 16 to 22 write it."""
        if jsonlines.hint(line) not in WATCHED:
            return None
        found = jsonlines.decode(line) if len(line) <= LONGEST else None
        if found is None:
            return Reading("json-cut", Channel.ALARM, None, None)
        date, level, thread, file, message = found
        return self._read_message((file, level, thread, date), message, now) if file in WATCHED else None

    def _read_message(self, origin: Origin, message: bytes, now: Timestamp) -> Reading | None:
        file, level, thread, date = origin
        if file == SECURITY_LOG:
            return self._read_security(level, message, 0, now)
        rows = BY_START[file].get(message[:1], ())
        notice = notices.read(rows, level, message, proves=self._proves)
        return None if notice is None else self._told(notice, thread, date, now)

    def _told(self, notice: Notice, thread: bytes, date: bytes, now: Timestamp) -> Reading:
        shape, address, event = notice
        at = self._times.read(date, now)
        if address is None:
            return Reading(shape, Channel.ALARM, at, None)
        if shape in PAIRED and not self._pairs.counts(notice, thread, now if at is None else at):
            event = None
        return tuple.__new__(Reading, (shape, NOTICE, at, event))

    def _read_security(self, level: bytes, line: bytes, start: int, now: Timestamp) -> Reading | None:
        said = self._security.read(line, start, proves=self._proves) if level == b"SECURITY" else None
        if said is None:
            return None
        stamp, event, ambiguous = said
        at = self._event_times.read(stamp, now)
        if event is None:
            return Reading("security-ambiguous" if ambiguous else "security-torn", Channel.ALARM, at, None)
        return tuple.__new__(Reading, ("security", SECURITY, at, event))

    def _join(self, line: bytes, now: Timestamp) -> Reading | None:
        said = self._security.join(line[:LONGEST], proves=self._proves)
        if said is None:
            return None
        stamp, event, _ = said
        return Reading("security-joined", Channel.SECURITY, self._event_times.read(stamp, now), event)


def kind_of(head: bytes) -> Kind:
    """Return what kind of log a file is, by its first bytes; the last line of them may be incomplete."""
    reader = LogReader(UTC)
    for line in head.split(b"\n")[:-1]:
        reader.read(line, 0)
    return reader.kind
