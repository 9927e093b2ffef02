"""The sets of lists in amiguard's table, and what is put into them.

    feed_NAME_4_32_0     addresses that the list NAME names
    feed_NAME_4_24_0     networks of this prefix length that it names

The last number is a generation. A list that comes anew is written into sets of another generation, which no rule looks
up yet; then one transaction changes the rules and deletes the old sets. So no packet meets half a list, the change
costs the same for ten and for a million, and what the old sets held nobody needs to know: a list that an earlier
amiguard left in the kernel is dropped until this one has it anew. The kernel frees deleted sets behind everybody's
back, while deletions of single elements would hold the loop up."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from errno import ENOENT
from itertools import count as numbers
from typing import NamedTuple

from amiguard.errors import FirewallError
from amiguard.firewalls.elements import add, element, remove, upsert
from amiguard.firewalls.layout import FEEDS, REFUSED, replaced
from amiguard.firewalls.netlink import Netlink
from amiguard.firewalls.netlinkcalls import Refused
from amiguard.firewalls.netlinkformat import Message
from amiguard.firewalls.nftcounters import counted, delete_counter, new_counter, read_counter
from amiguard.firewalls.nftexpressions import AddressSet, count, goto, source_in
from amiguard.firewalls.nftmessages import delete_set, list_sets, new_set, set_name
from amiguard.listed import Listed, Part, Width
from amiguard.lists import Delta
from amiguard.model import Drops, Timestamp

BATCH = 250
"""Networks in one transaction that adds to a set which no rule looks up: a millisecond or two of the loop."""
CHANGED = 300
"""The same in one that may change what is there: an element stands in several messages."""

_NAME = re.compile(r"feed_([a-z][a-z0-9]*)_([46])_([0-9]{1,3})_([0-9]{1,3})")


class FeedSet(NamedTuple):
    """One set of a list."""

    feed: str
    width: Width
    generation: int

    @property
    def name(self) -> str:
        """What the kernel calls it."""
        return f"feed_{self.feed}_{self.width.version}_{self.width.prefix}_{self.generation}"

    @property
    def addresses(self) -> AddressSet:
        """What packets are compared with."""
        width = self.width
        return AddressSet(self.name, width.version, width.prefix if width.shift else None)


class FeedSets:
    """Fulfils `lists.Lists` for the lists of these names."""

    def __init__(self, netlink: Netlink, table: str, feeds: Collection[str] = ()) -> None:
        self._netlink = netlink
        self._table = table
        self._live: dict[str, set[FeedSet]] = {feed: set() for feed in sorted(feeds)}
        """Which sets of each list are looked up."""
        self._strange: set[FeedSet] = set()
        """Sets in the kernel, of lists that nobody wants any more."""
        self._one_at_a_time = asyncio.Lock()

    @property
    def any(self) -> bool:
        """Whether there are lists."""
        return bool(self._live)

    async def adopt(self) -> None:
        """Take up the sets that are in the kernel. Raises FirewallError."""
        try:
            bodies = await self._netlink.dump(list_sets(self._table))
        except FirewallError as error:
            if error.errno != ENOENT:
                raise
            bodies = []
        found = {one for body in bodies if (one := _set_of(set_name(body)))}
        for feed, live in self._live.items():
            live |= {one for one in found if one.feed == feed}
        self._strange = {one for one in found if one.feed not in self._live}

    def layout(self) -> list[Message]:
        """Return what makes counters and sets that are missing, all rules anew, and removes what nobody wants."""
        gone = {one.feed for one in self._strange}
        live = [one for sets in self._live.values() for one in sets]
        return [
            *(new_counter(self._table, _counter(feed)) for feed in self._live),
            *(self._new(one) for one in live),
            *self._rules(),
            *(delete_set(self._table, one.name) for one in self._strange),
            *(message for feed in gone for message in self._without_counter(feed)),
        ]

    async def replace(self, name: str, listed: Listed, now: Timestamp) -> None:
        """Write a list into sets of its own, then look it up instead of the one that was.

        A reload may have laid the table out without it: then there is nothing to do."""
        if name not in self._live:
            return
        async with self._one_at_a_time:
            used = {one.generation for one in self._live[name]}
            generation = next(number for number in numbers() if number not in used)
            new = {FeedSet(name, width, generation) for width, part in listed.parts.items() if part.numbers}
            try:
                for one in new:
                    await self._fill(one, listed.parts[one.width], now)
                await self._swap(name, new)
            except FirewallError:
                await self._discard(new)
                raise

    async def change(self, name: str, delta: Delta, now: Timestamp) -> None:
        """Put networks into a list's sets and take others out."""
        if name not in self._live:
            return
        async with self._one_at_a_time:
            generation = max((one.generation for one in self._live[name]), default=0)
            put: dict[FeedSet, dict[bytes, bytes]] = {}
            for width, number, end in delta.put:
                key = _key(width, number)
                put.setdefault(FeedSet(name, width, generation), {})[key] = element(key, max(1, end - now))
            taken: dict[FeedSet, dict[bytes, bytes]] = {}
            for width, number in delta.take:
                key = _key(width, number)
                for one in self._live[name]:
                    if one.width == width:
                        taken.setdefault(one, {})[key] = element(key, None)
            await self._grow(name, put.keys() - self._live[name])
            for one, elements in put.items():
                for chunk in _chunks(list(elements.values()), CHANGED):
                    await self._netlink.commit(upsert(self._table, one.name, chunk))
                    await asyncio.sleep(0)
            for one, elements in taken.items():
                for chunk in _chunks(list(elements.values()), CHANGED):
                    await self._netlink.commit(remove(self._table, one.name, chunk))
                    await asyncio.sleep(0)

    async def dropped(self) -> Mapping[str, Drops]:
        """Return what was dropped for each list since the table was made."""
        if not self._live:
            return {}
        asked = [read_counter(self._table, _counter(feed)) for feed in self._live]
        answers = await self._netlink.ask(asked)
        return {
            feed: counted(answer[0])
            for feed, answer in zip(self._live, answers, strict=True)
            if not isinstance(answer, Refused)
        }

    # ----------------------------------------------------------------------------------------------------------------

    async def _fill(self, one: FeedSet, part: Part, now: Timestamp) -> None:
        await self._netlink.commit([self._new(one)])
        for begin in range(0, len(part.numbers), BATCH):
            chunk = range(begin, min(begin + BATCH, len(part.numbers)))
            packed = [
                element(_key(one.width, part.numbers[place]), part.ends[place] - now)
                for place in chunk
                if part.ends[place] > now
            ]
            if packed:
                await self._netlink.commit(add(self._table, one.name, packed))
            await asyncio.sleep(0)

    async def _swap(self, name: str, new: set[FeedSet]) -> None:
        old, self._live[name] = self._live[name], new
        deletions = [delete_set(self._table, one.name) for one in old - new]
        try:
            await self._netlink.commit([*self._rules(), *deletions])
        except FirewallError:
            self._live[name] = old
            raise

    async def _grow(self, name: str, missing: Collection[FeedSet]) -> None:
        if missing:
            self._live[name] |= set(missing)
            await self._netlink.commit([*map(self._new, missing), *self._rules()])

    async def _discard(self, new: Iterable[FeedSet]) -> None:
        """Remove sets that could not be filled; where the kernel refuses that too, the next layout takes them up."""
        deletions = [message for one in new for message in (self._new(one), delete_set(self._table, one.name))]
        if deletions:
            with suppress(FirewallError):
                await self._netlink.commit(deletions)

    def _new(self, one: FeedSet) -> Message:
        return new_set(self._table, one.addresses, {"NFT_SET_TIMEOUT"})

    def _rules(self) -> list[Message]:
        rules = [
            (f"set {one.name}", source_in(one.addresses) + count(_counter(feed)) + goto(REFUSED))
            for feed, live in self._live.items()
            for one in sorted(live, reverse=True)
        ]
        return replaced(self._table, FEEDS, rules)

    def _without_counter(self, feed: str) -> list[Message]:
        """Remove a counter, whether it is there or not: so it is made first."""
        return [new_counter(self._table, _counter(feed)), delete_counter(self._table, _counter(feed))]


def _set_of(name: str) -> FeedSet | None:
    match = _NAME.fullmatch(name)
    return None if match is None else FeedSet(match[1], Width(int(match[2]), int(match[3])), int(match[4]))


def _counter(feed: str) -> str:
    return f"feed_{feed}"


def _key(width: Width, number: int) -> bytes:
    return (number << width.shift).to_bytes(width.bits // 8, "big")


def _chunks(elements: Sequence[bytes], size: int) -> Iterator[Sequence[bytes]]:
    for begin in range(0, len(elements), size):
        yield elements[begin : begin + size]
