"""Brings what lists name into the kernel, but for who is allowed or known here, and puts it back when it is gone.

A list never bans: who is named is dropped while he is named, in sets of its own, and what this server asks him is
answered. So neither a lying list nor a huge one touches the bans."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from errno import ENOENT

from amiguard.allowlist import Allowlist
from amiguard.enforcement import Enforcement
from amiguard.errors import FirewallError
from amiguard.journal import Action, Journal
from amiguard.listed import Listed, target_at
from amiguard.lists import Delta
from amiguard.model import Address, Drops, Target, Timestamp
from amiguard.ports import Clock
from amiguard.presence import Presence
from amiguard.retry import Retry
from amiguard.stepping import in_steps

RETRY = (0.1, 10.0)
"""Seconds between tries while the kernel refuses: first and longest, doubled each time, with jitter."""

STEP = 200
"""Cuts out of a list in one step of the loop."""


FEW = 20
"""Changes of a list in one step: among a million networks, each moves those behind it by one place."""


@dataclass(slots=True)
class _Entry:
    """One list: what it names, and what the kernel has to be told of that."""

    listed: Listed = field(default_factory=Listed)
    whole: bool = False
    """Whether the kernel needs all of it."""
    deltas: list[Delta] = field(default_factory=list)
    under_way: bool = False
    """Whether it is being told just now."""
    told: Mapping[str, object] | None = None
    """What the log line says once the kernel has it; None = nothing."""
    spared: int = 0
    enforced: int = 0
    """Networks in the kernel."""

    @property
    def waits(self) -> bool:
        """Whether the kernel has not all of it yet."""
        return self.under_way or self.whole or bool(self.deltas)


class Listing:
    """Fulfils `lists.Taker`; one for all lists."""

    def __init__(
        self, enforcement: Enforcement, allowlist: Allowlist, presence: Presence, journal: Journal, clock: Clock
    ) -> None:
        self._enforcement = enforcement
        self._allowlist = allowlist
        self._presence = presence
        self._journal = journal
        self._clock = clock
        self._entries: dict[str, _Entry] = {}
        self._changed = asyncio.Event()
        enforcement.placement.laid_out = self._start_anew

    def replace(self, name: str, listed: Listed, told: Mapping[str, object]) -> None:
        """Have a list name these from now on."""
        entry = self._entries.setdefault(name, _Entry())
        entry.listed, entry.told = listed, told
        self._renew(entry)

    async def change(self, name: str, delta: Delta) -> None:
        """Have a list name some more, but for who is allowed or known here, and others no more."""
        entry = self._entries.setdefault(name, _Entry())
        put = []
        async for width, number, end in in_steps(delta.put, FEW):
            if self._may_be_dropped(target_at(width, number)):
                entry.listed.put(width, number, end)
                put.append((width, number, end))
        async for width, number in in_steps(delta.take, FEW):
            entry.listed.take(width, number)
        if not entry.whole:
            entry.deltas.append(Delta(put, delta.take))
        self._changed.set()

    def renew(self, name: str, end: Timestamp) -> None:
        """Have everybody whom a list names be in it until then."""
        entry = self._entries.get(name)
        if entry is not None:
            entry.listed.renew(end)
            self._renew(entry)

    def forget(self, name: str) -> None:
        """Have a list name nobody."""
        if name in self._entries:
            self.replace(name, Listed(), {})
            self._entries[name].told = None

    def drop(self, name: str) -> None:
        """Forget a list that is read no more; the firewall is laid out without it."""
        self._entries.pop(name, None)

    def around(self, address: Address) -> list[dict[str, object]]:
        """Return which lists name an address, and as what, JSON-able."""
        now = self._clock()
        return [
            {"feed": name, "address": target}
            for name, entry in self._entries.items()
            for target in entry.listed.around(address, now)
        ]

    def status(self, name: str) -> dict[str, object]:
        """Tell how much of a list is in the kernel: all of it, or the list of before."""
        entry = self._entries.get(name, _Entry())
        return {"entries": entry.enforced, "spared": entry.spared, "waiting": entry.waits}

    async def dropped(self) -> Mapping[str, Drops]:
        """Return what was dropped for each list; nothing while the kernel does not tell."""
        try:
            return await self._enforcement.firewall.lists.dropped()
        except FirewallError:
            return {}

    async def run(self) -> None:
        """Bring into the kernel what changes, until cancelled."""
        retry = Retry(*RETRY)
        while True:
            await self._changed.wait()
            self._changed.clear()
            try:
                for name, entry in list(self._entries.items()):
                    await self._bring(name, entry)
            except FirewallError as error:
                if error.errno != ENOENT:  # the table is gone: whoever puts it back wakes us
                    text = "the kernel refused what a list names; it is tried again"
                    self._journal.write(Action.FIREWALL_FAILED, text, error=error)
                self._changed.set()
                await asyncio.sleep(retry.next())
            else:
                retry.reset()

    # ----------------------------------------------------------------------------------------------------------------

    def _renew(self, entry: _Entry) -> None:
        entry.whole = True
        entry.deltas.clear()
        self._changed.set()

    def _start_anew(self) -> None:
        """Put every list into the kernel once more: the sets may be new."""
        for entry in self._entries.values():
            self._renew(entry)

    async def _bring(self, name: str, entry: _Entry) -> None:
        """Tell the kernel what is new of one list. Raises FirewallError: then all of it is to be told."""
        lists = self._enforcement.firewall.lists
        entry.under_way = entry.waits
        try:
            if entry.whole:
                entry.whole = False
                await self._spare(entry)
                if entry.whole:  # another list came meanwhile, of which nobody is spared yet
                    return
                await lists.replace(name, entry.listed.copy(), self._clock())
                if not entry.whole:  # else it was replaced meanwhile
                    self._tell(name, entry)
            while entry.deltas and not entry.whole:
                await lists.change(name, entry.deltas[0], self._clock())
                if entry.deltas:  # else all of it was renewed meanwhile
                    entry.deltas.pop(0)
        except FirewallError:
            self._renew(entry)
            raise
        finally:
            entry.under_way = False
        if not entry.whole:
            entry.enforced = len(entry.listed)

    async def _spare(self, entry: _Entry) -> None:
        """Take out of a list who is allowed or known here. What the kernel allows it allows anyway."""
        now = self._clock()
        known = {phone.address for phone in self._presence if phone.until > now}
        known |= {address for addresses in self._presence.trunks().values() for address in addresses}
        spared = 0
        async for cut in in_steps(entry.listed.spare(self._allowlist.targets(), known), STEP):
            spared += cut
        entry.spared = spared

    def _may_be_dropped(self, target: Target) -> bool:
        return not (self._allowlist.holds(target) or self._presence.knows(target, self._clock()))

    def _tell(self, name: str, entry: _Entry) -> None:
        told, entry.told = entry.told, None
        if told is not None:
            verb = "are dropped" if self._enforcement.firewall.enforces else "would be dropped"
            text = f"{len(entry.listed):,} addresses and networks of the list {name} {verb}"
            self._journal.write(
                Action.FEED_UPDATED, text, feed=name, entries=len(entry.listed), spared=entry.spared, **told
            )
