"""The sets of bans in one table, and what is put into them and taken out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from errno import EINTR, ENOENT

from amiguard.errors import FirewallError
from amiguard.firewalls.elements import (
    SINGLE,
    Kept,
    add,
    element,
    listed,
    place_of,
    remove,
    target_at,
    upsert,
)
from amiguard.firewalls.layout import banned_set, kept_of, lookups
from amiguard.firewalls.netlink import Netlink
from amiguard.firewalls.netlinkcalls import Refused
from amiguard.firewalls.netlinkformat import Message
from amiguard.firewalls.nftcounters import NOTHING, counted_by_element, read_element, with_counter
from amiguard.firewalls.nftmessages import NFNL_SUBSYS_NFTABLES, list_elements, list_sets, set_name
from amiguard.model import Ban, Drops, Reason, Target, Timestamp

BATCH = 300
"""Targets in one transaction: some 64 KiB, for the loop stands still while the kernel works on one."""
FRESH_BATCH = 1_200
"""The same where none can be there already and none is counted: an element stands in one message, not in five."""
READ_AT_ONCE = 100
"""Elements asked for in one request: the answers must fit into the receive buffer."""

READINGS = 3
"""Lists of one set that are begun while others go on changing it."""

Packed = dict[Kept, dict[bytes, bytes]]
"""Elements by set and key."""

Place = tuple[Target, Kept, bytes]
"""Where a target may be: in which set, by which key."""


class BanSets:
    """Sets of addresses, and of networks of each prefix length that was needed; `kept` says which."""

    def __init__(self, netlink: Netlink, table: str, kept: Iterable[Kept] = SINGLE.values(), *, counters: bool) -> None:
        self.kept = set(kept)
        self._netlink = netlink
        self.table = table
        self._counters = counters

    async def adopt(self) -> bool:
        """Take up the prefix lengths whose sets are in the kernel; False: there is no table.

        Raises:
            FirewallError: as `Netlink.dump`.
        """
        try:
            bodies = await self._netlink.dump(list_sets(self.table))
        except FirewallError as error:
            if error.errno == ENOENT:
                return False
            raise
        self.kept |= {kept for body in bodies if (kept := kept_of(set_name(body)))}
        return True

    async def bans(self, now: Timestamp) -> list[Ban]:
        """Return what the sets that `adopt` found drop, whoever put it there, as nameless bans.

        Raises:
            FirewallError: as `Netlink.dump`.
        """
        bans = []
        for kept in self.kept:
            for body in await self._netlink.dump(list_elements(self.table, banned_set(kept).name)):
                for key, left in listed(body):
                    until = None if left is None else now + left
                    bans.append(Ban(target_at(kept, key), now, until, Reason.MANUAL, absolute=kept.absolute))
        return bans

    async def recall(self, take: Callable[[Target, int | None, bool], None]) -> None:
        """Tell `take` of what is in the sets; see `ports.Firewall.recall`. On a socket of its own: no ban waits for it.

        Whatever else is changed meanwhile interrupts a list, and elements may be passed over: it is begun again, but
        not for ever. One list of a million elements takes the kernel 25 s of a thread of its own.

        Raises:
            FirewallError: as `Netlink.dump`.
        """
        aside = Netlink(NFNL_SUBSYS_NFTABLES, aside=True)
        try:
            for kept in tuple(self.kept):

                def note(body: bytes, kept: Kept = kept) -> bool:
                    for key, left in listed(body):
                        take(target_at(kept, key), left, kept.absolute)
                    return False

                try:
                    await aside.dump(list_elements(self.table, banned_set(kept).name), note, READINGS)
                except FirewallError as error:
                    if error.errno != EINTR:
                        raise
        finally:
            await aside.close()

    async def put(self, bans: Sequence[Ban], now: Timestamp, *, fresh: bool) -> None:
        """Put bans into their sets, with what remains of them at `now`; `fresh`: no set has an element yet.

        Raises:
            FirewallError: as `Netlink.commit`; ENOENT: the table or a set is gone.
        """
        size = FRESH_BATCH if fresh and not self._counters else BATCH
        for begin in range(0, len(bans), size):
            if begin:
                await asyncio.sleep(0)
            last = {ban.target: ban for ban in bans[begin : begin + size] if ban.until is None or ban.until > now}
            known = {} if fresh else await self.drops(list(last))
            if last:
                await self._netlink.commit(self._changes(last.values(), now, known, fresh=fresh))

    def put_at_once(self, ban: Ban, now: Timestamp) -> bool:
        """Do as `put` in this very step; False: nothing was done, for another call is under way."""
        if ban.remaining(now) == 0:
            return True
        known: Mapping[Target, Drops] = {}
        if self._counters:
            places = self._places([ban.target])
            answers = self._netlink.ask_at_once(self._questions(places))
            if answers is None:
                return False
            known = _found(places, answers)
        return self._netlink.commit_at_once(self._changes([ban], now, known, fresh=False))

    async def remove(self, targets: Sequence[Target]) -> None:
        """Take these targets out, of whatever strength their bans are; who is in no set is no error.

        Raises:
            FirewallError: as `put`.
        """
        for begin in range(0, len(targets), BATCH):
            if begin:
                await asyncio.sleep(0)
            gone: Packed = {}
            for target in targets[begin : begin + BATCH]:
                for absolute in (True, False):
                    self._take_out(gone, target, absolute)
            if gone:
                await self._netlink.commit(self._removals(gone))

    async def drops(self, targets: Sequence[Target]) -> Mapping[Target, Drops]:
        """Return what was dropped of each of these that is banned, since then; nothing without `counters`."""
        places = self._places(targets) if self._counters else []
        found: dict[Target, Drops] = {}
        for begin in range(0, len(places), READ_AT_ONCE):
            part = places[begin : begin + READ_AT_ONCE]
            found |= _found(part, await self._netlink.ask(self._questions(part)))
        return found

    def _changes(
        self, bans: Iterable[Ban], now: Timestamp, known: Mapping[Target, Drops], *, fresh: bool
    ) -> list[Message]:
        """Return what puts bans of different targets into their sets; `known` is what was counted of them before."""
        packed: Packed = {}
        gone: Packed = {}
        for ban in bans:
            kept, key = place_of(ban.target, ban.absolute)
            one = element(key, ban.remaining(now))
            if self._counters:
                one = with_counter(one, known.get(ban.target, NOTHING))
            packed.setdefault(kept, {})[key] = one
            if not fresh:
                self._take_out(gone, ban.target, not ban.absolute)
        change = add if fresh else upsert
        messages = self._growth(packed)
        for kept, elements in packed.items():
            messages += change(self.table, banned_set(kept).name, elements.values())
        return messages + self._removals(gone)

    def _places(self, targets: Iterable[Target]) -> list[Place]:
        return [(target, *place_of(target, absolute)) for target in targets for absolute in (True, False)]

    def _questions(self, places: Iterable[Place]) -> list[Message]:
        return [read_element(self.table, banned_set(kept).name, key) for _, kept, key in places]

    def _take_out(self, gone: Packed, target: Target, absolute: bool) -> None:
        kept, key = place_of(target, absolute)
        if kept in self.kept:
            gone.setdefault(kept, {})[key] = element(key, None)

    def _removals(self, gone: Packed) -> list[Message]:
        removals = (remove(self.table, banned_set(kept).name, elements.values()) for kept, elements in gone.items())
        return [message for removal in removals for message in removal]

    def _growth(self, wanted: Collection[Kept]) -> list[Message]:
        """Return what makes the sets of prefix lengths that are new.

        All lookups are written anew, so that two calls at once can't leave one twice or drop the other's. The table is
        not made here: where it vanished, so did the allowlist, and only `start` brings both back. What is refused stays
        on the list: the next ban that needs it meets ENOENT, and `start` lays it out."""
        if self.kept.issuperset(wanted):
            return []
        self.kept.update(wanted)
        return lookups(self.table, self.kept)


def _found(places: Iterable[Place], answers: Iterable[list[bytes] | Refused]) -> dict[Target, Drops]:
    """Return what the kernel has counted of those that are there."""
    found = {}
    for (target, _, _), answer in zip(places, answers, strict=True):
        told = None if isinstance(answer, Refused) else counted_by_element(answer[0])
        if told is not None:
            found[target] = told
    return found
