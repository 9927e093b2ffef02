"""Who holds an address: RDAP (RFC 9082, RFC 9083), the successor of whois, asked of the regional registries.

An answer is a stranger's text. It is bounded in time and size, believed only where it covers the address, cleaned, and
shown to people; nothing is decided by it. A redirect is followed to the registries below and to nobody else."""

from __future__ import annotations

import asyncio
import ipaddress
import json
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit

import aiohttp

from amiguard.model import Target, network_of
from amiguard.notifiers.wording import clean

SIZE_LIMIT = 128 * 1024
FIELD_LIMIT = 128
REDIRECTS = 3

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


@dataclass(frozen=True, slots=True)
class Registries:
    """Whom to ask. `first` is a URL that takes an address at its end; `origins` are those a redirect may lead to."""

    first: str
    origins: frozenset[str]


RIRS = Registries(
    # ARIN answers for its own addresses and redirects to the registry that holds any other one.
    first="https://rdap.arin.net/registry/ip/",
    origins=frozenset(
        {
            "https://rdap.arin.net",
            "https://rdap.db.ripe.net",
            "https://rdap.apnic.net",
            "https://rdap.lacnic.net",
            "https://rdap.registro.br",
            "https://rdap.afrinic.net",
        }
    ),
)


class Whois:
    """Looks up who holds an address, for at most `limit` seconds, `at_once` of them at a time."""

    def __init__(self, registries: Registries = RIRS, limit: float = 5, at_once: int = 3) -> None:
        self._registries = registries
        self._limit = limit
        self._places = asyncio.Semaphore(at_once)

    async def look_up(self, target: Target) -> Registration | None:
        """Return who holds `target` (of a network: its first address); None = not public, or no usable answer in time.

        Never raises: a mail goes without it."""
        address = network_of(target).network_address
        if not address.is_global or address.is_multicast:
            return None
        try:
            async with asyncio.timeout(self._limit), self._places:
                return registration(await self._fetch(address), address)
        except (aiohttp.ClientError, OSError, ValueError, RecursionError):  # TimeoutError is an OSError
            return None

    async def _fetch(self, address: IP) -> bytes:
        headers = {"Accept": "application/rdap+json", "Accept-Encoding": "identity", "User-Agent": "amiguard"}
        url = f"{self._registries.first}{address}"
        # No decompression: a small answer could grow without bound.
        async with aiohttp.ClientSession(headers=headers, auto_decompress=False) as session:
            for _ in range(REDIRECTS + 1):
                async with session.get(url, allow_redirects=False) as response:
                    if response.status == 200:  # noqa: PLR2004 -- HTTP's OK
                        return await _body(response)
                    url = self._next(url, response)
        raise ValueError("redirected too often")

    def _next(self, url: str, response: aiohttp.ClientResponse) -> str:
        """Return where a redirect leads; raises ValueError for any other answer and for a host that is no registry."""
        parts = urlsplit(urljoin(url, response.headers.get("Location", "")))
        if response.status not in {301, 302, 303, 307, 308}:
            raise ValueError(f"HTTP status {response.status}")
        if f"{parts.scheme}://{parts.netloc}" not in self._registries.origins:
            raise ValueError("redirected to a host that is no registry")
        return parts.geturl()


async def _body(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > SIZE_LIMIT:
            raise ValueError("the answer is too long")
    return bytes(body)


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
