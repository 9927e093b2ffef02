"""What nodes tell each other, as JSON; and what of it is believed. Pure.

A node may be broken or taken over, so every field is checked, and bounded in length. Lifetimes travel as what is left,
for the clocks of two nodes may differ by minutes: how long a message has been on its way is told by Redis alone."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from amiguard.errors import InvalidAddress, InvalidMessage
from amiguard.model import Ban, Evidence, Origin, Reason, Target, Timestamp, network_of, parse_target
from amiguard.nodes import Exempted, Lifted, Revoked, Shared

VERSION = 1

KINDS = {Ban: "ban", Lifted: "unban", Exempted: "allow", Revoked: "disallow"}
"""What a change is called, in messages and in the scripts of Redis."""

LARGEST = 65_536
"""Bytes of a message; one with the longest texts in it has fewer."""

LONGEST = 3_144_960_000_000
"""Milliseconds that are left at most: 5200 weeks, as with `BANTIME`."""

WIDEST = {4: 16, 6: 32}
"""The shortest prefix of a network that is banned for others, by IP version."""

WIDEST_ALLOWED = {4: 24, 6: 48}
"""The same of one that others never ban."""

MAX_ACCOUNTS, TEXT, WORD = 10, 256, 32
MAX_FAILURES = 1_000_000_000

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)
"""What a node may be called."""

_INSTANCE = re.compile(r"[0-9a-f]{16}")


class Message(NamedTuple):
    """A change, and the process that tells of it: a node that has restarted is another `instance`."""

    instance: str
    change: Shared


def shareable(change: Shared) -> bool:
    """Whether the target of a change is not too wide for what one node may have others do."""
    network = network_of(change.target)
    widest = WIDEST_ALLOWED if isinstance(change, Exempted | Revoked) else WIDEST
    return network.prefixlen >= widest[network.version]


def encode(change: Shared, node: str, instance: str, now: Timestamp) -> bytes:
    """Return a change as a message of `node`."""
    told: dict[str, object] = {"v": VERSION, "kind": KINDS[type(change)], "node": node, "instance": instance}
    told |= {"target": change.target, "age": age_of(change, now) or 0}
    if isinstance(change, Exempted):
        told["comment"] = change.comment[:TEXT]
    elif isinstance(change, Ban):
        told |= {
            "remaining": change.remaining(now),
            "reason": change.reason.value,
            "evidence": None if change.evidence is None else change.evidence.value,
            "absolute": change.absolute,
            "failures": min(change.failures, MAX_FAILURES),
            "accounts": [account[:TEXT] for account in change.accounts[:MAX_ACCOUNTS]],
            "service": change.service[:WORD],
            "transport": change.transport[:WORD],
            "comment": change.comment[:TEXT],
        }
    return json.dumps(told).encode()


def age_of(change: Shared, now: Timestamp) -> int | None:
    """Return how many milliseconds ago a change was decided; None = nobody knows."""
    at = change.since if isinstance(change, Ban) else change.at
    return min(max(0, now - at), LONGEST) if at else None


def decode(raw: bytes, now: Timestamp, age: int) -> Message:
    """Return the message that was told `age` milliseconds ago; `now` is this node's.

    Raises:
        InvalidMessage: it is none, or one that nobody may send.
    """
    told = _told(raw)
    if told.get("v") != VERSION or isinstance(told["v"], bool):
        raise InvalidMessage("it is of a version that this amiguard does not know")
    node, instance = _matching(told, "node", NAME), _matching(told, "instance", _INSTANCE)
    target, since = _target(told), now - max(0, age)
    at = since - _whole(told, "age", LONGEST)
    change: Shared
    match told.get("kind"):
        case "unban":
            change = Lifted(target, at, node)
        case "ban":
            change = _ban(told, target, node, at, since)
        case "allow":
            change = Exempted(target, at, _text(told, "comment", TEXT), node)
        case "disallow":
            change = Revoked(target, at, node)
        case _:
            raise InvalidMessage("it is of a kind that this amiguard does not know")
    if not shareable(change):
        raise InvalidMessage(f"{target} is wider than what a node may tell of")
    return Message(instance, change)


def _ban(told: Mapping[str, Any], target: Target, node: str, decided: Timestamp, since: Timestamp) -> Ban:
    remaining = told.get("remaining")
    if remaining is not None:
        remaining = _whole(told, "remaining", LONGEST)
    evidence, accounts = told.get("evidence"), told.get("accounts")
    if type(told.get("absolute")) is not bool:
        raise InvalidMessage("absolute is neither true nor false")
    if not isinstance(accounts, list) or len(accounts) > MAX_ACCOUNTS or any(map(_is_too_long, accounts)):
        raise InvalidMessage("accounts are no list of names")
    try:
        reason = Reason(told["reason"])
        proven = None if evidence is None else Evidence(evidence)
    except (ValueError, TypeError, KeyError):
        raise InvalidMessage("its reason or evidence is unknown") from None
    return Ban(
        target=target,
        since=decided,
        until=None if remaining is None else since + remaining,
        reason=reason,
        origin=Origin.FLEET,
        evidence=proven,
        failures=_whole(told, "failures", MAX_FAILURES),
        accounts=tuple(accounts),
        service=_text(told, "service", WORD),
        transport=_text(told, "transport", WORD),
        comment=_text(told, "comment", TEXT),
        absolute=told["absolute"],
        node=node,
    )


def _told(raw: bytes) -> dict[str, Any]:
    if len(raw) > LARGEST:
        raise InvalidMessage("it is too long")
    try:
        told = json.loads(raw)
    except (ValueError, RecursionError):
        raise InvalidMessage("it is no JSON") from None
    if not isinstance(told, dict):
        raise InvalidMessage("it is no JSON object")
    return told


def _target(told: Mapping[str, Any]) -> Target:
    text = told.get("target")
    try:
        target = parse_target(text) if isinstance(text, str) and len(text) <= TEXT else None
    except InvalidAddress:
        target = None
    if target is None or target != text:
        raise InvalidMessage("its target is neither an address nor a network in canonical text")
    return target


def _matching(told: Mapping[str, Any], name: str, pattern: re.Pattern[str]) -> str:
    value = told.get(name)
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise InvalidMessage(f"{name} is none")
    return value


def _text(told: Mapping[str, Any], name: str, longest: int) -> str:
    value = told.get(name)
    if not isinstance(value, str) or len(value) > longest:
        raise InvalidMessage(f"{name} is no text, or too long")
    return value


def _is_too_long(value: object) -> bool:
    return not isinstance(value, str) or len(value) > TEXT


def _whole(told: Mapping[str, Any], name: str, most: int) -> int:
    value = told.get(name)
    if type(value) is not int or not 0 <= value <= most:
        raise InvalidMessage(f"{name} is no number, or out of bounds")
    return value
