"""Asks who holds an address: RDAP (RFC 9082), the successor of whois, at the regional registries.

An answer is bounded in time and size. A redirect is followed to the registries below and to nobody else."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit

import aiohttp

from amiguard import __version__
from amiguard.model import Target, network_of
from amiguard.notifiers.rdap import IP, Registration, registration
from amiguard.web import session

RDAP = {"Accept": "application/rdap+json"}
SIZE_LIMIT = 128 * 1024
REDIRECTS = 3


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
        url = f"{self._registries.first}{address}"
        async with session(__version__) as opened:
            for _ in range(REDIRECTS + 1):
                async with opened.get(url, headers=RDAP, allow_redirects=False) as response:
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
