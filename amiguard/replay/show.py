"""How a replay's results look: a line each for people, a JSON object each for programs.

Names are an attacker's text: nothing that a terminal could obey is written as it is."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime, tzinfo
from typing import Protocol

from amiguard.answers import iso
from amiguard.control.display import flattened, visible, word
from amiguard.model import Ban, Timestamp
from amiguard.override import override
from amiguard.replay.replaying import MAX_ADDRESSES, FalseBan, Replay
from amiguard.replay.telling import Tally
from amiguard.settings.durations import format_duration

Write = Callable[[str], object]
"""Writes one line to standard output."""


class Show(Protocol):
    """Shows results as they come."""

    def ban(self, ban: Ban) -> None:
        """Show who would have been banned."""

    def false_ban(self, found: FalseBan) -> None:
        """Show who logged in from a banned address."""

    def totals(self, replay: Replay, tally: Tally) -> None:
        """Show the sums."""


class Objects(Show):
    """A JSON object a line, with `type`; times in ISO 8601, UTC; `bantime` in seconds, None = for ever."""

    def __init__(self, write: Write) -> None:
        self._write = write

    @override
    def ban(self, ban: Ban) -> None:
        self._object(
            "ban",
            address=ban.target,
            since=iso(ban.since),
            until=None if ban.until is None else iso(ban.until),
            bantime=None if ban.until is None else (ban.until - ban.since) // 1000,
            reason=ban.reason,
            evidence=ban.evidence,
            failures=ban.failures,
            earlier=ban.earlier,
            accounts=ban.accounts,
            service=ban.service,
            transport=ban.transport,
            source=ban.source,
        )

    @override
    def false_ban(self, found: FalseBan) -> None:
        logins = found.logins
        self._object(
            "false-ban",
            address=found.address,
            bans=found.bans,
            logins=logins.count,
            while_banned=logins.while_banned,
            first=iso(logins.first),
            last=iso(logins.last),
            evidence=logins.evidence,
            accounts=logins.accounts,
        )

    @override
    def totals(self, replay: Replay, tally: Tally) -> None:
        self._object("totals", **sums(replay, tally))

    def _object(self, kind: str, **values: object) -> None:
        self._write(json.dumps({"type": kind, **values}))


class Lines(Show):
    """A line of text each; times in the zone of the log, to be compared with its lines."""

    def __init__(self, write: Write, zone: tzinfo) -> None:
        self._write = write
        self._zone = zone

    @override
    def ban(self, ban: Ban) -> None:
        length = "for ever" if ban.until is None else f"for {format_duration(ban.until - ban.since)}"
        again = f" (ban {ban.earlier + 1})" if ban.earlier else ""
        how = "/".join(filter(None, (ban.service, ban.transport)))
        self._line(
            f"{self._time(ban.since)}  {ban.target:15}  banned {length}{again}: {ban.reason}, {ban.failures} failures, "
            f"{how}, {ban.evidence}, {ban.source}; tried {', '.join(ban.accounts) or 'no name'}"
        )

    @override
    def false_ban(self, found: FalseBan) -> None:
        logins = found.logins
        self._line(
            f"likely false ban or guessed password: {found.address} was banned {found.bans} times, and logged in "
            f"{logins.count} times ({logins.while_banned} while banned, {logins.evidence}) from "
            f"{self._time(logins.first)} to {self._time(logins.last)} as {', '.join(logins.accounts)}"
        )

    @override
    def totals(self, replay: Replay, tally: Tally) -> None:
        rows = [(name, word(value)) for name, value in flattened(sums(replay, tally))]
        width = max(len(name) for name, _ in rows)
        for name, value in rows:
            self._line(f"{name.ljust(width)}  {value}")

    def _line(self, text: str) -> None:
        self._write(visible(text))

    def _time(self, at: Timestamp) -> str:
        return datetime.fromtimestamp(at / 1000, self._zone).strftime("%Y-%m-%d %H:%M:%S")


def sums(replay: Replay, tally: Tally) -> Mapping[str, object]:
    """Return the totals, JSON-able."""
    counters = replay.counters
    return {
        "read": tally.read,
        "recognised": tally.recognised,
        "failures": counters.failures,
        "while_banned": counters.after_ban,
        "offenders": replay.offenders,
        "offenders_complete": replay.offenders < MAX_ADDRESSES and not replay.forgotten,
        "bans": counters.bans,
        "allowed": counters.skipped,
        "injections": counters.injections,
        "alerts": dict(sorted(replay.alerts.items())),
        "backwards": tally.backwards,
        "alarms": dict(sorted(tally.alarms.items())),
    }
