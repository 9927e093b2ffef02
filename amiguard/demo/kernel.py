"""What the kernel itself says of the bans, over netlink: the elements of a set, and how many packets it dropped."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from amiguard.demo.namespaces import Namespace
from amiguard.firewalls.elements import SINGLE, listed, target_at
from amiguard.firewalls.layout import COUNTER, banned_set
from amiguard.firewalls.netlink import Netlink
from amiguard.firewalls.netlinkcalls import Refused
from amiguard.firewalls.nftcounters import counted, read_counter
from amiguard.firewalls.nftmessages import NFNL_SUBSYS_NFTABLES, list_elements

TABLE = "amiguard"
KEPT = SINGLE[4, False]
BANNED = banned_set(KEPT).name

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
    listing = list_elements(TABLE, BANNED)
    bodies = _asked(namespace, lambda netlink: netlink.dump(listing))
    return {target_at(KEPT, one.key): (one.left or 0) // 1000 for body in bodies for one in listed(body)}


def _dropped(namespace: Namespace) -> int:
    async def ask(netlink: Netlink) -> int:
        (answer,) = await netlink.ask([read_counter(TABLE, COUNTER)])
        if isinstance(answer, Refused):
            raise answer
        return counted(answer[0]).packets

    return _asked(namespace, ask)


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
