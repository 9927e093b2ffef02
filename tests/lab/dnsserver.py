"""A DNS server for tests, over UDP, that answers what the test says just now: real packets, short TTLs, and faults."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset
from typing_extensions import override


@dataclass
class Zone:
    """What the server knows: `records` by name and type, such as `("pbx.example.org", "A")`, each with the `ttl`.

    A name in `broken` is answered SERVFAIL; while `dead`, nobody is answered at all, and
    with `garbage` everybody gets that behind the number of his question. `asked` counts the questions."""

    records: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    ttl: int = 1
    broken: set[tuple[str, str]] = field(default_factory=set)
    dead: bool = False
    garbage: bytes = b""
    asked: Counter[tuple[str, str]] = field(default_factory=Counter)

    def answer(self, query: dns.message.Message) -> dns.message.Message:
        (question,) = query.question
        name, kind = question.name.to_text(omit_final_dot=True), dns.rdatatype.to_text(question.rdtype)
        self.asked[name, kind] += 1
        response = dns.message.make_response(query)
        response.flags |= dns.flags.RA
        texts = self.records.get((name, kind), [])
        if (name, kind) in self.broken:
            response.set_rcode(dns.rcode.SERVFAIL)
        elif texts:
            response.answer.append(dns.rrset.from_text(question.name, self.ttl, "IN", kind, *texts))
        elif not any(known == name for known, _ in self.records):
            response.set_rcode(dns.rcode.NXDOMAIN)
        return response


class _Server(asyncio.DatagramProtocol):
    def __init__(self, zone: Zone) -> None:
        self._zone = zone
        self._transport: asyncio.DatagramTransport

    @override
    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]  # what it is for UDP
        self._transport = transport

    @override
    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if self._zone.garbage:
            self._transport.sendto(data[:2] + self._zone.garbage, addr)
        elif not self._zone.dead:
            self._transport.sendto(self._zone.answer(dns.message.from_wire(data)).to_wire(), addr)


@asynccontextmanager
async def serving(zone: Zone, host: str = "127.0.0.1", port: int = 53) -> AsyncIterator[int]:
    """Serve in the calling thread's network namespace; yield the port."""
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(lambda: _Server(zone), local_addr=(host, port))
    try:
        yield transport.get_extra_info("sockname")[1]
    finally:
        transport.close()
