"""Spans of time as an operator writes them: `600`, `90s`, `10m`, `1h 30m`, `5d`, `1w`."""

from __future__ import annotations

import re

from amiguard.errors import AmiguardError

SECOND = 1_000
UNITS = {"w": 604_800 * SECOND, "d": 86_400 * SECOND, "h": 3_600 * SECOND, "m": 60 * SECOND, "s": SECOND}

LONGEST = 5_200 * UNITS["w"]
"""A century. nftables refuses timeouts of more than 2^64 nanoseconds (584 years) with ERANGE, and dates end in 9999."""

PERMANENT = "-1"
"""fail2ban's word for a ban without an end."""

FORM = "seconds, or 90s 10m 1h 5d 1w, or a sum such as '1h 30m'"

_DIGITS = 12
_SECONDS = re.compile(rf"[0-9]{{1,{_DIGITS}}}")
_SUM = re.compile(rf"(?:[0-9]{{1,{_DIGITS}}}[wdhms]\s*)+")
_TERM = re.compile(r"([0-9]+)([wdhms])")


class InvalidDuration(AmiguardError, ValueError):
    """A text is no span of time, or one that is too short or too long."""


def parse_duration(text: str) -> int:
    """Return a span in milliseconds: at least one second, at most `LONGEST`.

    Raises:
        InvalidDuration: `text` is none.
    """
    text = text.strip()
    if _SECONDS.fullmatch(text):
        span = int(text) * SECOND
    elif _SUM.fullmatch(text):
        span = sum(int(count) * UNITS[unit] for count, unit in _TERM.findall(text))
    else:
        raise InvalidDuration(f"{text[:64]!r} is no duration; give {FORM}")
    if not SECOND <= span <= LONGEST:
        raise InvalidDuration(
            f"{text[:64]!r} is out of bounds; give at least 1s and at most {format_duration(LONGEST)}"
        )
    return span


def parse_bantime(text: str) -> int | None:
    """Return a span in milliseconds, or None for `-1`, a permanent ban.

    Raises:
        InvalidDuration: `text` is neither.
    """
    return None if text.strip() == PERMANENT else parse_duration(text)


def format_duration(span: int | None) -> str:
    """Return milliseconds in the words that `parse_bantime` reads; fractions of a second are cut off."""
    if span is None:
        return PERMANENT
    terms = []
    for unit, size in UNITS.items():
        count, span = divmod(span, size)
        if count:
            terms.append(f"{count}{unit}")
    return " ".join(terms) or "0s"
