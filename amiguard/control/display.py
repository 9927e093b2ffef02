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

Item = TypeVar("Item")

Cell = tuple[str, str]
"""A text, and rich's style for it."""

ALLOWED = ("address", "says", "comment", "until")
NODES = ("node", "version", "heard of")
BANS = ("address", "country", "left", "reason", "node", "failures", "before", "dropped", "tried")
SOMETIMES = frozenset({"country", "dropped", "node"})
"""Columns that are left out where nothing of it is known of any ban."""


def visible(text: str) -> str:
    """Return `text` with control characters, direction marks and the like written out."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def show(header: Sequence[str], rows: Sequence[Sequence[Cell]]) -> None:
    """Write a table; on a terminal with `header` and styles, else one line a row, in columns divided by two blanks."""
    if sys.stdout.isatty():
        _rich(header, rows)
        return
    texts = [[visible(text) or "-" for text, _ in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    for row in texts:
        line = "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True))
        sys.stdout.write(f"{line.rstrip()}\n")


def _rich(header: Sequence[str], rows: Sequence[Sequence[Cell]]) -> None:
    """Write a table for people."""
    shown = Table(*header, box=SIMPLE_HEAD, show_header=any(header))
    for row in rows:
        shown.add_row(*(Text(visible(text), style) for text, style in row))
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


def word(value: object) -> str:
    """Return a value of the status in an operator's words."""
    match value:
        case bool():
            return "yes" if value else "no"
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
    left = "for ever" if ban["remaining"] is None else str(timedelta(seconds=ban["remaining"]))
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
    return [(node["node"], "bold"), (node["version"], ""), (f"{timedelta(seconds=node['seen'])} ago", "")]


def progress(items: Sequence[Item], what: str) -> Iterable[Item]:
    """Return the items one after the other, and show on standard error how far they are, if that is a terminal."""
    if not sys.stderr.isatty():
        return items
    return track(items, what, console=Console(stderr=True), transient=True)


def status_rows(status: Mapping[str, object]) -> list[list[Cell]]:
    """Return the daemon's status, one value a row."""
    rows = [(name, word(value)) for name, value in flattened(status)]
    return [[(name, "bold"), (value, "red" if value == "no" else "")] for name, value in rows]
