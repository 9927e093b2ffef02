"""Looks again and again whether bans and rules are still there: of changes to its sets, ipset tells nobody.

Three ways, for a look must cost little however many bans there are:

- The newest ban of each set is asked for at every look. So an emptied set is noticed at once, whatever its size.
- The kernel counts a set's elements: fewer than bans that last on, or more than are known, and it is compared.
  That is 10 to 15 ns an element, in which that CPU takes no packet; so the larger a set, the rarer, and beyond
  `MOST_COUNTED` never (`holdings.py`).
- A set is compared with what should be in it, element by element; now and then without any cause, for who takes one
  element out and puts another in leaves their number as it was."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from errno import ENOENT

from amiguard.errors import FirewallError
from amiguard.firewalls.ipset import format as ipset
from amiguard.firewalls.ipset.format import LONGEST, NFNL_SUBSYS_IPSET, Key
from amiguard.firewalls.ipset.holdings import COUNTING, FOREVER, MOST_COUNTED, Holdings
from amiguard.firewalls.ipset.listholdings import ListHoldings
from amiguard.firewalls.ipset.names import BAN_SETS, targets_at
from amiguard.firewalls.netlink import Netlink
from amiguard.firewalls.netlinkcalls import Refused
from amiguard.model import Ban, Target, Timestamp
from amiguard.ports import Interference

INTERVAL = 0.03
"""Seconds between two looks while somebody is banned or in a list."""

IDLE = 1.0
"""The same while nobody is; the first ban has everything looked at."""

COMPARING = 4e-4
"""Seconds between two comparisons without a cause, for each element: so they take 0.1 % of a CPU."""

COMPARING_AT_LEAST = 10.0
"""Seconds between these, however small the set."""

SUSPECTING = 2e-5
"""Seconds to the next one after a comparison that a count gave cause to for nothing, for each element."""

RENEWAL = 24 * 3600 * 1000
"""Milliseconds after which time-outs are set anew that are shorter than their bans: ipset takes no longer ones."""

RENEWED_AT_ONCE = 1_000
"""Bans whose time-outs are set anew in one message."""

SOON = 2
"""Seconds before its end in which an element that is gone is no surprise."""

NAMED = 1_000
"""Bans that are put back one by one; of more, everything is laid out anew."""

OF_BANS = {one.text: one for one in BAN_SETS}


class _Watched:
    """One set, what should be in it, and when it is looked at, in seconds of the loop's clock."""

    def __init__(self) -> None:
        self.held = Holdings()
        self.unmet: dict[Key, int] = {}
        """What a comparison that is under way has not met yet."""
        self.count_at = 0.0
        self.suspect_at = 0.0
        self.compare_at = 0.0


