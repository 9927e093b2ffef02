"""The sets themselves: made, exchanged and removed."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from errno import EEXIST, ENOENT

from amiguard.errors import FirewallError
from amiguard.firewalls.ipset import format as ipset
from amiguard.firewalls.ipset.names import BAN_SETS, SIZE, SetName, sizes, spare
from amiguard.firewalls.ipset.refusals import explained
from amiguard.firewalls.netlink import Netlink
from amiguard.firewalls.netlinkcalls import Refused
from amiguard.firewalls.netlinkformat import Message
from amiguard.model import Ban

FREED_WITHIN = 200
"""Tries to remove a set that rules have just used, 10 ms apart."""

BUCKETS_FROM = 2_000
"""Bans of which a new set is made as large at once as it will be."""


class Sets:
    """Sets of ipset. All raise FirewallError."""

    def __init__(self, netlink: Netlink, *, counters: bool) -> None:
        self._netlink = netlink
        self._counters = counters

    async def make_all(self, bans: Sequence[Ban]) -> bool:
        """Make every set, as large as it must be for these bans; False: at least one is there already."""
        count = sizes(bans)
        messages = [
            ipset.create(
                one.text,
                one.kind,
                one.version,
                SIZE,
                counters=self._counters,
                new=True,
                buckets=count[one] // 2 if count[one] >= BUCKETS_FROM else 0,
            )
            for one in BAN_SETS
        ]
        made = [not isinstance(answer, Refused) for answer in await self._netlink.ask(messages)]
        return all(made)

    async def make_ban_set(self, one: SetName) -> bool:
        """Make a set, or keep the one that is there; False: that one can't be kept, and a spare one was made."""
        try:
            await self.make(one.text, one.kind, one.version, counters=self._counters)
        except FirewallError as error:
            if error.errno != EEXIST:
                raise
            await self.make_spare(one.text, one.kind, one.version, counters=self._counters)
            return False
        return True

    async def names(self) -> list[str]:
        """Return what all sets are called, whosever they are."""
        return [ipset.name_in(body) for body in await self._netlink.dump(ipset.list_names())]

    async def count(self, name: str) -> int | None:
        """Return how many elements a set has; None: kernels before 4.10 do not tell."""
        bodies = await self._netlink.dump(ipset.list_header(name))
        return ipset.elements_in(bodies[0]) if bodies else None

    async def make(self, name: str, kind: str, version: int, *, counters: bool) -> None:
        """Make a set, or keep the one that is there. EEXIST: it is of another kind."""
        await self.do(ipset.create(name, kind, version, SIZE, counters=counters))

    async def make_spare(self, name: str, kind: str, version: int, *, counters: bool) -> None:
        """Make a set that is to be filled and then takes the place of the one of this name."""
        await self.destroy(spare(name))  # one that a killed start left over: what is in it must not come in force
        await self.make(spare(name), kind, version, counters=counters)

    async def exchange(self, name: str) -> None:
        """Put the spare set into its place, at once, and remove the other."""
        await self.do(ipset.swap(spare(name), name))
        await self.do(ipset.destroy(spare(name)))

    async def destroy(self, name: str) -> None:
        """Remove a set; the kernel frees rules a moment after they are deleted, and until then it is in use."""
        for _ in range(FREED_WITHIN):
            (answer,) = await self._netlink.ask([ipset.destroy(name)])
            if not isinstance(answer, Refused) or answer.errno == ENOENT:
                return
            if answer.errno != ipset.IN_USE:
                raise explained(answer)
            await asyncio.sleep(0.01)
        raise FirewallError(f"the set {name} is still used by rules that are not amiguard's")

    async def number(self, name: str) -> int:
        """Return by which number rules know a set."""
        return ipset.index_of((await self.do(ipset.get_index(name)))[0])

    async def do(self, message: Message) -> list[bytes]:
        """Have the kernel do this, and return its answers."""
        (answer,) = await self._netlink.ask([message])
        if isinstance(answer, Refused):
            raise explained(answer)
        return answer
