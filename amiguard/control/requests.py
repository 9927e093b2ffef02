"""Reads what a client of the control interface asks for; whatever is wrong is told in one sentence."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import NamedTuple

from amiguard.errors import AmiguardError
from amiguard.model import Target, parse_target

BODY = 64 * 1024
"""Bytes of the longest body that is read."""

COMMENT = 256
"""Characters of the longest reason."""

PAGE = (100, 1_000)
"""Bans on a page: by default, and at most."""

LONGEST = 100 * 365 * 24 * 3600
"""Seconds of the longest ban that is not permanent: a century."""

PERMANENT = -1


class BadRequest(AmiguardError):
    """A request that makes no sense; the text says why."""


class Wanted(NamedTuple):
    """A ban that is asked for. `bantime` is milliseconds, None = permanent; it means nothing where `default` holds."""

    target: Target
    default: bool
    bantime: int | None
    comment: str


class Page(NamedTuple):
    """Which bans to list."""

    address: Target | None
    limit: int
    after: Target | None


def read_ban(body: bytes) -> Wanted:
    """Read the body of a ban: `{"address": ..., "time": seconds or -1, "reason": ...}`; the address alone suffices.

    Raises:
        BadRequest: it is no such JSON.
        InvalidAddress: the address is none.
    """
    try:
        told = json.loads(body)
    except (ValueError, RecursionError):
        raise BadRequest("the body is no JSON") from None
    if not isinstance(told, dict):
        raise BadRequest('the body is no JSON object such as {"address": "192.0.2.1", "time": 3600, "reason": "..."}')
    unknown = sorted(told.keys() - {"address", "time", "reason"})
    if unknown:
        raise BadRequest(f"{unknown[0][:64]!r} is unknown; known are address, time, reason")
    address = told.get("address")
    if not isinstance(address, str):
        raise BadRequest("address is missing, or no text")
    seconds = told.get("time")
    bantime = None if seconds is None else read_bantime(seconds)
    return Wanted(parse_target(address), seconds is None, bantime, read_comment(told.get("reason") or ""))


def read_bantime(seconds: object) -> int | None:
    """Return milliseconds, None = permanent. Raises BadRequest."""
    if seconds == PERMANENT:
        return None
    if isinstance(seconds, bool) or not isinstance(seconds, int) or not 1 <= seconds <= LONGEST:
        raise BadRequest(f"time is not a whole number of seconds between 1 and {LONGEST}, nor -1 for a permanent ban")
    return seconds * 1000


def read_comment(text: object) -> str:
    """Return the reason of a ban. Raises BadRequest."""
    if not isinstance(text, str) or len(text) > COMMENT or not text.isprintable():
        raise BadRequest(f"reason is not one line of at most {COMMENT} characters")
    return text


def read_page(query: Mapping[str, str]) -> Page:
    """Read `address`, `limit` and `cursor`.

    Raises:
        BadRequest: the limit is no number, or there is another parameter.
        InvalidAddress: the address or the cursor is none.
    """
    unknown = sorted(query.keys() - {"address", "limit", "cursor"})
    if unknown:
        raise BadRequest(f"{unknown[0][:64]!r} is unknown; known are address, limit, cursor")
    default, most = PAGE
    limit = query.get("limit", str(default))
    if not (limit.isascii() and limit.isdigit() and len(limit) <= len(str(most)) and 1 <= int(limit) <= most):
        raise BadRequest(f"limit is not a whole number between 1 and {most}")
    address, cursor = query.get("address"), query.get("cursor")
    return Page(
        None if address is None else parse_target(address),
        int(limit),
        None if cursor is None else parse_target(cursor),
    )
