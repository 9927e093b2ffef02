"""Which accounts proved to be at which addresses, and which addresses are this server's trunks. Pure.

A phone is learned from its own log-in with a password, for as long as the registration that followed can last. Memory
is bounded twice: an account stands for a few addresses only, so that who steals one gains no more room than its owner
has, and all accounts together for `capacity` pairs. Who was heard of longest ago makes room."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Iterator

from amiguard.asterisk.schema import SecurityEvent
from amiguard.model import Address, Phone, Target, Timestamp
from amiguard.ordered import Ordered

CAPACITY = 50_000
"""Pairs of address and account; about 20 MB when full."""

ADDRESSES_AN_ACCOUNT = 16
"""A phone, its owner's mobile in a few networks, and what their providers give them tomorrow."""

LIFETIME = 9_000_000
"""Milliseconds that a log-in is believed: a registration may last two hours (PJSIP's `maximum_expiration`, 7200 s),
and a quarter more, since what is known is prolonged only when a quarter has passed."""

PROLONGED_AFTER = LIFETIME // 5
"""Or each registration of each phone would be written into the database."""


def proves_presence(event: SecurityEvent) -> bool:
    """Whether an event proves that its account is at its address.

    PJSIP binds a nonce to the source address, so a password that was judged right made the round trip, over UDP too.
    chan_sip names an address that the sender chose; and of a plain log line, which anybody can forge, no transport is
    known."""
    return (
        event.name == "SuccessfulAuth"
        and event.service == "PJSIP"
        and event.using_password
        and not event.tampered
        and event.transport != ""
    )


class Presence:
    """Phones and trunks. `remember` is told of each phone that is learned, prolonged or forgotten (`until` 0)."""

    def __init__(self, remember: Callable[[Phone], object] = lambda _: None, capacity: int = CAPACITY) -> None:
        self._remember = remember
        self._capacity = capacity
        self._until: OrderedDict[tuple[Address, str], Timestamp] = OrderedDict()
        self._accounts: dict[Address, dict[str, None]] = {}
        self._addresses: dict[str, dict[Address, None]] = {}
        self._places = Ordered()
        """The keys of `_accounts`."""
        self._trunks: dict[str, frozenset[Address]] = {}
        self._trunk_places = Ordered()

    def __len__(self) -> int:
        return len(self._until)

    def __iter__(self) -> Iterator[Phone]:
        return (Phone(address, account, until) for (address, account), until in self._until.items())

    def restore(self, phones: Iterable[Phone], now: Timestamp) -> None:
        """Take up what the store remembers; it is not told again what it told."""
        for phone in phones:
            self._keep(phone, now)

    def logged_in(self, event: SecurityEvent, at: Timestamp) -> None:
        """Learn from an event, if it proves anything."""
        if proves_presence(event):
            self.learn(Phone(event.address, event.account, at + LIFETIME), at)

    def learn(self, phone: Phone, now: Timestamp) -> None:
        """Believe that an account is at an address. A nameless account is nobody's."""
        if self._keep(phone, now):
            self._remember(phone)

    def prolong(self, address: Address, account: str, now: Timestamp) -> None:
        """Go on believing in a phone that fails on its own account: somebody changed its password, it did not move."""
        self.learn(Phone(address, account, now + LIFETIME), now)

    def is_own(self, address: Address, account: str, now: Timestamp) -> bool:
        """Whether this account is known to be at this address."""
        return self._until.get((address, account), 0) > now

    def is_phone(self, address: Address, now: Timestamp) -> bool:
        """Whether any account is known to be at this address."""
        accounts = self._accounts.get(address)
        return accounts is not None and any(self.is_own(address, account, now) for account in accounts)

    def accounts(self, address: Address) -> list[str]:
        """Return the accounts that were at an address, those first seen longest ago first; some may have left."""
        return list(self._accounts.get(address, ()))

    def phones(self, address: Address) -> list[Phone]:
        """Return what is known of an address; some of it may be over."""
        return [Phone(address, account, self._until[address, account]) for account in self.accounts(address)]

    def tell_trunk(self, name: str, addresses: Collection[Address]) -> None:
        """Replace the addresses of a trunk that this server registers with; none = it registers there no more."""
        if addresses:
            self._trunks[name] = frozenset(addresses)
        else:
            self._trunks.pop(name, None)
        self._trunk_places = Ordered(address for addresses in self._trunks.values() for address in addresses)

    def trunks(self) -> dict[str, frozenset[Address]]:
        """Return the addresses of each trunk."""
        return dict(self._trunks)

    def is_trunk(self, address: Target) -> bool:
        """Whether this is an address of a trunk."""
        return any(address in addresses for addresses in self._trunks.values())

    def knows(self, target: Target, now: Timestamp) -> bool:
        """Whether a phone that has logged in, or a trunk, is at a target or in it."""
        if "/" in target:
            return bool(self.within(target, now))
        return self.is_phone(Address(target), now) or self.is_trunk(target)

    def within(self, target: Target, now: Timestamp) -> list[Address]:
        """Return the addresses in `target` that a phone or a trunk is at."""
        phones = (address for address in self._places.within(target) if self.is_phone(address, now))
        return list(dict.fromkeys([*self._trunk_places.within(target), *phones]))

    def _keep(self, phone: Phone, now: Timestamp) -> bool:
        """Believe it; return whether that is news."""
        if not phone.account or phone.until <= now:
            return False
        key = phone[:2]
        known = self._until.get(key)
        if known is not None and phone.until < known + PROLONGED_AFTER:
            self._until.move_to_end(key)
            return False
        if known is None:
            self._make_room(phone.account, now)
            self._accounts.setdefault(phone.address, {})[phone.account] = None
            self._places.add(phone.address)
        addresses = self._addresses.setdefault(phone.account, {})
        addresses.pop(phone.address, None)
        addresses[phone.address] = None
        self._until[key] = phone.until
        self._until.move_to_end(key)
        return True

    def _make_room(self, account: str, now: Timestamp) -> None:
        while self._until and (len(self._until) >= self._capacity or next(iter(self._until.values())) <= now):
            self._forget(next(iter(self._until)))
        addresses = self._addresses.get(account, {})
        if len(addresses) >= ADDRESSES_AN_ACCOUNT:
            self._forget((next(iter(addresses)), account))

    def _forget(self, key: tuple[Address, str]) -> None:
        address, account = key
        del self._until[key]
        del self._accounts[address][account], self._addresses[account][address]
        if not self._accounts[address]:
            del self._accounts[address]
            self._places.discard(address)
        if not self._addresses[account]:
            del self._addresses[account]
        self._remember(Phone(address, account, 0))
