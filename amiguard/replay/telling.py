"""From a file to what it tells, in its order and with its own times: a log's lines, or the blocks of an AMI capture."""

from __future__ import annotations

import re
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, tzinfo

from amiguard.asterisk.events import HOLD, REACH, EventParser
from amiguard.asterisk.framing import BANNER, LINE_END, Framer
from amiguard.asterisk.log.reading import Channel, LogReader
from amiguard.asterisk.log.times import DAY, Times
from amiguard.asterisk.schema import HEAD, SecurityEvent, match
from amiguard.chansip import Report
from amiguard.model import Timestamp
from amiguard.replay.files import Opened, lines
from amiguard.sources.logfile.intake import SKEW, witnesses

STEP = 64 << 10
"""Bytes of a capture that are cut into blocks at once."""

REMEMBERED = 10_000
AT_ONCE = 1_000
"""Events, and equal ones of each, whose times are remembered until the parser is certain of them."""

EVENT_TIME = re.compile(rb"[^\r]{1,64}")


@dataclass(slots=True)
class Tally:
    """What was read, in all files."""

    read: int = 0
    """Lines, or blocks of a capture."""
    recognised: int = 0
    """Those that tell of an attempt, a success, or a challenge."""
    backwards: int = 0
    """Lines of an earlier time than the line before them in the same file: more than a few mean a wrong time zone."""
    alarms: Counter[str] = field(default_factory=Counter)
    """Lines that tell of an attack and name nobody for certain, by shape; events that were not believed."""


class _Course:
    """The time of one file: that of its lines, where they have one that can be true."""

    def __init__(self, written: Timestamp | None, now: Timestamp, tally: Tally) -> None:
        self.written = written or now
        self._latest = now + DAY
        self._now: Timestamp | None = None
        self._tally = tally

    def at(self, said: Timestamp | None) -> Timestamp:
        """Return when something happened that says so: a line from the future was forged, or set by a wrong clock."""
        if said is None or said > self._latest:
            return self.written if self._now is None else self._now
        if self._now is not None and said < self._now - SKEW:
            self._tally.backwards += 1
        self._now = said
        return said


def log(file: Opened, number: int, zone: tzinfo, now: Timestamp, tally: Tally) -> Iterator[Report]:
    """Yield what the first, second, ... log tells; each is a witness of its own.

    `zone` is Asterisk's own; `now` is today's time. A year that no line names is that of the file's last change."""
    reader, witness = LogReader(zone), witnesses(number)
    course = _Course(file.written, now, tally)
    for line in lines(file.stream):
        tally.read += 1
        reading = reader.read(line, course.written)
        if reading is not None:
            tally.recognised += 1
            if reading.channel is Channel.ALARM:
                tally.alarms[reading.shape] += 1
                continue
            at = course.at(reading.at)
            if reading.event is not None:
                yield Report(reading.event, witness[reading.channel], at)


def capture(file: Opened, now: Timestamp, tally: Tally) -> Iterator[Report]:
    """Yield what the bytes tell that Asterisk sent to a manager; the banner may be missing.

    A capture does not say when its bytes arrived, and an event's time may be forged like its other headers as long as
    the parser holds it back. So bytes stand for the parser's time: `REACH` of them for `HOLD`.

    Raises:
        FrameError: this is no capture of AMI.
    """
    framer, parser, times = Framer(), EventParser(), _EventTimes(file.written or now)
    course = _Course(file.written, now, tally)
    chunk = file.stream.read(STEP)
    if not chunk.startswith(BANNER):
        framer.feed(BANNER + LINE_END)
    received = 0
    while chunk:
        for block in framer.feed(chunk):
            received += len(block)
            tally.read += 1
            times.remember(block)
            yield from _certain(parser.feed(block, received * HOLD // REACH), times, course, tally)
        chunk = file.stream.read(STEP)
    yield from _certain(parser.close(), times, course, tally)
    for name, count in (("disbelieved", parser.disbelieved), ("unreadable", parser.unreadable)):
        if count:
            tally.alarms[name] += count


def _certain(events: list[SecurityEvent], times: _EventTimes, course: _Course, tally: Tally) -> Iterator[Report]:
    for event in events:
        tally.recognised += 1
        yield Report(event, "ami", course.at(times.pop(event)))


class _EventTimes:
    """When events happened, kept until the parser is certain of them. A tampered event has no time of its own."""

    def __init__(self, year: Timestamp) -> None:
        self._year = year
        self._times = Times(UTC)
        self._known: dict[SecurityEvent, deque[Timestamp]] = {}

    def remember(self, block: bytes) -> None:
        event = match(block)
        head = HEAD.match(block)
        found = EVENT_TIME.match(block, head.end()) if event is not None and head is not None else None
        at = None if found is None else self._times.read(found.group(), self._year)
        if event is not None and at is not None:
            if len(self._known) >= REMEMBERED:
                del self._known[next(iter(self._known))]
            self._known.setdefault(event, deque(maxlen=AT_ONCE)).append(at)

    def pop(self, event: SecurityEvent) -> Timestamp | None:
        known = self._known.get(event)
        if not known:
            return None
        at = known.popleft()
        if not known:
            del self._known[event]
        return at
