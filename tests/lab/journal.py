"""Journals for tests: one remembers, one is silent."""

from __future__ import annotations

from typing import NamedTuple

from amiguard.journal import Action


class Line(NamedTuple):
    action: Action
    message: str
    fields: dict[str, object]


class RecordingJournal:
    """Remembers every line."""

    def __init__(self) -> None:
        self.lines: list[Line] = []

    def write(self, action: Action, message: str = "", /, **fields: object) -> None:
        self.lines.append(Line(action, message, fields))

    def of(self, action: Action) -> list[Line]:
        return [line for line in self.lines if line.action is action]

    def count(self, action: Action) -> int:
        return len(self.of(action))


class SilentJournal:
    """Remembers nothing: a measurement must not pay for it."""

    def write(self, action: Action, message: str = "", /, **fields: object) -> None:
        pass
