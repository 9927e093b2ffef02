"""amiguard's own log: one line for each action, on standard output. The only import of structlog."""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import IO, Any, Literal

from amiguard.journal import Action
from amiguard.logs import fields as ecs
from amiguard.logs.catalogue import CATALOGUE, ECS_VERSION
from amiguard.logs.console import console_line
from amiguard.logs.entry import Entry, Level
from amiguard.logs.ocsf import ocsf_event
from amiguard.logs.outlet import Outlet
from amiguard.ports import Clock
from amiguard.sparing import without

with without("rich", "greenlet"):  # for coloured tracebacks and for greenlets, of which we have neither
    import structlog

Format = Literal["ecs", "ocsf", "console"]

LIMIT = 500
"""Lines a second of each action that strangers can cause at will."""

SHARE = 0.5
"""How much of the room for waiting lines those may take: a ban must find some."""

FAREWELL = 200
"""Milliseconds that `close` waits for a reader to take each piece of what is left."""


@dataclass(slots=True)
class Tally:
    """One action, and how many of its lines were written and left out in this second."""

    action: Action
    entry: Entry
    common: str
    """The fields that all its lines share, as JSON without braces."""
    written: int = 0
    left_out: int = 0


class StructuredJournal:
    """Fulfils `amiguard.journal.Journal`."""

    def __init__(
        self,
        format: Format,  # noqa: A002 -- the operator's word, LOG_FORMAT
        level: str,
        fd: int,
        clock: Clock,
        *,
        limit: int,
        tap: Callable[[str], None] | None,
    ) -> None:
        self._outlet = Outlet(fd)
        self._tap = tap
        self._colors = os.isatty(fd)
        self._host = ecs.text(socket.gethostname())
        self.reconfigure(format, level)
        self._clock = clock
        self._limit = limit
        self._second = 0
        self._tallies = {
            action: Tally(action, entry, _common(action, entry, self._host)) for action, entry in CATALOGUE.items()
        }
        self._log = structlog.wrap_logger(
            structlog.ReturnLogger(),
            processors=[self._describe],
            wrapper_class=structlog.make_filtering_bound_logger(Level.DEBUG),  # `write` filters
        ).bind()

    def write(self, action: Action, message: str = "", /, **fields: object) -> None:
        """Write one line; see `amiguard.journal.Journal`. What can't be written now is kept, within a bound."""
        tally = self._tallies[action]
        if tally.entry.level < self._level:
            return
        now = self._clock()
        if now // 1000 != self._second:
            self._next_second(now)
        share = 1.0
        if tally.entry.limited:
            share = SHARE
            if tally.written >= self._limit:
                tally.left_out += 1
                return
            tally.written += 1
        self._put(tally, message, now, fields, share)

    def reconfigure(self, format: Format, level: str) -> None:  # noqa: A002 -- the operator's word, LOG_FORMAT
        """Write the lines from now on in another format, and leave out those below another level."""
        self._render: Callable[[Tally, ecs.Line], str]
        match format:
            case "ecs":
                self._render = _json
            case "ocsf":
                self._render = _ocsf(self._host)
            case "console":
                self._render = _console(colors=self._colors)
        self._level = Level[level.upper()]

    def close(self) -> None:
        """Report what was left out, and give a slow reader a moment to take what waits."""
        self._next_second(self._clock())
        self._outlet.flush(FAREWELL)

    def _next_second(self, now: int) -> None:
        self._second = now // 1000
        self._outlet.flush()
        left_out = {tally.action.value: tally.left_out for tally in self._tallies.values() if tally.left_out}
        for tally in self._tallies.values():
            tally.written = tally.left_out = 0
        if left_out:
            counts = ", ".join(f"{count} {action}" for action, count in left_out.items())
            self._overload(f"left out lines: {counts}", sum(left_out.values()), now)
        if self._outlet.lost and not self._outlet.waiting:
            lost, self._outlet.lost = self._outlet.lost, 0
            self._overload(f"{lost} lines found no reader in time and are lost", lost, now)

    def _overload(self, message: str, left_out: int, now: int) -> None:
        if self._level <= CATALOGUE[Action.OVERLOAD].level:
            self._put(self._tallies[Action.OVERLOAD], message, now, {"left_out": left_out})

    def _put(self, tally: Tally, message: str, now: int, fields: Mapping[str, object], share: float = 1.0) -> None:
        level = tally.entry.level
        try:
            line: str = self._log.log(level, message, tally=tally, now=now, fields=fields)
        except Exception as error:  # noqa: BLE001 -- a value that can't be shown must not cost a ban its line
            line = self._log.log(level, "", tally=tally, now=now, fields={"unshown": type(error).__name__})
        self._outlet.write(f"{line}\n".encode(), share)

    def _describe(self, _logger: object, _method: str, event: MutableMapping[str, Any]) -> str:
        tally: Tally = event["tally"]
        fields: Mapping[str, object] = event["fields"]
        line: ecs.Line = {
            "@timestamp": ecs.iso(event["now"]),
            "message": ecs.text(event["event"], ecs.MESSAGE),
        }
        if tally.entry.outcome:
            line["event.outcome"] = tally.entry.outcome
        ecs.add(line, fields)
        line["message"] = line["message"] or tally.entry.meaning
        error = fields.get("error")
        if self._level is Level.DEBUG and isinstance(error, BaseException):
            line["error.stack_trace"] = ecs.stack(error)
        if self._tap is None:
            return self._render(tally, line)
        told = _json(tally, line.copy())
        self._tap(told)
        return told if self._render is _json else self._render(tally, line)


def open_journal(
    format: Format = "ecs",  # noqa: A002 -- the operator's word, LOG_FORMAT
    level: str = "info",
    *,
    clock: Clock,
    stream: IO[str] | None = None,
    limit: int = LIMIT,
    tap: Callable[[str], None] | None = None,
) -> StructuredJournal:
    """Return the journal that writes to `stream`, an open file with a descriptor; None is standard output.

    `level` is one of debug, info, warning, error; `limit` is how many lines of each action that strangers can cause are
    written a second. `tap` gets every line that is written, as ECS in JSON whatever the format; it must not raise."""
    target = sys.stdout if stream is None else stream
    target.flush()
    return StructuredJournal(format, level, target.fileno(), clock, limit=limit, tap=tap)


_encode = json.JSONEncoder(ensure_ascii=True, allow_nan=False, check_circular=False, separators=(",", ":")).encode


def _json(tally: Tally, line: ecs.Line) -> str:
    return f'{{"@timestamp":"{line.pop("@timestamp")}",{tally.common},{_encode(line)[1:]}'


def _console(*, colors: bool) -> Callable[[Tally, ecs.Line], str]:
    def render(tally: Tally, line: ecs.Line) -> str:
        return console_line(tally.entry.level.name.lower(), tally.action, line, colors=colors)

    return render


def _ocsf(host: str) -> Callable[[Tally, ecs.Line], str]:
    def render(tally: Tally, line: ecs.Line) -> str:
        return _encode(ocsf_event(tally.action, tally.entry, line, host))

    return render


def _common(action: Action, entry: Entry, host: str) -> str:
    line = {
        "log.level": entry.level.name.lower(),
        "event.action": action.value,
        "ecs.version": ECS_VERSION,
        "service.name": "amiguard",
        "host.name": host,
        "event.kind": entry.kind,
        "event.category": entry.category,
        "event.type": entry.type,
    }
    return _encode(line)[1:-1]
