"""What time a log line says, in the forms that administrators set as `dateformat` and that syslog and journald write.

A time without an offset is local to Asterisk's zone, one without a year is the last such day, and the hour that a clock
repeats in autumn is read so that the log does not go backwards."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import NamedTuple

from amiguard.model import Timestamp

DAY = 86_400_000
SLACK = 60_000
"""Milliseconds that a line may stand before its predecessor, or ahead of our clock, without being a sign."""

MONTHS = {name: number for number, name in enumerate(b"Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(), 1)}
MILLISECONDS = 3
"""Digits of a second's fraction that count."""

YEARS_BACK = 8
"""How far the last 29 February can lie back."""

CLOCK = rb"(?P<H>\d\d):(?P<M>\d\d):(?P<S>\d\d)(?P<fraction>[.,]\d{1,9})?"
OFFSET = rb"(?: ?(?P<offset>Z|[+-]\d\d:?\d\d))?(?: [A-Z]{1,5})?"
NAME = rb"(?P<b>" + b"|".join(MONTHS) + rb")"

FORMS = tuple(
    re.compile(form)
    for form in (
        # %F %T, %F %T.%3q, %FT%T%z, %Y/%m/%d %T, and syslog's and journald's ISO 8601
        rb"(?P<Y>\d{4})[-/](?P<m>\d\d)[-/](?P<d>\d\d)[ T]" + CLOCK + OFFSET,
        # %b %e %T (Asterisk's default, syslog), %c, %b %e %Y %T
        rb"(?:[A-Z][a-z]{2},? )?" + NAME + rb" {1,2}(?P<d>\d{1,2})(?:,? (?P<Y>\d{4}))? " + CLOCK + OFFSET
        + rb"(?: (?P<Y2>\d{4}))?",
        # %d %b %Y %T, %d/%b/%Y:%T %z
        rb"(?:[A-Z][a-z]{2},? )?(?P<d>\d{1,2})[ /-]" + NAME + rb"[ /-](?P<Y>\d{4})[ :]" + CLOCK + OFFSET,
        # %d.%m.%Y %T
        rb"(?P<d>\d\d)\.(?P<m>\d\d)\.(?P<Y>\d{4}) " + CLOCK + OFFSET,
        # %m/%d/%Y %T or %d/%m/%Y %T, %D %T: which of them, the calendar or our clock tells
        rb"(?P<either>\d\d)/(?P<other>\d\d)/(?P<Y>\d{4}|\d\d) " + CLOCK + OFFSET,
        # %s, %s.%3q, journald's short-unix; and EventTV up to Asterisk 11: seconds-microseconds
        rb"(?P<s>\d{9,11})(?P<fraction>[.,-]\d{1,9})?",
    )
)  # fmt: skip
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class _Second(NamedTuple):
    """The last second of which a fraction was read: the text before the fraction's digits, from where to where they
    stand, the text behind them, and when the second began."""

    before: bytes
    begin: int
    end: int
    behind: bytes
    at: Timestamp


class Times:
    """Reads the times of one log. It remembers the form, the last second (most lines share it) and the last line."""

    def __init__(self, zone: tzinfo) -> None:
        self._zone = zone
        self._form = FORMS[0]
        self._stamp = b""
        self._stamped: Timestamp | None = None
        self._second = _Second(b"", 1, 1, b"", 0)
        self._last: Timestamp | None = None

    def read(self, stamp: bytes, now: Timestamp) -> Timestamp | None:
        """Return what time `stamp` says; None = it says none that we understand. `now` helps where it is ambiguous."""
        if stamp == self._stamp:
            return self._stamped
        before, begin, end, behind, at = self._second
        digits = stamp[begin:end]
        if digits.isdigit() and stamp[:begin] == before and stamp[end:] == behind:
            return at + int(digits if len(digits) == MILLISECONDS else digits[:MILLISECONDS].ljust(MILLISECONDS, b"0"))
        self._stamp, self._stamped = stamp, self._read_new(stamp, now)
        return self._stamped

    def _read_new(self, stamp: bytes, now: Timestamp) -> Timestamp | None:
        found = self._form.fullmatch(stamp) or self._find(stamp)
        if found is None:
            return None
        at = self._instant(found, now)
        if at is None:
            return None
        fraction = found["fraction"] or b""
        if fraction and not fraction.startswith(b"-"):
            begin, end = found.span("fraction")
            self._second = _Second(stamp[: begin + 1], begin + 1, end, stamp[end:], at)
        if at <= now + SLACK:
            self._last = at
        return at + _milliseconds(fraction)

    def _find(self, stamp: bytes) -> re.Match[bytes] | None:
        for form in FORMS:
            found = form.fullmatch(stamp)
            if found is not None:
                self._form = form
                return found
        return None

    def _instant(self, found: re.Match[bytes], now: Timestamp) -> Timestamp | None:
        fields = found.groupdict()
        if fields.get("s"):
            return int(found["s"]) * 1000
        clock = (int(found["H"]), int(found["M"]), int(found["S"]))
        zone = _offset(found["offset"]) if found["offset"] else self._zone
        candidates = [
            at
            for year in _years(fields, now)
            for month, day in _days(fields)
            if (at := self._local((year, month, day), clock, zone, now)) is not None
        ]
        return min(candidates, key=lambda at: (at > now + DAY, abs(at - now)), default=None)

    def _local(
        self, day: tuple[int, int, int], clock: tuple[int, int, int], zone: tzinfo, now: Timestamp
    ) -> Timestamp | None:
        hour, minute, second = clock
        try:  # a leap second counts as the one before it
            local = datetime(*day, hour, minute, min(second, 59), tzinfo=zone)
            early = _timestamp(local)
            late = _timestamp(local.replace(fold=1))
        except (ValueError, OverflowError):
            return None
        if late <= early:  # unambiguous, or a time that the clock jumped over in spring
            return early
        if self._last is not None:
            return early if early >= self._last - SLACK else late
        return late if late <= now + SLACK else early


def _years(fields: dict[str, bytes | None], now: Timestamp) -> tuple[int, ...]:
    year = fields.get("Y") or fields.get("Y2")
    if year:
        return (int(year) if len(year) > 2 else 2000 + int(year),)  # noqa: PLR2004 -- digits of a year
    this = (EPOCH + timedelta(milliseconds=now)).year
    back = YEARS_BACK if fields.get("d") == b"29" else 1
    return tuple(range(this + 1, this - back - 1, -1))


def _days(fields: dict[str, bytes | None]) -> tuple[tuple[int, int], ...]:
    if either := fields.get("either"):
        first, second = int(either), int(fields["other"] or b"0")
        return ((first, second), (second, first))
    name = fields.get("b")
    return ((MONTHS[name] if name else int(fields["m"] or b"0"), int(fields["d"] or b"0")),)


def _offset(text: bytes) -> tzinfo:
    if text == b"Z":
        return UTC
    minutes = int(text[1:3]) * 60 + int(text[-2:])
    return timezone(timedelta(minutes=min(minutes, 1439)) * (-1 if text.startswith(b"-") else 1))


def _milliseconds(fraction: bytes) -> int:
    if fraction.startswith(b"-"):  # microseconds, not a decimal fraction
        return int(fraction[1:]) // 1000
    return int(fraction[1 : 1 + MILLISECONDS].ljust(MILLISECONDS, b"0"))


def _timestamp(at: datetime) -> Timestamp:
    return (at - EPOCH) // timedelta(milliseconds=1)
