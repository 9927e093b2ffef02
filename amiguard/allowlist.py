"""Who is never banned, and who says so. Pure; entries come and go, and a look-up costs the same for ten and for a
hundred thousand.

Networks lie in a table for each prefix length, so that an address is looked up once a length that is in use. The sorted
first addresses tell what lies inside a network, for CIDR networks either nest or don't touch."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator

from amiguard.model import Allowed, AllowOrigin, Target, network_of

_Table = dict[int, tuple[Allowed, ...]]


class Allowlist:
    """Addresses and networks in any overlap, each with those who want it. `targets` are those of the settings."""

    def __init__(self, targets: Iterable[Target] = ()) -> None:
        self._sides = {4: _Side(32), 6: _Side(128)}
        for target in targets:
            version, first, prefix = _bits(target)
            self._sides[version].add(first, prefix, Allowed(target, AllowOrigin.SETTINGS), ordered=False)
        for side in self._sides.values():
            side.firsts.sort()

    def __iter__(self) -> Iterator[Allowed]:
        for side in self._sides.values():
            yield from side

    def __len__(self) -> int:
        """Tell how many different targets there are."""
        return sum(len(side.firsts) for side in self._sides.values())

    def add(self, entry: Allowed) -> None:
        """Allow a target; one that is there already is no error."""
        version, first, prefix = _bits(entry.target)
        self._sides[version].add(first, prefix, entry)

    def remove(self, entry: Allowed) -> None:
        """Take one entry out; the target stays allowed while others want it. One that is missing is no error."""
        version, first, prefix = _bits(entry.target)
        self._sides[version].remove(first, prefix, entry)

    def targets(self) -> list[Target]:
        """Return each target once."""
        return [entries[0].target for side in self._sides.values() for entries in side.tables()]

    def covers(self, target: Target) -> bool:
        """Whether any address of `target` is allowed: an address in the list, a network that touches it."""
        version, first, prefix = _bits(target)
        side = self._sides[version]
        return side.holds(first, prefix) or (prefix < side.bits and side.starts_within(first, prefix))

    def holds(self, target: Target) -> bool:
        """Whether all of `target` lies in one allowed network, so that a ban of it would drop nothing."""
        version, first, prefix = _bits(target)
        return self._sides[version].holds(first, prefix)

    def around(self, target: Target) -> list[Allowed]:
        """Return the entries that `target` lies in, the widest first."""
        version, first, prefix = _bits(target)
        return list(self._sides[version].around(first, prefix))

    def inside(self, target: Target) -> list[Allowed]:
        """Return the entries that lie in `target`, the very same among them."""
        version, first, prefix = _bits(target)
        return list(self._sides[version].inside(first, prefix))


class _Side:
    """The networks of one IP version, whose addresses have so many `bits`."""

    def __init__(self, bits: int) -> None:
        self.bits = bits
        self.firsts: list[int] = []
        """The first address of each network, sorted; of several that begin there, once each."""
        self._tables: list[tuple[int, _Table]] = []
        """By the bits that a prefix length leaves open, the most first: the entries by the bits that it fixes."""

    def __iter__(self) -> Iterator[Allowed]:
        for entries in self.tables():
            yield from entries

    def tables(self) -> Iterator[tuple[Allowed, ...]]:
        """Yield the entries of each network."""
        for _, table in self._tables:
            yield from table.values()

    def add(self, first: int, prefix: int, entry: Allowed, *, ordered: bool = True) -> None:
        shift = self.bits - prefix
        table = self._table(shift)
        entries = table.get(first >> shift, ())
        if not entries:
            if ordered:
                insort(self.firsts, first)
            else:
                self.firsts.append(first)
        if entry not in entries:
            table[first >> shift] = (*entries, entry)

    def remove(self, first: int, prefix: int, entry: Allowed) -> None:
        shift = self.bits - prefix
        table = self._table(shift)
        entries = table.get(first >> shift, ())
        rest = tuple(one for one in entries if one != entry)
        if rest:
            table[first >> shift] = rest
        elif entries:
            del table[first >> shift]
            del self.firsts[bisect_left(self.firsts, first)]
        self._tables = [(open_bits, kept) for open_bits, kept in self._tables if kept]

    def holds(self, first: int, prefix: int) -> bool:
        widest_left = self.bits - prefix
        return any(first >> shift in table for shift, table in self._tables if shift >= widest_left)

    def around(self, first: int, prefix: int) -> Iterator[Allowed]:
        for shift, table in self._tables:
            if shift >= self.bits - prefix:
                yield from table.get(first >> shift, ())

    def starts_within(self, first: int, prefix: int) -> bool:
        place = bisect_left(self.firsts, first)
        return place < len(self.firsts) and self.firsts[place] < first + (1 << self.bits - prefix)

    def inside(self, first: int, prefix: int) -> Iterator[Allowed]:
        begin = bisect_left(self.firsts, first)
        end = bisect_left(self.firsts, first + (1 << self.bits - prefix))
        for start in dict.fromkeys(self.firsts[begin:end]):
            for shift, table in self._tables:
                if shift <= self.bits - prefix and start & ((1 << shift) - 1) == 0:
                    yield from table.get(start >> shift, ())

    def _table(self, shift: int) -> _Table:
        for known, table in self._tables:
            if known == shift:
                return table
        new: _Table = {}
        self._tables = sorted([*self._tables, (shift, new)], key=lambda pair: -pair[0])
        return new


def _bits(target: Target) -> tuple[int, int, int]:
    """Return IP version, first address and prefix length."""
    if "/" in target or ":" in target:
        network = network_of(target)
        return network.version, int(network.network_address), network.prefixlen
    return 4, int.from_bytes(bytes(map(int, target.split("."))), "big"), 32  # by hand: a start asks for each ban
