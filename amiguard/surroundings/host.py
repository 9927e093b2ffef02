"""This host as it is now: its own addresses, its default gateways, the resolvers that it asks.

The kernel tells when an address or a default route changes; only `/etc/resolv.conf` is read again and again, for
DHCP rewrites it at its leisure."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from pathlib import Path

from amiguard.errors import InvalidAddress, SurroundingsError
from amiguard.journal import Action, Journal
from amiguard.model import Address, parse_address
from amiguard.surroundings.rtnetlink import (
    GROUPS,
    RTM_GETADDR,
    RTM_GETROUTE,
    RouteSocket,
    address_in,
    gateways_in,
    matters,
)

RESOLV_CONF = Path("/etc/resolv.conf")
NAMESERVER = re.compile(r"^\s*nameserver\s+(\S+)", re.MULTILINE)

SETTLE = 0.2
"""Seconds from the first news to the look: a change of the network is many news."""

LOOK = 60.0
"""Seconds after which `/etc/resolv.conf` is read again, and after a fault everything is tried again."""

Told = Callable[[str, frozenset[Address]], None]
"""What addresses are to this host (`own address`, `gateway`, `resolver`), and all that there are."""


class Host:
    """Tells what is seen, at once and whenever it may have changed."""

    def __init__(self, told: Told, journal: Journal) -> None:
        self._told = told
        self._journal = journal
        self._failing = False

    async def run(self) -> None:
        """Watch until cancelled."""
        while True:
            try:
                with RouteSocket(GROUPS) as news:
                    kernel = await look()
                    self._failing = False
                    while True:
                        for what, addresses in {**kernel, "resolver": resolvers()}.items():
                            self._told(what, addresses)
                        if await _settled(news):
                            kernel = await look()
            except SurroundingsError as error:
                if not self._failing:
                    self._failing = True
                    text = "this host's addresses and gateways are not known"
                    self._journal.write(Action.SELF_UNKNOWN, text, error=error)
                await asyncio.sleep(LOOK)


async def _settled(news: RouteSocket) -> bool:
    """Return True a moment after news of any weight, False after a while without. Raises SurroundingsError."""
    try:
        async with asyncio.timeout(LOOK):
            while not any(map(matters, await news.receive())):
                pass
    except TimeoutError:
        return False
    await asyncio.sleep(SETTLE)
    return True


async def look() -> dict[str, frozenset[Address]]:
    """Return what the kernel tells of this host now. Raises SurroundingsError."""
    with RouteSocket() as kernel:
        own = {address_in(body) for body in await kernel.dump(RTM_GETADDR)}
        routes = await kernel.dump(RTM_GETROUTE)
    gateways = frozenset(gateway for body in routes for gateway in gateways_in(body))
    return {
        "own address": frozenset(address for address in own if address is not None),
        "gateway": gateways,
    }


def resolvers() -> frozenset[Address]:
    """Return the servers that `/etc/resolv.conf` names."""
    try:
        text = RESOLV_CONF.read_text(errors="replace")
    except OSError:
        return frozenset()
    found = set()
    for word in NAMESERVER.findall(text):
        try:
            found.add(parse_address(word))
        except InvalidAddress:
            continue  # a line of a file that somebody writes by hand
    return frozenset(found)
