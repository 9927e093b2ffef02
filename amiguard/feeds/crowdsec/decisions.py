"""CrowdSec's decisions as its stream tells them, and ours as it takes them. Pure.

    {"new": [{"id": 1, "origin": "cscli", "type": "ban", "scope": "Ip", "value": "192.0.2.1", "duration": "3h59m50.1s",
              "scenario": "..."}, ...] or null,
     "deleted": [the same] or null}

The first answer may have hundreds of thousands, and to decode them in one go would stop everything else for a second:
so they are decoded one after the other."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, NamedTuple

from amiguard.errors import FeedError
from amiguard.feeds.networks import LeftOut, Named, named
from amiguard.model import Ban, Timestamp

UNITS = {"h": 3_600_000.0, "m": 60_000.0, "s": 1_000.0, "ms": 1.0, "us": 0.001, "µs": 0.001, "ns": 0.000_001}
LONGEST = 10 * 365 * 86_400_000
"""Milliseconds: what a decision lasts at most, and a permanent ban of ours."""

SCENARIO = "amiguard/"

_DURATION = re.compile(r"(-?)((?:[0-9]{1,12}(?:\.[0-9]{1,12})?(?:h|ms|m|s|us|µs|ns))+)")
_TERM = re.compile(r"([0-9.]+)(h|ms|m|s|us|µs|ns)")
_BLANKS = re.compile(r"[ \t\r\n]*")
_decoder = json.JSONDecoder()


class Decision(NamedTuple):
    """Somebody is to be dropped, or not any more."""

    id: int
    named: Named
    duration: int
    """Milliseconds that are left."""
    origin: str


def told(text: str) -> Iterator[tuple[str, object]]:
    """Yield each decision of an answer as JSON, with the list that it stands in: `new` or `deleted`.

    Raises:
        FeedError: it is no such answer, or cut off.
    """
    try:
        yield from _items(text)
    except (ValueError, RecursionError):
        raise FeedError("the answer is not as CrowdSec's are") from None


def _items(text: str) -> Iterator[tuple[str, object]]:
    place = _after(text, 0, "{")
    while True:
        name, place = _decoder.raw_decode(text, _skip(text, place))
        place = _skip(text, _after(text, place, ":"))
        if text[place : place + 1] != "[":
            value, place = _decoder.raw_decode(text, place)
            if value is not None:
                raise ValueError
        elif text.startswith("]", _skip(text, place + 1)):
            place = _after(text, place + 1, "]")
        else:
            while text[place : place + 1] != "]":
                item, place = _decoder.raw_decode(text, _skip(text, place + 1))
                yield str(name), item
                place = _skip(text, place)
                if text[place : place + 1] not in {",", "]"}:
                    raise ValueError
            place += 1
        place = _skip(text, place)
        if text[place : place + 1] == "}":
            _end(text, place + 1)
            return
        place = _after(text, place, ",")


def _skip(text: str, place: int) -> int:
    match = _BLANKS.match(text, place)
    return place if match is None else match.end()


def _after(text: str, place: int, sign: str) -> int:
    place = _skip(text, place)
    if text[place : place + 1] != sign:
        raise ValueError
    return place + 1


def _end(text: str, place: int) -> None:
    if _skip(text, place) != len(text):
        raise ValueError


def decision_of(item: object) -> Decision | LeftOut | None:
    """Return what a decision says; None: it bans nobody whose address it names, such as one for a country."""
    if not isinstance(item, dict):
        return LeftOut.GARBAGE
    fields: dict[str, Any] = item
    kind, scope, value = (fields.get(name) for name in ("type", "scope", "value"))
    if fields.get("simulated") is True or kind != "ban" or str(scope).lower() not in {"ip", "range"}:
        return None
    duration = milliseconds(fields.get("duration"))
    if not isinstance(value, str) or duration is None:
        return LeftOut.GARBAGE
    found = named(value.encode("utf-8", "backslashreplace"))
    if isinstance(found, LeftOut):
        return found
    number = fields.get("id")
    return Decision(number if isinstance(number, int) else 0, found, duration, str(fields.get("origin"))[:64])


def milliseconds(text: object) -> int | None:
    """Return a duration as Go writes it, at most `LONGEST`; None: it is none."""
    match = _DURATION.fullmatch(text) if isinstance(text, str) and len(text) < 64 else None  # noqa: PLR2004 -- enough
    if match is None:
        return None
    try:
        whole = sum(float(number) * UNITS[unit] for number, unit in _TERM.findall(match[2]))
    except ValueError:
        return None
    return int(min(whole, LONGEST)) * (-1 if match[1] else 1)


def alert(ban: Ban, origin: str, version: str) -> dict[str, object]:
    """Return a ban as an alert with its decision. What a stranger wrote is escaped: cscli prints it as it is."""
    length = LONGEST if ban.until is None else ban.until - ban.since
    target = {"scope": "Range" if "/" in ban.target else "Ip", "value": ban.target}
    names = ", ".join(account[:64].encode("unicode_escape").decode() for account in ban.accounts)
    meta = {"service": ban.service, "transport": ban.transport, "usernames": names}
    at = _iso(ban.since)
    return {
        "scenario": scenario(ban),
        "scenario_hash": "",
        "scenario_version": version,
        "message": f"{ban.target} is banned by amiguard: {ban.reason.value}, {ban.failures} failures",
        "events_count": max(1, ban.failures),
        "start_at": at,
        "stop_at": at,
        "capacity": 0,
        "leakspeed": "0s",
        "simulated": False,
        "remediation": True,
        "events": [{"timestamp": at, "meta": [{"key": key, "value": value} for key, value in meta.items() if value]}],
        "source": target | ({} if "/" in ban.target else {"ip": ban.target}),
        "decisions": [
            target
            | {"origin": origin, "type": "ban", "duration": f"{max(1, length // 1000)}s", "scenario": scenario(ban)}
        ],
    }


def scenario(ban: Ban) -> str:
    """Return what CrowdSec knows the reason of a ban by."""
    return f"{SCENARIO}{ban.reason.value}"


def _iso(at: Timestamp) -> str:
    return datetime.fromtimestamp(at / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
