"""What the kernel itself says of the bans, read over netlink: the elements of a set, and how many packets it dropped.

Source of the numbers: Linux include/uapi/linux/netfilter/nf_tables.h."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

from amiguard.demo.namespaces import Namespace
from amiguard.firewalls.layout import COUNTER
from amiguard.firewalls.netlink import Netlink
from amiguard.firewalls.netlinkcalls import Refused
from amiguard.firewalls.netlinkformat import ATTRIBUTE, NFGENMSG, Message, attributes
from amiguard.firewalls.nftcounters import counted, read_counter
from amiguard.firewalls.nftmessages import NFNL_SUBSYS_NFTABLES, NFPROTO_INET

TABLE = "amiguard"
BANNED = "unproven4"

GETSETELEM = NFNL_SUBSYS_NFTABLES << 8 | 13

SET_TABLE, SET_NAME, SET_ELEMENTS = 1, 2, 3
ELEMENT_KEY, ELEMENT_EXPIRATION = 1, 5
DATA_VALUE = 1

Answer = TypeVar("Answer")


async def banned(namespace: Namespace) -> dict[str, int]:
    """Return the addresses in the kernel's set of bans that only datagrams led to, and the seconds that each has left.

    Raises:
        FirewallError: there is no such set.
    """
    return await asyncio.to_thread(_banned, namespace)


async def dropped(namespace: Namespace) -> int:
    """Return how many packets were dropped.

    Raises:
        FirewallError: there is no such table.
    """
    return await asyncio.to_thread(_dropped, namespace)


def _banned(namespace: Namespace) -> dict[str, int]:
    request = _named({SET_TABLE: TABLE, SET_NAME: BANNED})
    found: dict[str, int] = {}
    listing = Message(f"the list of set {BANNED}", GETSETELEM, 0, request)
    for body in _asked(namespace, lambda netlink: netlink.dump(listing)):
        for _, element in attributes(dict(attributes(body, NFGENMSG.size)).get(SET_ELEMENTS, b"")):
            parts = dict(attributes(element))
            address = socket.inet_ntop(socket.AF_INET, dict(attributes(parts[ELEMENT_KEY]))[DATA_VALUE])
            found[address] = int.from_bytes(parts[ELEMENT_EXPIRATION], "big") // 1000
    return found


def _dropped(namespace: Namespace) -> int:
    async def ask(netlink: Netlink) -> int:
        (answer,) = await netlink.ask([read_counter(TABLE, COUNTER)])
        if isinstance(answer, Refused):
            raise answer
        return counted(answer[0]).packets

    return _asked(namespace, ask)


def _named(names: Mapping[int, str]) -> bytes:
    parts = [NFGENMSG.pack(NFPROTO_INET, 0, 0)]
    for kind, name in names.items():
        text = name.encode() + b"\0"
        parts.append(ATTRIBUTE.pack(ATTRIBUTE.size + len(text), kind) + text + bytes(-len(text) % 4))
    return b"".join(parts)


def _asked(namespace: Namespace, question: Callable[[Netlink], Awaitable[Answer]]) -> Answer:
    """Ask in a thread of its own, which alone is moved into the namespace."""

    async def ask() -> Answer:
        netlink = Netlink(NFNL_SUBSYS_NFTABLES)
        try:
            return await question(netlink)
        finally:
            await netlink.close()

    with namespace.entered():
        return asyncio.run(ask())
