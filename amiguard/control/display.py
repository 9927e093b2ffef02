"""How the daemon's answers look: tables with rich where people look, plain aligned columns where programs read.

Names, reasons and comments may be an attacker's: nothing that a terminal could obey is written as it is."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any, TypeVar

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import track
from rich.table import Table
from rich.text import Text

from amiguard.answers import iso

Item = TypeVar("Item")

Cell = tuple[str, str]
"""A text, and rich's style for it."""

ALLOWED = ("address", "says", "comment", "until")
NODES = ("node", "version", "heard of")
BANS = ("address", "country", "left", "reason", "node", "failures", "before", "dropped", "tried")
SOMETIMES = frozenset({"country", "dropped", "node"})
"""Columns that are left out where nothing of it is known of any ban."""

MOMENTS = frozenset({"since", "last_event", "last_line"})
"""What the status tells in milliseconds since 1970."""

SPANS = frozenset({"uptime", "remaining", "findtime", "age"})
"""What the status and an offender's record tell in seconds."""

GAP = 2
"""Blanks between two columns."""

LEAST = 12
"""Characters of the last column that a terminal must have room for, or it gets no table: it wraps lines itself."""

MOST = 1_000
"""Rows of a table; rich takes half a minute for a hundred thousand."""


def visible(text: str) -> str:
    """Return `text` with control characters, direction marks and the like written out."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def show(header: Sequence[str], rows: Sequence[Sequence[Cell]]) -> None:
    """Write a table with `header`; on a terminal with styles, in a pipe without header, one line a row."""
    shown = [[(visible(text), style) for text, style in row] for row in rows]
    texts = [[text or "-" for text, _ in row] for row in shown]
    if not sys.stdout.isatty():
        _plain(texts)
        return
    titled = [list(header), *texts] if any(header) else texts
    *widths, last = (max(map(len, column)) for column in zip(*titled, strict=True))
    if len(rows) <= MOST and sum(widths) + GAP * len(widths) + min(last, LEAST) <= Console().width:
        _rich(header, shown)
    else:
        _plain(titled)


def _plain(rows: Sequence[Sequence[str]]) -> None:
    """Write aligned columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        line = (" " * GAP).join(text.ljust(width) for text, width in zip(row, widths, strict=True))
        sys.stdout.write(f"{line.rstrip()}\n")


def _rich(header: Sequence[str], rows: Sequence[Sequence[Cell]]) -> None:
    """Write a table for people; of the columns only the last one is ever broken."""
    shown = Table(box=SIMPLE_HEAD, show_header=any(header), show_edge=False, pad_edge=False, padding=(0, GAP - 1, 0, 0))
    for name in header[:-1]:
        shown.add_column(name, no_wrap=True)
    shown.add_column(header[-1], overflow="fold")
    for row in rows:
        shown.add_row(*(Text(text, style) for text, style in row))
    Console().print(shown)


def flattened(value: Mapping[str, object], prefix: str = "") -> list[tuple[str, object]]:
    """Return nested values as `outer.inner` names, in their order; what is in a list is numbered by its name."""
    flat: list[tuple[str, object]] = []
    for name, inner in value.items():
        if isinstance(inner, Mapping):
            flat += flattened(inner, f"{prefix}{name}.")
        elif isinstance(inner, list) and all(isinstance(item, Mapping) for item in inner):
            for number, item in enumerate(inner):
                flat += flattened(item, f"{prefix}{name}.{item.get('name', number)}.")
        else:
            flat.append((f"{prefix}{name}", inner))
    return flat


def lasting(seconds: int) -> str:
    """Return a duration as `4d 7:05:09`."""
    days, rest = divmod(seconds, 86_400)
    return f"{days}d {timedelta(seconds=rest)}" if days else str(timedelta(seconds=rest))


def word(value: object, name: str = "") -> str:
    """Return a value in an operator's words; `name` tells of some numbers what they are."""
    match value:
        case bool():
            return "yes" if value else "no"
        case int() if name in MOMENTS:
            return iso(value)
        case int() if name in SPANS:
            return lasting(value)
        case None:
            return "-"
        case list():
            return ", ".join(map(str, value))
        case _:
            return str(value)


def ban_rows(bans: Sequence[Mapping[str, Any]]) -> tuple[Sequence[str], list[list[Cell]]]:
    """Return the header of a table of bans, and its rows."""
    columns = [name for name in BANS if name not in SOMETIMES or any(ban.get(name) for ban in bans)]
    return columns, [[cells[name] for name in columns] for cells in map(_ban_cells, bans)]


def _ban_cells(ban: Mapping[str, Any]) -> dict[str, Cell]:
    """Return what there is to say about a ban, by column."""
    left = "for ever" if ban["remaining"] is None else lasting(ban["remaining"])
    tried = ban["comment"] or ", ".join(ban["accounts"])
    return {
        "address": (ban["address"], "bold"),
        "country": (ban.get("country", ""), ""),
        "left": (left, ""),
        "reason": (ban["reason"], ""),
        "node": (ban["node"], ""),
        "failures": (str(ban["failures"]), ""),
        "before": (str(ban["earlier"]), ""),
        "dropped": (f"{ban['dropped']['packets']} packets" if "dropped" in ban else "", ""),
        "tried": (tried, "dim"),
    }


def allowed_row(allowed: Mapping[str, Any]) -> list[Cell]:
    """Return somebody who is never banned as a row of the table."""
    return [
        (allowed["address"], "bold"),
        (f"{allowed['origin']} {allowed['node']}".rstrip(), ""),
        (allowed["comment"], ""),
        (allowed["until"] or "", ""),
    ]


def node_row(node: Mapping[str, Any]) -> list[Cell]:
    """Return a node of the fleet as a row of the table."""
    return [(node["node"], "bold"), (node["version"], ""), (f"{lasting(node['seen'])} ago", "")]


def progress(items: Sequence[Item], what: str) -> Iterable[Item]:
    """Return the items one after the other, and show on standard error how far they are, if that is a terminal."""
    if not sys.stderr.isatty():
        return items
    return track(items, what, console=Console(stderr=True), transient=True)


def status_rows(status: Mapping[str, object]) -> list[list[Cell]]:
    """Return the daemon's status, one value a row."""
    rows: list[list[Cell]] = []
    for name, value in flattened(status):
        last = name.rpartition(".")[2]
        rows.append([(name, "bold"), (word(value, last), "red" if value is False and last in {"ready", "up"} else "")])
    return rows