class Watching:
    """What was put into the sets, and whether it is still there."""

    def __init__(self, lists: ListHoldings) -> None:
        self.looks = 0
        self._lists = lists
        self._netlink = Netlink(NFNL_SUBSYS_IPSET)  # of its own, for no ban may wait until a set is compared
        self._sets: dict[str, _Watched] = {}
        self._overlong: dict[Target, Ban] = {}
        self._skew = 0
        """By how much the caller's clock is ahead of the loop's, in milliseconds."""
        self._renewed: Timestamp = 0
        self._changes = 0
        self._recalled_at = 0
        self._moved: set[tuple[str, Key]] | None = None
        """What was taken out since a recall began, of which older lists may still tell; None: there is none."""
        self._wake = asyncio.Event()
        self._closed = False

    def put(self, name: str, elements: Iterable[tuple[Key, Ban]], now: Timestamp) -> None:
        """These are in a set now."""
        self._closed = False
        self._skew = now - _steady()
        self._changes += 1
        put = self._watched(name).held.put
        longest = now + LONGEST * 1000
        for key, ban in elements:
            until = ban.until
            put(key, FOREVER if until is None else until // 1000)
            if until is not None and until > longest:
                self._overlong[ban.target] = ban
            elif ban.target in self._overlong:  # a shorter ban has replaced it
                del self._overlong[ban.target]
        self._wake.set()

    def keep(self, name: str, keys: Iterable[Key]) -> None:
        """A set holds these for ever, and none but these."""
        self._changes += 1
        watched = self._sets[name] = _Watched()
        for key in keys:
            watched.held.put(key, FOREVER)

    def take_out(self, name: str, keys: Iterable[Key]) -> None:
        """These are about to be taken out of a set, or to get another end."""
        self._changes += 1
        taken = list(keys)
        if self._moved is not None:
            self._moved.update((name, key) for key in taken)
        if name in self._sets:
            for key in taken:
                self._sets[name].held.drop(key)
                self._sets[name].unmet.pop(key, None)

    def lift(self, target: Target) -> None:
        """A ban is about to be lifted: it is not renewed."""
        self._overlong.pop(target, None)

    def forget(self, now: Timestamp) -> None:
        """All is about to be put in anew."""
        self._changes += 1
        self._skew = now - _steady()
        self._sets.clear()

    @contextmanager
    def recalling(self) -> Iterator[None]:
        """Have it remembered meanwhile what leaves the sets, for their lists are heard of later than they were made."""
        self._recalled_at, self._moved = _steady(), set()
        try:
            yield
        finally:
            self._moved = None

    def recall(self, name: str, key: Key, left: int | None) -> None:
        """This was found in a set since the recall began, with so many seconds left to it."""
        held = self._watched(name).held
        if key not in held.ends and self._moved is not None and (name, key) not in self._moved:
            held.put(key, FOREVER if left is None else (self._recalled_at + self._skew) // 1000 + left)

    async def interference(
        self,
        intact: Callable[[], Awaitable[bool]],
        ban: Callable[[Sequence[Ban], Timestamp], Awaitable[None]],
    ) -> Interference:
        """Wait until rules (`intact`) or bans are gone; set time-outs anew (`ban`) meanwhile.

        Raises:
            FirewallError: the kernel can't be asked, or `close` was called.
        """
        self._closed = False
        while not self._closed:
            self._wake.clear()
            if not await intact():
                return Interference("a rule was deleted or is no longer the first")
            looks = [await self._look_at(name) for name in list(self._sets)]
            seen = [one for one in looks if one is not None]
            seen += await self._lists.removed(self._netlink, self._now)
            if seen:
                return _together(seen)
            now = self._now()
            if self._overlong and now - self._renewed > RENEWAL:
                self._renewed = now
                await self._renew(ban, now)
            self.looks += 1
            await self._pause()
        raise FirewallError("the sets are no longer looked at")

    async def close(self) -> None:
        """End `interference`, and free the socket."""
        self._closed = True
        self._wake.set()
        await self._netlink.close()

    async def _pause(self) -> None:
        if self._lists.any or any(watched.held.lasting for name, watched in self._sets.items() if name in OF_BANS):
            await asyncio.sleep(INTERVAL)
            return
        try:
            async with asyncio.timeout(IDLE):
                await self._wake.wait()
        except TimeoutError:
            pass

    async def _renew(self, ban: Callable[[Sequence[Ban], Timestamp], Awaitable[None]], now: Timestamp) -> None:
        """Set time-outs anew, one message at a time: between two of them any ban may be lifted."""
        targets = list(self._overlong)
        for begin in range(0, len(targets), RENEWED_AT_ONCE):
            part = targets[begin : begin + RENEWED_AT_ONCE]
            await ban([self._overlong.pop(target) for target in part if target in self._overlong], now)

    async def _look_at(self, name: str) -> Interference | None:
        """Look at a set in the way that is due; what was found, or None: all is well."""
        clock = asyncio.get_running_loop().time()
        watched = self._watched(name)
        watched.held.pass_by(self._now() // 1000 + SOON)
        if not watched.held.lasting:
            return None
        try:
            if clock >= watched.compare_at:
                return await self._compare(name, watched)
            if clock >= watched.count_at:
                suspected = await self._miscounted(name, watched, clock)
            else:
                suspected = await self._newest_is_gone(name, watched)
            return await self._compare(name, watched) if suspected else None
        except Refused as error:
            if error.errno != ENOENT:
                raise
            return Interference(f"the set {name} was destroyed")

    async def _miscounted(self, name: str, watched: _Watched, clock: float) -> bool:
        """Have a set counted; whether its number of elements can't be, and it is time to suspect anything."""
        changes = self._changes
        counts = [ipset.elements_in(body) for body in await self._netlink.dump(ipset.list_header(name))]
        count = counts[0] if counts else None
        watched.count_at = watched.compare_at if count is None or count > MOST_COUNTED else clock + COUNTING * count
        if count is None or changes != self._changes or clock < watched.suspect_at:
            return False
        return not watched.held.explain(count)

    async def _newest_is_gone(self, name: str, watched: _Watched) -> bool:
        newest = watched.held.newest
        if newest is None or watched.held.ends.get(newest, 0) <= watched.held.horizon:
            return False
        (answer,) = await self._netlink.ask([ipset.test(name, ipset.element(newest, None))])
        return isinstance(answer, Refused) and newest in watched.held.ends

    async def _compare(self, name: str, watched: _Watched) -> Interference | None:
        """Read a set and find out what is missing in it."""
        held = watched.held
        unmet, foreign = held.ends.copy(), 0
        watched.unmet = unmet

        def meet(body: bytes) -> bool:
            nonlocal foreign
            for key in ipset.listed_keys(body):
                if unmet.pop(key, None) is None and key not in held.ends:
                    foreign += 1
            return False

        await self._netlink.dump(ipset.list_set(name), meet)
        clock, size = asyncio.get_running_loop().time(), len(held.ends) + foreign
        held.foreign = foreign
        watched.compare_at = clock + max(COMPARING_AT_LEAST, COMPARING * size)
        held.pass_by(self._now() // 1000 + SOON)  # what ended while the set was read is no surprise
        missing, watched.unmet = held.missing(unmet), {}
        if self._sets.get(name) is not watched:  # it was laid out anew meanwhile
            return None
        if not missing:
            watched.suspect_at = clock + SUSPECTING * size
            return None
        self.take_out(name, missing)  # or what nobody wants back would be missed for ever
        if name not in OF_BANS:
            return Interference(f"elements were taken out of the set {name}")
        targets = [target for key in missing[: NAMED + 1] for target in targets_at(OF_BANS[name], key)]
        return Interference(f"bans were taken out of the set {name}", targets)

    def _now(self) -> Timestamp:
        return _steady() + self._skew

    def _watched(self, name: str) -> _Watched:
        return self._sets.setdefault(name, _Watched())


def _together(seen: Sequence[Interference]) -> Interference:
    """Make one of what was found in several sets."""
    targets = [target for one in seen for target in one.targets or ()]
    named = all(one.targets is not None for one in seen) and len(targets) <= NAMED
    return Interference(", ".join(one.what for one in seen), targets if named else None)


def _steady() -> Timestamp:
    return int(asyncio.get_running_loop().time() * 1000)
