"""A line for people at a terminal: time, level, action, message, and the fields that tell something."""

from __future__ import annotations

from amiguard.logs.fields import Line, Value

COLORS = {"debug": "\x1b[2m", "info": "\x1b[32m", "warning": "\x1b[33m", "error": "\x1b[31m"}
RESET = "\x1b[0m"

LEFT_OUT = frozenset({"@timestamp", "message", "related.ip"})
"""Fields that stand elsewhere in the line."""


def console_line(level: str, action: str, line: Line, *, colors: bool) -> str:
    """Return `line` as one line of text in which nothing a stranger wrote can drive the terminal."""
    shown = f"{COLORS[level]}{level:7}{RESET}" if colors else f"{level:7}"
    message = printable(str(line["message"]))
    fields = " ".join(f"{name}={_value(value)}" for name, value in line.items() if name not in LEFT_OUT)
    return f"{line['@timestamp']} {shown} {action}: {message}  {fields}".rstrip()


def printable(text: str) -> str:
    """Return `text` with everything escaped that a terminal could obey: control characters, direction marks, ..."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def _value(value: Value) -> str:
    text = printable(",".join(value) if isinstance(value, list) else str(value))
    return repr(text) if not text or set(text) & set(" \"'=") else text
