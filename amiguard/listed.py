"""Networks that a list names, a million of them in a dozen bytes each. Pure.

Of a network only the bits that its prefix fixes are kept, as one number. All of one prefix length stand in a sorted
array, so that an address is found by bisection, and what somebody is allowed is cut out in one piece."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, MutableSequence, Sequence
from heapq import merge
from ipaddress import ip_address, ip_network
from itertools import islice
from typing import NamedTuple

from amiguard.model import Address, Target, Timestamp, target_of

STEP = 5_000
"""Networks that are put in order in one go: a few milliseconds."""

RUN = 20_000
"""Networks that are sorted in one go."""


class Width(NamedTuple):
    """An IP version and a prefix length; the longest is that of single addresses."""

    version: int
    prefix: int

    @property
    def bits(self) -> int:
        """How many bits an address has."""
        return 32 if self.version == 4 else 128  # noqa: PLR2004 -- IP's number

    @property
    def shift(self) -> int:
        """How many bits the prefix leaves open."""
        return self.bits - self.prefix


class Part(NamedTuple):
    """Networks of one width, each by the bits that its prefix fixes, sorted; and until when each is in the list."""

    numbers: MutableSequence[int]
    ends: MutableSequence[Timestamp]


def numbers_for(width: Width, numbers: Iterable[int] = ()) -> MutableSequence[int]:
    """Return the smallest sequence that holds numbers of this width."""
    if width.version == 4:  # noqa: PLR2004 -- IP's number
        return array("I", numbers)
    return array("Q", numbers) if width.prefix <= 64 else list(numbers)  # noqa: PLR2004 -- bits of a Q


def target_at(width: Width, number: int) -> Target:
    """Return the canonical text of a network."""
    address = ip_address((number << width.shift).to_bytes(width.bits // 8, "big"))
    return target_of(ip_network((address, width.prefix)))


class Listed:
    """What one list names."""

    def __init__(self, parts: Mapping[Width, Part] | None = None) -> None:
        self.parts = dict(parts or {})

    def __len__(self) -> int:
        """Tell how many networks are named."""
        return sum(len(part.numbers) for part in self.parts.values())

    def renew(self, end: Timestamp) -> None:
        """Have everybody be named until then."""
        for part in self.parts.values():
            part.ends[:] = array("q", [end]) * len(part.numbers)

    def copy(self) -> Listed:
        """Return one that goes on naming the same while this one changes."""
        return Listed({width: Part(part.numbers[:], part.ends[:]) for width, part in self.parts.items()})

    def around(self, address: Address, now: Timestamp) -> list[Target]:
        """Return what names this address at `now`, the narrowest first."""
        return [
            target_at(width, part.numbers[place])
            for width, part, place in self._around(address)
            if part.ends[place] > now
        ]

    def put(self, width: Width, number: int, end: Timestamp) -> None:
        """Name a network, or give it another end."""
        part = self.parts.setdefault(width, Part(numbers_for(width), array("q")))
        place = bisect_left(part.numbers, number)
        if place < len(part.numbers) and part.numbers[place] == number:
            part.ends[place] = end
        else:
            part.numbers.insert(place, number)
            part.ends.insert(place, end)

    def take(self, width: Width, number: int) -> None:
        """Name a network no more; one that is not named is no error."""
        part = self.parts.get(width)
        if part is not None:
            place = bisect_left(part.numbers, number)
            if place < len(part.numbers) and part.numbers[place] == number:
                _cut(part, place, place + 1)

    def spare(self, allowed: Iterable[Target], known: Iterable[Address]) -> Iterator[int]:
        """Take out what lies in allowed networks, and whatever holds an address that is known; yield how many each
        time: the caller may let others work in between, who may `put`, `take` and `renew`."""
        for target in allowed:
            network = ip_network(target)
            for width, part in list(self.parts.items()):
                if width.version == network.version and width.prefix >= network.prefixlen:
                    first = int(network.network_address) >> width.shift
                    last = int(network.broadcast_address) >> width.shift
                    begin, end = bisect_left(part.numbers, first), bisect_left(part.numbers, last + 1)
                    _cut(part, begin, end)
                    yield end - begin
        for address in known:
            around = list(self._around(address))
            for _, part, place in around:
                _cut(part, place, place + 1)
            yield len(around)

    def _around(self, address: Address) -> Iterator[tuple[Width, Part, int]]:
        ip = ip_address(address)
        for width in sorted(self.parts, reverse=True):
            if width.version == ip.version:
                part, number = self.parts[width], int(ip) >> width.shift
                place = bisect_left(part.numbers, number)
                if place < len(part.numbers) and part.numbers[place] == number:
                    yield width, part, place


def _cut(part: Part, begin: int, end: int) -> None:
    if end > begin:
        del part.numbers[begin:end]
        del part.ends[begin:end]


class Gathering:
    """Puts networks, told in any order and however often, into a list; never much at a time."""

    def __init__(self) -> None:
        self._fresh: dict[Width, list[int]] = {}
        self._runs: dict[Width, list[Sequence[int]]] = {}

    def add(self, width: Width, number: int) -> None:
        """Take one network."""
        fresh = self._fresh.setdefault(width, [])
        fresh.append(number)
        if len(fresh) == RUN:
            self._store(width, fresh)

    def ordered(self, into: Listed) -> Iterator[None]:
        """Fill `into`, with no end yet for anybody; after each step others may work."""
        for width, fresh in list(self._fresh.items()):
            self._store(width, fresh)
            yield
        for width, runs in self._runs.items():
            numbers = numbers_for(width)
            told = merge(*runs)
            last = -1
            while step := list(islice(told, STEP)):
                unique = sorted(set(step))
                numbers.extend(unique[1:] if unique[0] == last else unique)
                last = unique[-1]
                yield
            into.parts[width] = Part(numbers, array("q"))
        self._runs.clear()

    def _store(self, width: Width, fresh: list[int]) -> None:
        self._runs.setdefault(width, []).append(numbers_for(width, sorted(set(fresh))))
        fresh.clear()
