"""What a registry's answer says of an address: RDAP's "ip network" object (RFC 9083).

An answer is a stranger's text: believed only where it covers the address, cleaned, and shown to people; nothing is
decided by it."""

from __future__ import annotations

import ipaddress
import json
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from amiguard.notifiers.wording import clean

FIELD_LIMIT = 128

IP = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True)
class Registration:
    """What a registry says of an address: cleaned text, empty where it says nothing."""

    network: str
    span: str
    """First and last address of the network."""
    organisation: str
    country: str
    abuse: str
    """Mail addresses for complaints."""


def registration(answer: bytes, address: IP) -> Registration:
    """Read an "ip network" object (RFC 9083 section 5.4).

    Raises:
        ValueError: it is no such object, or speaks of another address.
        RecursionError: it is nested beyond reason.
    """
    match json.loads(answer):
        case dict(network):
            pass
        case _:
            raise ValueError("not an object")
    first, last = (ipaddress.ip_address(_text(network, key)) for key in ("startAddress", "endAddress"))
    if not int(first) <= int(address) <= int(last) or {first.version, last.version} != {address.version}:
        raise ValueError("the answer is about another address")
    people = list(_entities(network))
    holder = next((card for roles, card in people if "registrant" in roles and _value(card, "fn")), [])
    abuse = next((card for roles, card in people if "abuse" in roles and _value(card, "email")), [])
    return Registration(
        network=clean(_text(network, "name") or _text(network, "handle"), FIELD_LIMIT),
        span=f"{first} - {last}",
        organisation=clean(_value(holder, "fn"), FIELD_LIMIT),
        country=clean(_text(network, "country") or _country(holder), FIELD_LIMIT),
        abuse=clean(_value(abuse, "email"), FIELD_LIMIT),
    )


def _text(mapping: dict[str, object], key: str) -> str:
    value = mapping.get(key)
    return value if isinstance(value, str) else ""


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _entities(network: dict[str, object]) -> Iterator[tuple[list[object], list[object]]]:
    """Yield roles and vCard properties (RFC 7095) of each entity, outermost first."""
    waiting = deque(_list(network.get("entities")))
    while waiting:
        entity = waiting.popleft()
        if not isinstance(entity, dict):
            continue
        waiting.extend(_list(entity.get("entities")))
        card = _list(entity.get("vcardArray"))
        yield _list(entity.get("roles")), _list(card[1]) if len(card) > 1 else []


def _property(card: list[object], name: str) -> tuple[dict[str, object], object]:
    for entry in card:
        match entry:
            case [str(key), dict(parameters), _, value, *_] if key == name:
                return parameters, value
            case _:
                continue
    return {}, None


def _value(card: list[object], name: str) -> str:
    value = _property(card, name)[1]
    return value if isinstance(value, str) else ""


def _country(card: list[object]) -> str:
    """Return the country of a postal address: its seventh part, or the last line of its label."""
    parameters, parts = _property(card, "adr")
    listed = _list(parts)
    if len(listed) > 6 and isinstance(listed[6], str) and listed[6]:  # noqa: PLR2004 -- RFC 6350 section 6.3.1
        return listed[6]
    return _text(parameters, "label").rpartition("\n")[2]
