"""What a name stands for now, and for how long: the only place that speaks DNS.

`/etc/hosts` counts before DNS, as everywhere else. Which servers to ask is read from `/etc/resolv.conf` each time."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from dns.asyncresolver import Resolver
from dns.exception import DNSException
from dns.rdatatype import AAAA, SRV, A, RdataType
from dns.resolver import NXDOMAIN

from amiguard.errors import InvalidAddress, ResolverError
from amiguard.model import Address, parse_address

HOSTS = Path("/etc/hosts")
HOSTS_TTL = 60
"""Seconds until the file is read again."""

PATIENCE = 5.0
"""Seconds for one question, all servers and repetitions together."""

UNKNOWN_TTL = 60
"""Seconds for which "there is no such name" holds."""

MAX_TARGETS = 16
"""Hosts that one service may name."""

TYPES: dict[int, RdataType] = {4: A, 6: AAAA}

SIP_SERVICES = ("_sip._udp", "_sip._tcp", "_sips._tcp")
"""RFC 3263, section 4.2."""


class Answer(NamedTuple):
    """The addresses of a name, none if it has none, and the seconds that they hold."""

    addresses: frozenset[Address]
    ttl: int


async def look_up(name: str, version: int, services: Sequence[str] = ()) -> Answer:
    """Return the addresses of one IP version that `name` stands for, and those of the hosts of its `services` (SRV).

    Raises:
        ResolverError: no server answers, or none knows.
    """
    listed = in_hosts(name)
    if listed:
        return Answer(frozenset(one for one in listed if (":" in one) is (TYPES[version] is AAAA)), HOSTS_TTL)
    try:
        resolver = Resolver()
    except DNSException as error:
        raise ResolverError(f"no DNS server in /etc/resolv.conf: {error}") from error
    found = [await _ask(resolver, f"{service}.{name}", SRV) for service in services]
    hosts = sorted({host for texts, _ in found for host in texts})[:MAX_TARGETS]
    found = [(set(), ttl) for texts, ttl in found if texts]
    found += await asyncio.gather(*(_ask(resolver, host, TYPES[version]) for host in (name, *hosts)))
    return Answer(_addresses(text for texts, _ in found for text in texts), min(ttl for _, ttl in found))


async def _ask(resolver: Resolver, name: str, kind: RdataType) -> tuple[set[str], int]:
    """Return what the records of one kind say, and their TTL. Raises ResolverError."""
    try:
        answer = await resolver.resolve(name, kind, raise_on_no_answer=False, lifetime=PATIENCE, search=True)
    except NXDOMAIN:
        return set(), UNKNOWN_TTL
    except (DNSException, OSError, UnicodeError) as error:
        raise ResolverError(f"{name} can't be resolved: {error}") from error
    texts = {record.target.to_text() if kind is SRV else record.to_text() for record in answer.rrset or ()}
    return texts - {"."}, answer.chaining_result.minimum_ttl if texts else UNKNOWN_TTL


def in_hosts(name: str) -> frozenset[Address]:
    """Return what `/etc/hosts` says of a name: nothing, if it does not stand there."""
    try:
        text = HOSTS.read_text(errors="replace")
    except OSError:
        return frozenset()
    wanted = name.lower().rstrip(".")
    lines = (line.partition("#")[0].lower().split() for line in text.splitlines())
    return _addresses(words[0] for words in lines if wanted in words[1:])


def _addresses(texts: Iterable[str]) -> frozenset[Address]:
    found = set()
    for text in texts:
        try:
            found.add(parse_address(text))
        except InvalidAddress:
            continue  # a line of a file that somebody writes by hand
    return frozenset(found)
