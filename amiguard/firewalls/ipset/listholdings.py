"""What the sets of lists hold, as far as is needed to notice that somebody took it away.

A list may have a million entries, so unlike of bans no copy is kept. Of each set the entry that lasts longest is asked
for at every look: so an emptied set is noticed at once. And the kernel counts it, as often as the sets of bans: less
than what was put in and may not have ended yet, and somebody took out a part."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from amiguard.firewalls.ipset import format as ipset
from amiguard.firewalls.ipset.format import Key
from amiguard.firewalls.ipset.holdings import COUNTING, MOST_COUNTED
from amiguard.firewalls.netlink import Netlink
from amiguard.firewalls.netlinkcalls import Refused
from amiguard.model import Timestamp
from amiguard.ports import Interference

MINUTE = 60_000
"""Milliseconds. What ends within the same one is taken to end together."""

SLACK = 3_000
"""Milliseconds around its end in which an entry may be there or not: time-outs are whole seconds."""


@dataclass(slots=True)
class Held:
    """What was put into one set."""

    ends: Counter[int] = field(default_factory=Counter)
    """How many end within each minute."""
    lasting: Key | None = None
    """The entry that lasts longest, and until when."""
    end: Timestamp = 0
    count: int | None = 0
    """How many the set had at `since`; None: it is not known."""
    since: Timestamp = 0
    count_at: float = 0.0
    """When the kernel is to count them, by the loop's clock."""

    def put(self, key: Key, end: Timestamp) -> None:
        """An entry is there until then."""
        self.ends[end // MINUTE] += 1
        if self.lasting in {None, key} or end > self.end:
            self.lasting, self.end = key, end

    def take(self, key: Key) -> None:
        """An entry is not there any more."""
        if key == self.lasting:
            self.lasting = None

    def counted(self, count: int | None, now: Timestamp) -> None:
        """The set has so many entries now; those that are over count no more."""
        self.count, self.since = count, now
        over = (now - SLACK) // MINUTE
        self.ends = Counter({minute: number for minute, number in self.ends.items() if minute >= over})

    def least(self, now: Timestamp) -> int:
        """Return how many the set must still have."""
        last = (now + SLACK) // MINUTE
        return (self.count or 0) - sum(number for minute, number in self.ends.items() if minute <= last)


class ListHoldings:
    """The sets of all lists that are looked at."""

    def __init__(self) -> None:
        self._sets: dict[str, Held] = {}

    @property
    def any(self) -> bool:
        """Whether anybody is in a list."""
        return any(held.lasting is not None or held.count for held in self._sets.values())

    def keep(self, name: str, held: Held) -> None:
        """A set holds this from now on."""
        self._sets[name] = held

    def leave(self, name: str) -> Held:
        """Do not look at a set while it changes; return what it held."""
        return self._sets.pop(name, None) or Held(count=None)

    def forget(self) -> None:
        """Look at no set: all may be new."""
        self._sets.clear()

    async def removed(self, netlink: Netlink, now: Callable[[], Timestamp]) -> list[Interference]:
        """Tell from which sets somebody took something. Raises FirewallError."""
        asked = [
            (name, held, ipset.test(name, ipset.element(held.lasting, None)))
            for name, held in self._sets.items()
            if held.lasting is not None and held.end > now() + SLACK
        ]
        answers = await netlink.ask([message for _, _, message in asked]) if asked else []
        gone = [
            name
            for (name, held, _), answer in zip(asked, answers, strict=True)
            if isinstance(answer, Refused) and self._sets.get(name) is held and held.end > now() + SLACK
        ]
        for name, held in list(self._sets.items()):
            if name not in gone and await self._fewer(netlink, name, held, now):
                gone.append(name)
        for name in gone:
            self._sets.pop(name, None)  # or it would be missed again until the list is put back
        return [Interference(f"entries were taken out of the set {name}") for name in gone]

    async def _fewer(self, netlink: Netlink, name: str, held: Held, now: Callable[[], Timestamp]) -> bool:
        """Have a set counted if it is time to; whether it has fewer entries than it must have."""
        clock = asyncio.get_running_loop().time()
        if not held.count or held.count > MOST_COUNTED or clock < held.count_at:
            return False
        held.count_at = clock + COUNTING * held.count
        bodies = await netlink.dump(ipset.list_header(name))
        count = ipset.elements_in(bodies[0]) if bodies else None
        return count is not None and count < held.least(now()) and self._sets.get(name) is held
