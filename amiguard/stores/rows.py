"""Bans and log positions as rows, and back: pure.

What most bans share (reason, origin, evidence, service, ...) is one JSON text, so that a hundred thousand rows need few
distinct values and a new detail needs no new layout."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterable, Sequence
from functools import partial
from itertools import chain
from typing import Any

from amiguard.model import (
    Allowed,
    AllowOrigin,
    Ban,
    Evidence,
    Minute,
    Origin,
    Phone,
    Reason,
    Target,
    Timestamp,
    network_of,
)
from amiguard.ports import Position, Resolved

Row = tuple[str | int | None, ...]
"""The columns of `bans`, in the order of `schema.MIGRATIONS`."""

Details = tuple[Reason, Origin, Evidence | None, str, str, str, str, str]
DETAILS = ("reason", "origin", "evidence", "service", "transport", "source", "comment", "node")

_UNSIGNED = 1 << 64

CACHED_DETAILS = 1024
"""How many different details are kept decoded while rows are read."""


def row_of(ban: Ban) -> Row:
    """Return the columns of a ban."""
    details = {name: value for name in DETAILS if (value := getattr(ban, name))}
    texts = json.dumps(ban.accounts), json.dumps(details)
    return (ban.target, ban.since, ban.until, ban.failures, ban.earlier, *texts, int(ban.absolute))


def bans_of(rows: Iterable[Sequence[Any]]) -> list[Ban]:
    """Return the bans that `schema.LOAD_BANS` found.

    Column by column, for the daemon protects nobody until its bans are read, and a hundred thousand calls take longer.

    Raises:
        ValueError: a row holds what amiguard never writes.
    """
    columns = list(zip(*rows, strict=True))
    if not columns:
        return []
    target, since, until, failures, earlier, accounts, details, absolute = columns
    are_targets(of_type(target, str))
    of_type(since, int)
    of_type(until, int, type(None))
    of_type(failures, int)
    of_type(earlier, int)
    of_type(absolute, int)
    tried = list(map(tuple, of_type(json.loads(f"[{','.join(of_type(accounts, str))}]"), list)))
    of_type(list(chain.from_iterable(tried)), str)
    reason, origin, evidence, *texts, node = zip(*decoded(of_type(details, str)), strict=True)
    known = target, since, until, reason, origin, evidence, failures, earlier, tried, *texts, map(bool, absolute), node
    return list(map(partial(tuple.__new__, Ban), zip(*known, strict=True)))


def are_targets(column: Sequence[str]) -> None:
    """Raises ValueError: one is neither an address nor a network, and no firewall could take it."""
    are_addresses([target for target in column if "/" not in target])
    for target in column:
        if "/" in target:
            network_of(Target(target))


def are_addresses(column: Sequence[str]) -> None:
    """Raises ValueError: one is no address."""
    try:
        all(map(partial(socket.inet_pton, socket.AF_INET), (one for one in column if ":" not in one)))
        all(map(partial(socket.inet_pton, socket.AF_INET6), (one for one in column if ":" in one)))
    except OSError as error:
        raise ValueError(f"a target is no address: {error}") from None


def of_type(column: Sequence[Any], *types: type) -> Sequence[Any]:
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
    service, transport, source, comment, node = (str(told.get(name, "")) for name in DETAILS[3:])
    evidence = Evidence(told["evidence"]) if "evidence" in told else None
    reason, origin = Reason(told.get("reason", "")), Origin(told.get("origin", ""))
    return reason, origin, evidence, service, transport, source, comment, node


def position_row(position: Position) -> Row:
    """Return the columns of `positions`. SQLite's integers have a sign; a file's device and inode have none."""
    return (position.path, _signed(position.device), _signed(position.inode), position.offset, position.head)


def position_of(row: Sequence[Any]) -> Position:
    """Return the position that a row of `positions` tells. Raises ValueError: it holds what amiguard never writes."""
    path, device, inode, offset, head = row
    of_type((path, head), str)
    of_type((device, inode, offset), int)
    return Position(path, device % _UNSIGNED, inode % _UNSIGNED, offset, head)


def _signed(number: int) -> int:
    return number - _UNSIGNED if number >= _UNSIGNED // 2 else number


def times_of(rows: Iterable[Sequence[Any]]) -> dict[Target, tuple[Timestamp, ...]]:
    """Return the times that `schema.LOAD_TIMES` found. Raises ValueError: a row holds what amiguard never writes."""
    return {target: tuple(of_type(list_in(times), int)) for target, times in rows}


def minutes_of(rows: Iterable[Sequence[Any]]) -> list[Minute]:
    """Return the minutes that `schema.LOAD_MINUTES` found. Raises ValueError: one holds what amiguard never writes."""
    return [Minute(*of_type(row, int)) for row in rows]


def allowed_of(rows: Iterable[Sequence[Any]]) -> list[Allowed]:
    """Return who `schema.LOAD_ALLOWED` found. Raises ValueError: a row holds what amiguard never writes."""
    told = [tuple(of_type(row, str)) for row in rows]
    are_targets([target for target, _, _ in told])
    return [
        Allowed(Target(target), AllowOrigin.FLEET if node else AllowOrigin.RUNTIME, comment, node=node)
        for target, comment, node in told
    ]


def phones_of(rows: Iterable[Sequence[Any]]) -> list[Phone]:
    """Return whom `schema.LOAD_PHONES` found. Raises ValueError: a row holds what amiguard never writes."""
    phones = [Phone(*row) for row in rows]
    are_addresses(of_type([phone.address for phone in phones], str))
    of_type([phone.account for phone in phones], str)
    of_type([phone.until for phone in phones], int)
    return phones


def names_of(rows: Iterable[Sequence[Any]]) -> list[Resolved]:
    """Return what `schema.LOAD_NAMES` found. Raises ValueError: a row holds what amiguard never writes."""
    found = []
    for name, addresses in rows:
        targets = of_type(list_in(*of_type([addresses], str)), str)
        are_addresses(targets)
        of_type([name], str)
        found.append(Resolved(name, tuple(map(Target, targets))))
    return found


def list_in(text: str) -> list[Any]:
    """Return a JSON array. Raises ValueError: the text is none."""
    [told] = of_type([json.loads(text)], list)
    return list(told)
