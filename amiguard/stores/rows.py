"""Bans as rows of the table `bans`, and back: both pure.

What most bans share (reason, origin, evidence, service, ...) is one JSON text, so that a hundred thousand rows need few
distinct values and a new detail needs no new layout."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import fields
from itertools import repeat
from typing import Any

from amiguard.model import Ban, Evidence, Origin, Reason

Row = tuple[str | int | None, ...]
"""The columns of `bans`, in the order of `schema.MIGRATIONS`."""

Details = tuple[Reason, Origin, Evidence | None, str, str, str, str]
DETAILS = ("reason", "origin", "evidence", "service", "transport", "source", "comment")

CACHED_DETAILS = 1024
"""How many different details are kept decoded while rows are read."""

SETTERS: dict[str, Callable[[Ban, object], None]] = {
    field.name: getattr(Ban, field.name).__set__ for field in fields(Ban)
}


def row_of(ban: Ban) -> Row:
    """Return the columns of a ban."""
    details = {name: value for name in DETAILS if (value := getattr(ban, name))}
    return (ban.target, ban.since, ban.until, ban.failures, ban.earlier, json.dumps(ban.accounts), json.dumps(details))


def bans_of(texts: Sequence[str]) -> list[Ban]:
    """Return the bans that `schema.LOAD_BANS` found: one text a column.

    They are filled column by column with C loops: `Ban(...)`, frozen as it is, would take twice as long, and the daemon
    protects nobody until its bans are read.

    Raises:
        ValueError: a row holds what amiguard never writes.
    """
    target, since, until, failures, earlier = map(json.loads, texts[:5])
    if not target:
        return []
    accounts = of_type(json.loads(f"[{texts[5]}]"), list)
    details = decoded(texts[6].split("\n"))
    if not len(target) == len(accounts) == len(details):
        raise ValueError("a row's accounts are no array, or its details more than one line")
    columns: dict[str, Sequence[object]] = {
        "target": of_type(target, str),
        "since": of_type(since, int),
        "until": of_type(until, int, type(None)),
        "failures": of_type(failures, int),
        "earlier": of_type(earlier, int),
        "accounts": list(map(tuple, accounts)),
    }
    columns |= zip(DETAILS, zip(*details, strict=True), strict=False)
    bans: list[Ban] = list(map(object.__new__, repeat(Ban, len(target))))
    for name, setter in SETTERS.items():
        deque(map(setter, bans, columns.get(name, ())), maxlen=0)
    return bans


def of_type(column: list[Any], *types: type) -> list[Any]:
    """Return the column. Raises ValueError: it holds a value of another type."""
    if not set(map(type, column)) <= set(types):
        raise ValueError(f"a column holds something else than {' or '.join(kind.__name__ for kind in types)}")
    return column


def decoded(texts: Sequence[str]) -> list[Details]:
    """Return the details that these JSON texts tell. Raises ValueError."""
    known: dict[str, Details] = {}
    told = []
    for text in texts:
        details = known.get(text)
        if details is None:
            if len(known) >= CACHED_DETAILS:
                known.clear()
            details = known[text] = details_of(text)
        told.append(details)
    return told


def details_of(text: str) -> Details:
    """Return the details that one JSON text tells. Raises ValueError."""
    [told] = of_type([json.loads(text)], dict)
    service, transport, source, comment = (str(told.get(name, "")) for name in DETAILS[3:])
    evidence = Evidence(told["evidence"]) if "evidence" in told else None
    return Reason(told.get("reason", "")), Origin(told.get("origin", "")), evidence, service, transport, source, comment
