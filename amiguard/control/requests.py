"""Reads what a client of the control interface asks for; whatever is wrong is told in one sentence."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from aiohttp import web

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

DIGITS = 18
"""Of the number of an event."""


class BadRequest(AmiguardError):
    """A request that makes no sense; the text says why."""


class Wanted(NamedTuple):
    """A ban that is asked for. `bantime` is milliseconds, None = permanent; it means nothing where `default` holds."""

    target: Target
    default: bool
    bantime: int | None
    comment: str
    force: bool


class Page(NamedTuple):
    """Which bans to list."""

    address: Target | None
    limit: int
    cursor: str | None


def read_ban(body: bytes) -> Wanted:
    """Read the body of a ban: `{"address": ..., "time": seconds or -1, "reason": ..., "force": false}`; the address
    alone suffices.

    Raises:
        BadRequest: it is no such JSON.
        InvalidAddress: the address is none.
    """
    told = read_object(body, ("address", "time", "reason", "force"))
    seconds, force = told.get("time"), told.get("force")
    if not (force is None or isinstance(force, bool)):
        raise BadRequest("force is neither true nor false")
    bantime = None if seconds is None else read_bantime(seconds)
    return Wanted(read_target(told), seconds is None, bantime, read_comment(told, "reason"), bool(force))


def read_allow(body: bytes) -> tuple[Target, str]:
    """Read whom to allow, and why: `{"address": ..., "comment": ...}`.

    Raises:
        BadRequest: it is no such JSON.
        InvalidAddress: the address is none.
    """
    told = read_object(body, ("address", "comment"))
    return read_target(told), read_comment(told, "comment")


async def read_body(request: web.Request, patience: float) -> bytes:
    """Return the body of a request, which must come within so many seconds. Raises TimeoutError."""
    async with asyncio.timeout(patience):
        return await request.read()


def read_object(body: bytes, known: Sequence[str]) -> dict[str, object]:
    """Return a JSON object that has only these members. Raises BadRequest."""
    try:
        told = json.loads(body)
    except (ValueError, RecursionError):
        raise BadRequest("the body is no JSON") from None
    if not isinstance(told, dict):
        raise BadRequest('the body is no JSON object such as {"address": "192.0.2.1"}')
    _refuse_unknown(told, known)
    return told


def _refuse_unknown(told: Mapping[str, object], known: Sequence[str]) -> None:
    unknown = sorted(told.keys() - set(known))
    if unknown:
        raise BadRequest(f"{unknown[0][:64]!r} is unknown; known are {', '.join(known)}")


def read_target(told: Mapping[str, object]) -> Target:
    """Return the address. Raises BadRequest, InvalidAddress."""
    address = told.get("address")
    if not isinstance(address, str):
        raise BadRequest("address is missing, or no text")
    return parse_target(address)


def read_bantime(seconds: object) -> int | None:
    """Return milliseconds, None = permanent. Raises BadRequest."""
    if seconds == PERMANENT:
        return None
    if isinstance(seconds, bool) or not isinstance(seconds, int) or not 1 <= seconds <= LONGEST:
        raise BadRequest(f"time is not a whole number of seconds between 1 and {LONGEST}, nor -1 for a permanent ban")
    return seconds * 1000


def read_comment(told: Mapping[str, object], name: str) -> str:
    """Return the reason that somebody gives. Raises BadRequest."""
    text = "" if told.get(name) is None else told[name]
    if not isinstance(text, str) or len(text) > COMMENT or not text.isprintable():
        raise BadRequest(f"{name} is not one line of at most {COMMENT} characters")
    return text


def read_page(query: Mapping[str, str]) -> Page:
    """Read `address`, `limit` and `cursor`.

    Raises:
        BadRequest: the limit is no number, or there is another parameter.
        InvalidAddress: the address is none.
    """
    _refuse_unknown(query, ("address", "limit", "cursor"))
    default, most = PAGE
    limit = query.get("limit", str(default))
    if not (limit.isascii() and limit.isdigit() and len(limit) <= len(str(most)) and 1 <= int(limit) <= most):
        raise BadRequest(f"limit is not a whole number between 1 and {most}")
    address = query.get("address")
    return Page(None if address is None else parse_target(address), int(limit), query.get("cursor"))


def read_after(query: Mapping[str, str], headers: Mapping[str, str]) -> int:
    """Read behind which event to go on: a browser's `Last-Event-ID`. Raises BadRequest."""
    _refuse_unknown(query, ())
    number = headers.get("Last-Event-ID", "0")
    if not (number.isascii() and number.isdigit() and len(number) <= DIGITS):
        raise BadRequest("Last-Event-ID is no number that was given out")
    return int(number)
