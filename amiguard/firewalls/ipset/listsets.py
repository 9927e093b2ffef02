"""The sets of lists: one of each IP version for each list.

They are hash:net, which takes single addresses too: so an address that a new version of a list names by its network is
in the same set before and after, and one exchange (IPSET_CMD_SWAP) changes the whole list at once. With a second set
of addresses there would be a moment between two exchanges in which it is in neither."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from errno import EEXIST

from amiguard.errors import FirewallError
from amiguard.firewalls.ipset import format as ipset
from amiguard.firewalls.ipset.format import Key
from amiguard.firewalls.ipset.holdings import MOST_COUNTED
from amiguard.firewalls.ipset.listholdings import Held, ListHoldings
from amiguard.firewalls.ipset.names import SIZE, list_of, list_set, network_keys, spare
from amiguard.firewalls.ipset.sets import BUCKETS_FROM, Sets
from amiguard.firewalls.netlinkformat import Message
from amiguard.listed import Listed, Part, Width
from amiguard.lists import Delta
from amiguard.model import Drops, Timestamp

BATCH = 500
"""Entries in one message: a millisecond or two of the loop."""

VERSIONS = (4, 6)


class ListSets:
    """Fulfils `ports.Lists` for the lists of these names."""

    def __init__(
        self,
        sets: Sets,
        holdings: ListHoldings,
        dropped: Callable[[], Awaitable[Mapping[str, Drops]]],
        feeds: Collection[str],
    ) -> None:
        """`dropped` tells what was dropped by the name of the set."""
        self._sets = sets
        self._holdings = holdings
        self._dropped = dropped
        self._feeds = feeds
        self._one_at_a_time = asyncio.Lock()

    @property
    def names(self) -> list[str]:
        """What the sets are called that rules look up."""
        return [list_set(feed, version) for feed in self._feeds for version in VERSIONS]

    async def make(self) -> None:
        """Make the sets that are missing; those that an earlier amiguard left keep what they hold."""
        self._holdings.forget()
        for feed in self._feeds:
            for version in VERSIONS:
                try:
                    await self._sets.do(_new(list_set(feed, version), version, 0))
                except FirewallError as error:
                    if error.errno != EEXIST:
                        raise

    async def remove_strange(self) -> None:
        """Remove the sets of lists that nobody wants any more; no rule looks them up by now."""
        for name in await self._sets.names():
            feed = list_of(name)
            if feed and feed not in self._feeds:
                await self._sets.destroy(name)

    async def withdraw(self) -> None:
        """Remove the sets of all lists; no rule looks them up by now."""
        self._holdings.forget()
        for name in await self._sets.names():
            if list_of(name):
                await self._sets.destroy(name)

    async def replace(self, name: str, listed: Listed, now: Timestamp) -> None:
        """Write a list into spare sets, then put them into the place of those that were.

        A reload may have laid everything out without it: then there is nothing to do."""
        if name not in self._feeds:
            return
        async with self._one_at_a_time:
            filled: dict[str, Held] = {}
            try:
                for version in VERSIONS:
                    one = list_set(name, version)
                    parts = {width: part for width, part in listed.parts.items() if width.version == version}
                    filled[one] = await self._fill(one, version, parts, now)
                for one, held in filled.items():
                    self._holdings.leave(one)
                    await self._sets.do(ipset.swap(spare(one), one))
                    self._holdings.keep(one, held)
            finally:
                for version in VERSIONS:
                    with suppress(FirewallError):  # the next replacement tries again, and tells if it can't
                        await self._sets.destroy(spare(list_set(name, version)))

    async def change(self, name: str, delta: Delta, now: Timestamp) -> None:
        """Put networks into a list's sets and take others out."""
        if name not in self._feeds:
            return
        async with self._one_at_a_time:
            for version in VERSIONS:
                put = {
                    key: end
                    for width, number, end in delta.put
                    if width.version == version
                    for key in _keys(width, number)
                }
                taken = [
                    key for width, number in delta.take if width.version == version for key in _keys(width, number)
                ]
                if put or taken:
                    await self._change(list_set(name, version), put, taken, now)

    async def dropped(self) -> Mapping[str, Drops]:
        """Return what was dropped for each list since its rules were made."""
        if not self._feeds:
            return {}
        counted = await self._dropped()
        found = {}
        for feed in self._feeds:
            both = [counted.get(list_set(feed, version), Drops(0, 0)) for version in VERSIONS]
            found[feed] = Drops(sum(one.packets for one in both), sum(one.bytes for one in both))
        return found

    # ----------------------------------------------------------------------------------------------------------------

    async def _fill(self, name: str, version: int, parts: Mapping[Width, Part], now: Timestamp) -> Held:
        """Make the spare set of this name with these entries."""
        await self._sets.destroy(spare(name))
        await self._sets.do(_new(spare(name), version, sum(len(part.numbers) for part in parts.values())))
        held, count = Held(), 0
        for width, part in parts.items():
            for begin in range(0, len(part.numbers), BATCH):
                ends = {
                    key: part.ends[place]
                    for place in range(begin, min(begin + BATCH, len(part.numbers)))
                    if part.ends[place] > now
                    for key in _keys(width, part.numbers[place])
                }
                await self._put(spare(name), ends, held, now)
                count += len(ends)
        held.counted(count, now)
        return held

    async def _change(self, name: str, put: Mapping[Key, Timestamp], taken: Sequence[Key], now: Timestamp) -> None:
        held = self._holdings.leave(name)
        for keys in _chunks(list(put)):
            await self._put(name, {key: put[key] for key in keys}, held, now)
        for keys in _chunks(taken):
            await self._sets.do(ipset.delete(name, [ipset.element(key, None) for key in keys]))
            for key in keys:
                held.take(key)
            await asyncio.sleep(0)
        large = held.count is not None and held.count > MOST_COUNTED
        held.counted(held.count if large else await self._sets.count(name), now)
        self._holdings.keep(name, held)

    async def _put(self, name: str, ends: Mapping[Key, Timestamp], held: Held, now: Timestamp) -> None:
        if ends:
            packed = [ipset.element(key, max(1, -((now - end) // 1000))) for key, end in ends.items()]
            await self._sets.do(ipset.add(name, packed))
            for key, end in ends.items():
                held.put(key, end)
        await asyncio.sleep(0)


def _new(name: str, version: int, entries: int) -> Message:
    """Return what makes a set that holds so many entries, and may grow to twice as many; EEXIST: it is there."""
    buckets = entries // 2 if entries >= BUCKETS_FROM else 0
    size = max(SIZE, 2 * entries)
    return ipset.create(name, "hash:net", version, size, counters=False, new=True, buckets=buckets)


def _keys(width: Width, number: int) -> list[Key]:
    return network_keys((number << width.shift).to_bytes(width.bits // 8, "big"), width.prefix)


def _chunks(keys: Sequence[Key]) -> Iterator[Sequence[Key]]:
    for begin in range(0, len(keys), BATCH):
        yield keys[begin : begin + BATCH]
