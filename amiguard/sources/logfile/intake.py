"""From a line of Asterisk's log to the sink: reads it, and decides whose clock is right."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import tzinfo
from pathlib import Path

from amiguard.asterisk.log.reading import Channel, Kind, LogReader, Reading, kind_of
from amiguard.asterisk.schema import SecurityEvent
from amiguard.journal import Action, Journal
from amiguard.model import Timestamp
from amiguard.ports import Clock
from amiguard.sources.throttle import ThrottledJournal

WITNESS = {Channel.NOTICE: "log", Channel.SECURITY: "security-log"}
"""How each channel of the first file is called as the source of a failure; of the second, `log-2` and so on. Files are
witnesses of their own: `full` and `messages` tell of the same attempts, which must not count twice."""

SKEW = 90_000
"""Milliseconds by which the time of a line that was just written may differ from ours. Beyond it the zone is wrong, or
the date in a form that misleads, and our own clock is the better one: else every line would be too old to count."""

HEAD = 64 << 10
"""Bytes of a log that tell its kind."""

LogSink = Callable[[SecurityEvent, str, Timestamp], object]
"""Takes an event, the witness that told it, and when it happened."""


class LogIntake:
    """Reads the lines of several logs. `zone` is Asterisk's own, for times without an offset."""

    def __init__(self, sink: LogSink, zone: tzinfo, journal: Journal, clock: Clock) -> None:
        self.events = 0
        """Lines that told of somebody."""
        self.alarms = 0
        self._sink = sink
        self._zone = zone
        self._journal = ThrottledJournal(journal, clock)
        self._clock = clock
        self._files: dict[Path, tuple[LogReader, Mapping[Channel, str]]] = {}

    def take(self, path: Path, line: bytes, live: bool) -> None:
        """Take one line; `live`: it was written just now, and not while nobody read."""
        found = self._files.get(path)
        if found is None:
            found = self._files[path] = LogReader(self._zone, kind_at(path)), witnesses(len(self._files) + 1)
        reader, witness = found
        now = self._clock()
        reading = reader.read(line, now)
        if reading is None:
            return
        if reading.channel is Channel.ALARM:
            self._alarm(path, reading)
        elif reading.event is not None:
            self.events += 1
            self._sink(reading.event, witness[reading.channel], self._time(path, reading, now, live=live))

    def _time(self, path: Path, reading: Reading, now: Timestamp, *, live: bool) -> Timestamp:
        at = reading.at
        if at is None:
            return now
        if live and abs(now - at) > SKEW:
            self._journal.write(
                Action.LOG_ALARM,
                "a line's time is not ours: set AMIGUARD_ASTERISK_TIMEZONE, or another dateformat in logger.conf",
                path=str(path),
                seconds=(now - at) // 1000,
            )
            return now
        return min(at, now)

    def _alarm(self, path: Path, reading: Reading) -> None:
        self.alarms += 1
        self._journal.write(
            Action.LOG_ALARM,
            "a line tells of an attack and names nobody for certain; see the log itself",
            path=str(path),
            shape=reading.shape,
            alarms=self.alarms,
        )


def witnesses(number: int) -> Mapping[Channel, str]:
    """Return how each channel of the first, second, ... file is called as the source of a failure."""
    return WITNESS if number == 1 else {channel: f"{name}-{number}" for channel, name in WITNESS.items()}


def kind_at(path: Path) -> Kind:
    """Return what kind of log begins so: in the middle of a plain one, an attacker's line may look like JSON."""
    try:
        with path.open("rb") as file:
            return kind_of(file.read(HEAD))
    except OSError:
        return Kind.UNKNOWN
