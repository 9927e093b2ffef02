"""What the kernel itself says of the bans, read over netlink: the elements of a set, and how many packets it dropped.

Source of the numbers: Linux include/uapi/linux/netfilter/nf_tables.h."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping

from amiguard.demo.namespaces import Namespace
from amiguard.firewalls.netlink import ATTRIBUTE, NFGENMSG, Message, Netlink, attributes
from amiguard.firewalls.nftmessages import NFNL_SUBSYS_NFTABLES, NFPROTO_INET

TABLE = "amiguard"
CHAIN = "prerouting"
BANNED = "banned4"

GETRULE = NFNL_SUBSYS_NFTABLES << 8 | 7
GETSETELEM = NFNL_SUBSYS_NFTABLES << 8 | 13

SET_TABLE, SET_NAME, SET_ELEMENTS = 1, 2, 3
ELEMENT_KEY, ELEMENT_EXPIRATION = 1, 5
DATA_VALUE = 1
RULE_TABLE, RULE_CHAIN, RULE_EXPRESSIONS = 1, 2, 4
EXPRESSION_NAME, EXPRESSION_DATA = 1, 2
COUNTER_PACKETS = 2


async def banned(namespace: Namespace) -> dict[str, int]:
    """Return the addresses in the kernel's set `banned4`, and the seconds that each has left.

    Raises:
        FirewallError: there is no such set.
    """
    return await asyncio.to_thread(_banned, namespace)


async def dropped(namespace: Namespace) -> int:
    """Return how many packets the rules of the table have dropped.

    Raises:
        FirewallError: there is no such table.
    """
    return await asyncio.to_thread(_dropped, namespace)


def _banned(namespace: Namespace) -> dict[str, int]:
    request = _named({SET_TABLE: TABLE, SET_NAME: BANNED})
    found: dict[str, int] = {}
    for body in _dump(namespace, Message(f"the list of set {BANNED}", GETSETELEM, 0, request)):
        for _, element in attributes(dict(attributes(body, NFGENMSG.size)).get(SET_ELEMENTS, b"")):
            parts = dict(attributes(element))
            address = socket.inet_ntop(socket.AF_INET, dict(attributes(parts[ELEMENT_KEY]))[DATA_VALUE])
            found[address] = int.from_bytes(parts[ELEMENT_EXPIRATION], "big") // 1000
    return found


def _dropped(namespace: Namespace) -> int:
    request = _named({RULE_TABLE: TABLE, RULE_CHAIN: CHAIN})
    packets = 0
    for body in _dump(namespace, Message(f"the rules of chain {CHAIN}", GETRULE, 0, request)):
        for _, expression in attributes(dict(attributes(body, NFGENMSG.size)).get(RULE_EXPRESSIONS, b"")):
            parts = dict(attributes(expression))
            if parts[EXPRESSION_NAME] == b"counter\0":
                packets += int.from_bytes(dict(attributes(parts[EXPRESSION_DATA]))[COUNTER_PACKETS], "big")
    return packets


def _named(names: Mapping[int, str]) -> bytes:
    parts = [NFGENMSG.pack(NFPROTO_INET, 0, 0)]
    for kind, name in names.items():
        text = name.encode() + b"\0"
        parts.append(ATTRIBUTE.pack(ATTRIBUTE.size + len(text), kind) + text + bytes(-len(text) % 4))
    return b"".join(parts)


def _dump(namespace: Namespace, message: Message) -> list[bytes]:
    """Ask in a thread of its own, which alone is moved into the namespace."""

    async def ask() -> list[bytes]:
        netlink = Netlink(NFNL_SUBSYS_NFTABLES)
        try:
            return await netlink.dump(message)
        finally:
            await netlink.close()

    with namespace.entered():
        return asyncio.run(ask())
