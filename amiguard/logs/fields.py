"""Turns the values that amiguard's parts hand to the journal into ECS fields.

A line is a flat dict with dotted names. Text is cut, so that no stranger decides how long a line is."""

from __future__ import annotations

import math
import traceback
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from enum import Enum
from functools import lru_cache
from itertools import islice

from amiguard.model import Ban, Failure, Target, Timestamp

Value = str | int | float | bool | None | list[str]
Line = dict[str, Value]

TEXT = 256
MESSAGE = 1_024
STACK = 8_192
ITEMS = 32

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

NETWORK_PROTOCOLS = {"PJSIP": "sip", "SIP": "sip", "IAX2": "iax2", "AMI": "ami"}
"""Asterisk's service -> `network.protocol`."""

NETWORK_TRANSPORTS = {"UDP": "udp", "TCP": "tcp", "TLS": "tcp", "WS": "tcp", "WSS": "tcp"}
"""Asterisk's transport -> `network.transport`."""

NAMES = {
    "account": "user.name",
    "code": "event.code",
    "host": "server.address",
    "outcome": "event.outcome",
    "path": "file.path",
    "pid": "process.pid",
    "port": "server.port",
    "process": "process.name",
    "reason": "event.reason",
    "service": "asterisk.service",
    "session": "asterisk.session_id",
    "transport": "asterisk.transport",
    "version": "service.version",
}
"""Plain fields that ECS has a name for; any other is `amiguard.<field>`."""


def text(value: str, limit: int = TEXT) -> str:
    """Return at most `limit` characters that every reader takes as they are: lone surrogates and NUL are written out.

    Readers in C, such as rsyslog's, take NUL for the end of the text, and so an attacker's name for another."""
    cut = value[:limit].replace("\0", r"\x00")
    return cut if cut.isascii() else cut.encode("utf-8", "backslashreplace").decode()


def iso(at: Timestamp) -> str:
    """Return a moment as ECS wants it: ISO 8601, UTC, milliseconds."""
    second, millisecond = divmod(at, 1000)
    return f"{_iso_second(second)}.{millisecond:03d}Z"


@lru_cache(maxsize=64)
def _iso_second(second: int) -> str:
    return (EPOCH + timedelta(seconds=second)).isoformat().removesuffix("+00:00")


def add(line: Line, fields: Mapping[str, object]) -> None:
    """Put what a part of amiguard handed over into `line`; a plain field wins over one of a ban or a failure."""
    rest = []
    for name, value in fields.items():
        if isinstance(value, Failure):
            add_failure(line, value)
        elif isinstance(value, Ban):
            add_ban(line, value)
        elif isinstance(value, BaseException):
            add_error(line, value)
        else:
            rest.append((name, value))
    for name, value in rest:
        if name in {"address", "target"}:
            add_target(line, Target(text(str(value))))
        else:
            line[NAMES.get(name, f"amiguard.{name}")] = plain(value)


def plain(value: object) -> Value:
    """Return a value that JSON has a form for; text is cut, lists too."""
    match value:
        case Enum():
            return plain(value.value)
        case None | bool() | int():
            return value
        case float():
            return value if math.isfinite(value) else str(value)
        case str():
            return text(value)
        case list() | tuple() | set() | frozenset():
            return [text(str(plain(item))) for item in islice(value, ITEMS)]
        case _:
            return text(str(value))


def add_target(line: Line, target: Target) -> None:
    """Name an address as source; ECS's `source.ip` takes no network."""
    if "/" in target:
        line["source.address"] = target
    else:
        line["source.ip"] = target
        line["related.ip"] = [target]


def add_failure(line: Line, failure: Failure) -> None:
    """Describe one failed attempt; the line gets the time of the attempt."""
    line["@timestamp"] = iso(failure.at)
    line["message"] = line["message"] or f"{failure.reason.value} from {failure.address}"
    line["event.reason"] = failure.reason.value
    line["event.code"] = text(failure.code)
    line["source.ip"] = failure.address
    if failure.port:
        line["source.port"] = failure.port
    line["user.name"] = text(failure.account)
    add_channel(line, failure.service, failure.transport)
    line["asterisk.session_id"] = text(failure.session)
    line["amiguard.evidence"] = failure.evidence.value
    line["amiguard.weight"] = failure.weight
    line["amiguard.source"] = failure.source
    line["related.ip"] = [failure.address]


def add_ban(line: Line, ban: Ban) -> None:
    """Describe a ban. `amiguard.bantime` is seconds, -1 for a permanent ban, which has no `amiguard.until`."""
    line["event.reason"] = ban.reason.value
    add_target(line, ban.target)
    add_channel(line, ban.service, ban.transport)
    line["amiguard.origin"] = ban.origin.value
    if ban.evidence is not None:
        line["amiguard.evidence"] = ban.evidence.value
    line["amiguard.absolute"] = ban.absolute
    line["amiguard.failures"] = ban.failures
    line["amiguard.earlier_bans"] = ban.earlier
    line["amiguard.since"] = iso(ban.since)
    line["amiguard.bantime"] = -1 if ban.until is None else (ban.until - ban.since) // 1000
    if ban.until is not None:
        line["amiguard.until"] = iso(ban.until)
    if ban.source:
        line["amiguard.source"] = ban.source
    if ban.node:
        line["amiguard.node"] = ban.node
    if ban.comment:
        line["amiguard.comment"] = text(ban.comment)
    if ban.accounts:
        line["related.user"] = [text(account) for account in ban.accounts]


def add_channel(line: Line, service: str, transport: str) -> None:
    """Say over what an attacker spoke with Asterisk."""
    if service:
        line["asterisk.service"] = text(service)
    if protocol := NETWORK_PROTOCOLS.get(service):
        line["network.protocol"] = protocol
    if transport:
        line["asterisk.transport"] = text(transport)
    if network := NETWORK_TRANSPORTS.get(transport):
        line["network.transport"] = network


def add_error(line: Line, error: BaseException) -> None:
    """Name an error; not its traceback, which `stack` gives where it is wanted."""
    line["error.type"] = type(error).__name__
    line["error.message"] = text(str(error), MESSAGE)


def stack(error: BaseException) -> str:
    """Return the end of an error's traceback. Local variables are never shown: they may hold a secret."""
    return text("".join(traceback.format_exception(error))[-STACK:], STACK)
