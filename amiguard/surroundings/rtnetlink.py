"""Reads rtnetlink: this host's addresses, the gateways of its default routes, and news of both.

Source: Linux include/uapi/linux/rtnetlink.h, if_addr.h, netlink.h; rtnetlink(7)."""

from __future__ import annotations

import asyncio
import ipaddress
import os
import socket
import struct
from collections.abc import Iterator
from errno import ENOBUFS
from typing import NamedTuple, Self

from amiguard.errors import SurroundingsError
from amiguard.model import Address, parse_address

NETLINK_ROUTE = 0
NLM_F_REQUEST, NLM_F_DUMP, NLM_F_DUMP_INTR = 0x1, 0x300, 0x10
NLMSG_ERROR, NLMSG_DONE, NLMSG_OVERRUN = 2, 3, 4
RTM_NEWADDR, RTM_DELADDR, RTM_GETADDR = 20, 21, 22
RTM_NEWROUTE, RTM_DELROUTE, RTM_GETROUTE = 24, 25, 26
IFA_ADDRESS, IFA_LOCAL = 1, 2
RTA_GATEWAY, RTA_MULTIPATH, RTA_VIA = 5, 9, 18
RTN_UNICAST = 1
NLA_TYPE_MASK = 0x3FFF

GROUPS = 0x10 | 0x100 | 0x40 | 0x400
"""RTMGRP_IPV4_IFADDR, RTMGRP_IPV6_IFADDR, RTMGRP_IPV4_ROUTE, RTMGRP_IPV6_ROUTE."""

HEADER = struct.Struct("=IHHII")
ATTRIBUTE = struct.Struct("=HH")
ADDRESS = struct.Struct("=BBBBI")
"""struct ifaddrmsg: family, prefix length, flags, scope, interface."""
ROUTE = struct.Struct("=BBBBBBBBI")
"""struct rtmsg: family, lengths of destination and source, tos, table, protocol, scope, type, flags."""
NEXTHOP = struct.Struct("=HBBi")
"""struct rtnexthop: length, flags, hops, interface."""

RECEIVE = 1 << 16
PATIENCE = 5.0
ATTEMPTS = 10


class Answer(NamedTuple):
    """One message from the kernel."""

    kind: int
    flags: int
    body: bytes


class RouteSocket:
    """A socket of the calling thread's network namespace. `groups` is what news it gets; 0 = none."""

    def __init__(self, groups: int = 0) -> None:
        try:
            self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, NETLINK_ROUTE)
        except OSError as error:
            raise _explained(error) from error
        try:
            self._socket.setblocking(False)
            self._socket.bind((0, groups))
        except OSError as error:
            self._socket.close()
            raise _explained(error) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    async def receive(self) -> list[Answer]:
        """Return the next messages; news that were lost are one of kind NLMSG_OVERRUN. Raises SurroundingsError."""
        try:
            data = await asyncio.get_running_loop().sock_recv(self._socket, RECEIVE)
        except OSError as error:
            if error.errno == ENOBUFS:
                return [Answer(NLMSG_OVERRUN, 0, b"")]
            raise _explained(error) from error
        return list(messages(data))

    async def dump(self, kind: int) -> list[bytes]:
        """Return the bodies of all that the kernel lists. Raises SurroundingsError."""
        for number in range(1, ATTEMPTS + 1):
            request = HEADER.pack(HEADER.size + ROUTE.size, kind, NLM_F_REQUEST | NLM_F_DUMP, number, 0)
            try:
                self._socket.send(request + bytes(ROUTE.size))  # a request for addresses is shorter, and may be padded
                async with asyncio.timeout(PATIENCE):
                    found = await self._listed()
            except TimeoutError:
                raise SurroundingsError("the kernel does not list its addresses and routes") from None
            except OSError as error:
                raise _explained(error) from error
            if found is not None:
                return found
        raise SurroundingsError("addresses and routes change too fast to be listed")

    async def _listed(self) -> list[bytes] | None:
        """Collect one list; None: it changed meanwhile, and is worth nothing."""
        bodies: list[bytes] = []
        interrupted = False
        while True:
            for kind, flags, body in await self.receive():
                interrupted = interrupted or bool(flags & NLM_F_DUMP_INTR)
                if kind == NLMSG_DONE:
                    return None if interrupted else bodies
                if kind == NLMSG_ERROR:
                    code = -int(struct.unpack_from("=i", body)[0])
                    raise SurroundingsError(f"the kernel lists no addresses and routes: {os.strerror(code)}")
                bodies.append(body)


def messages(data: bytes) -> Iterator[Answer]:
    """Cut what one read brought."""
    offset = 0
    while offset + HEADER.size <= len(data):
        length, kind, flags, _, _ = HEADER.unpack_from(data, offset)
        if length < HEADER.size:
            return
        yield Answer(kind, flags, data[offset + HEADER.size : offset + length])
        offset += length + 3 & ~3


def matters(news: Answer) -> bool:
    """Whether it tells of an address or a default route, or may have.

    Other routes may change a thousand times a second."""
    if news.kind in {RTM_NEWADDR, RTM_DELADDR, NLMSG_OVERRUN}:
        return True
    return news.kind in {RTM_NEWROUTE, RTM_DELROUTE} and len(news.body) >= ROUTE.size and news.body[1] == 0


def address_in(body: bytes) -> Address | None:
    """Return this host's own address that one RTM_NEWADDR tells: of a tunnel, its own end."""
    found = dict(attributes(body[ADDRESS.size :]))
    return _address(found.get(IFA_LOCAL) or found.get(IFA_ADDRESS, b""))


def gateways_in(body: bytes) -> Iterator[Address]:
    """Yield the gateways of one RTM_NEWROUTE, if it is a default route."""
    _, destination, *_, kind, _ = ROUTE.unpack_from(body)
    if destination != 0 or kind != RTN_UNICAST:
        return
    for name, value in attributes(body[ROUTE.size :]):
        if name == RTA_MULTIPATH:
            yield from _hops(value)
        else:
            yield from _gateway(name, value)


def _hops(data: bytes) -> Iterator[Address]:
    offset = 0
    while offset + NEXTHOP.size <= len(data):
        length = NEXTHOP.unpack_from(data, offset)[0]
        if length < NEXTHOP.size:
            return
        for name, value in attributes(data[offset + NEXTHOP.size : offset + length]):
            yield from _gateway(name, value)
        offset += length + 3 & ~3


def _gateway(name: int, value: bytes) -> Iterator[Address]:
    if name == RTA_GATEWAY:
        address = _address(value)
    elif name == RTA_VIA:  # of the other family: two bytes name it
        address = _address(value[2:])
    else:
        return
    if address is not None:
        yield address


def attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield kind and payload of each attribute."""
    offset = 0
    while offset + ATTRIBUTE.size <= len(data):
        length, kind = ATTRIBUTE.unpack_from(data, offset)
        if length < ATTRIBUTE.size:
            return
        yield kind & NLA_TYPE_MASK, data[offset + ATTRIBUTE.size : offset + length]
        offset += length + 3 & ~3


def _address(packed: bytes) -> Address | None:
    return parse_address(str(ipaddress.ip_address(packed))) if len(packed) in {4, 16} else None


def _explained(error: OSError) -> SurroundingsError:
    return SurroundingsError(f"the kernel tells no addresses and routes: {error.strerror}")
