"""What people read: numbered steps with the time at which each was seen, and the evidence below it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from rich.console import Console
from rich.highlighter import JSONHighlighter
from rich.text import Text

INDENT = " " * 5

SAME = frozenset(
    {
        "log.level", "ecs.version", "service.name", "host.name", "message", "related.ip",
        "event.kind", "event.category", "event.type", "event.outcome", "event.reason",
    }
)  # fmt: skip
"""Fields that are the same in each failure that the demo shows, or stand in it twice."""


class Screen:
    """Writes to standard output: in colour on a terminal, plain where a program reads.

    `zero` is the moment from which times are told, in seconds of the loop's clock, as all times are."""

    def __init__(self) -> None:
        self.zero = 0.0
        self._console = Console(highlight=False, soft_wrap=True)
        self._json = JSONHighlighter()
        self._steps = 0

    def title(self, text: str, facts: Mapping[str, str]) -> None:
        """Say what is played, by whom."""
        self._print(Text(text, "bold"))
        for name, value in facts.items():
            self._print(Text.assemble("  ", (f"{name:14}", "cyan"), value))

    def step(self, text: str, at: float | None = None) -> None:
        """Say that something was really seen, and when."""
        self._steps += 1
        time = Text() if at is None else self._since(at)
        self._print(Text.assemble((f"\n{self._steps:3}. ", "bold green"), time, (text, "bold")))

    def note(self, text: str, at: float | None = None) -> None:
        """Write a line of evidence."""
        self._print(Text.assemble(INDENT, "" if at is None else self._since(at), text))

    def quote(self, text: str) -> None:
        """Write lines as they came."""
        for line in text.splitlines():
            self._print(Text(f"{INDENT}| {line}", "dim"))

    def failure(self, fields: Mapping[str, Any], at: float) -> None:
        """Write what distinguishes a failure's line of the log from the others'."""
        own = {name: value for name, value in fields.items() if name not in SAME}
        self.line(json.dumps(own, separators=(",", ":")), at)

    def line(self, text: str, at: float) -> None:
        """Write a line of the log, whole."""
        self._print(Text.assemble(INDENT, self._since(at), self._json(Text(text))))

    def command(self, arguments: Iterable[str], output: str) -> None:
        """Write a command and its answer."""
        self._print(Text.assemble(INDENT, ("# amiguard " + " ".join(arguments), "cyan")))
        self.quote(output)

    def missing(self, text: str) -> None:
        """Say what was not seen."""
        self._print(Text.assemble("\n" * bool(self._steps), ("Missing: ", "bold red"), text))

    def end(self, text: str, *, good: bool) -> None:
        """Close."""
        self._print(Text(f"\n{text}", "bold green" if good else "bold"))

    def _since(self, at: float) -> Text:
        return Text(f"{(at - self.zero) * 1000:+9.1f} ms  ", "yellow")

    def _print(self, text: Text) -> None:
        text.rstrip()
        self._console.print(text)
