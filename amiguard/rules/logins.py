"""Which account logged in from where: what tells a phone from an attacker. Pure.

Only an authentic login with a password counts, and never one over chan_sip, whose sender chooses the address that is
reported; so only who has an account can fill this memory, and only with addresses that are his."""

from __future__ import annotations

from collections import OrderedDict

from amiguard.model import Address, Target, Timestamp
from amiguard.ordered import Ordered

REMEMBERED = 30 * 24 * 3600 * 1000
"""Milliseconds for which an account is known to be at home at an address."""

LIVE = 24 * 3600 * 1000
"""Milliseconds after a login in which a phone is taken to be at its address: no registration lasts longer."""

CAPACITY = 20_000
"""Pairs of account and address, and addresses; about 10 MB when full."""

HOMES = 100
"""Addresses remembered an account, the newest: no account can push out those of all others."""


class Logins:
    """Remembers logins."""

    def __init__(self) -> None:
        self.since: Timestamp | None = None
        """When we began to listen: phones may have logged in before. None = not yet."""
        self._homes: OrderedDict[str, OrderedDict[Address, Timestamp]] = OrderedDict()
        self._pairs = 0
        self._lived: OrderedDict[Address, Timestamp] = OrderedDict()
        self._places = Ordered()
        """The keys of `_lived`."""

    def __len__(self) -> int:
        return self._pairs

    def add(self, account: str, address: Address, at: Timestamp) -> None:
        """Remember that an account logged in from an address."""
        if address not in self._lived:
            self._places.add(address)
        self._lived[address] = max(at, self._lived.pop(address, at))
        if len(self._lived) > CAPACITY:
            self._places.discard(self._lived.popitem(last=False)[0])
        homes = self._homes.setdefault(account, OrderedDict())
        self._homes.move_to_end(account)
        self._pairs -= len(homes)
        homes[address] = max(at, homes.pop(address, at))
        if len(homes) > HOMES:
            homes.popitem(last=False)
        self._pairs += len(homes)
        while self._pairs > CAPACITY:
            self._pairs -= len(self._homes.popitem(last=False)[1])

    def lives(self, address: Address, now: Timestamp) -> bool:
        """Whether anybody logged in from this address within `LIVE`."""
        at = self._lived.get(address)
        return at is not None and now - at <= LIVE

    def within(self, network: Target, now: Timestamp) -> list[Address]:
        """Return the addresses of a network where somebody logged in within `LIVE`."""
        return [address for address in self._places.within(network) if self.lives(address, now)]

    def knows(self, account: str, address: Address, now: Timestamp) -> bool:
        """Whether this very account logged in from this address within `REMEMBERED`."""
        homes = self._homes.get(account)
        at = None if homes is None else homes.get(address)
        return at is not None and now - at <= REMEMBERED

    def homes(self, account: str, now: Timestamp) -> list[Address]:
        """Return from where this account logged in, the newest last."""
        return [address for address, at in self._homes.get(account, {}).items() if now - at <= REMEMBERED]

    def accounts(self, address: Address) -> list[str]:
        """Return who logged in from this address; for an administrator's question, as it looks at every account."""
        return [account for account, homes in self._homes.items() if address in homes]
