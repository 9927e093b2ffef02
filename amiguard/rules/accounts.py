"""Who is attacked from everywhere at once: one account that fails from many addresses. Pure.

A botnet tries a password or two from each address, so no address ever reaches `maxretry`. The account shows it. Names
that Asterisk knows no account for are left out: every scanner in the world tries `admin`."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from amiguard.journal import Action
from amiguard.model import Address, Evidence, Failure, Reason, Timestamp
from amiguard.policy import Spread
from amiguard.ranked import Entry, Ranked
from amiguard.rules.names import UNKNOWN
from amiguard.rules.verdict import Alarm

CAPACITY = 2_000
"""Accounts watched at once; those that fail from most addresses stay."""

LEVELS = 16
SHOWN = 10
"""Addresses that an alert names."""


class Victim(Entry):
    """From where an account failed, and when last; in the order of their newest failure."""

    __slots__ = ("addresses", "alerted")

    def __init__(self) -> None:
        super().__init__()
        self.addresses: OrderedDict[Address, tuple[Timestamp, Evidence]] = OrderedDict()
        self.alerted = False


class Accounts:
    """Counts per account the addresses that failed on it within `findtime`.

    A failure that is told late counts as if it came with the newest one of its account."""

    def __init__(self, spread: Spread) -> None:
        self.spread = spread
        self._elsewhere: OrderedDict[str, Timestamp] = OrderedDict()
        """Accounts that are attacked on all nodes together, and when that was last told."""
        self._accounts: Ranked[str, Victim] = Ranked(Victim, LEVELS, CAPACITY)

    def __len__(self) -> int:
        return len(self._accounts)

    def failed(self, failure: Failure) -> Alarm | None:
        """Count a failure; return an alarm when the attack on its account begins."""
        if not account_exists(failure):
            return None
        account = failure.account
        spread = self.spread
        victim = self._accounts.take(account, failure.at - spread.findtime)
        victim.last = max(victim.last, failure.at)
        addresses = victim.addresses
        addresses.pop(failure.address, None)
        addresses[failure.address] = (victim.last, failure.evidence)
        self._forget_old(victim)
        self._accounts.rank(account, victim, len(addresses) - 1)
        if len(addresses) < spread.addresses:
            victim.alerted = False
            return None
        if victim.alerted:
            return None
        victim.alerted = True
        return None if self._elsewhere_too(account, failure.at) else self._alarm(account, victim)

    def told(self, failure: Failure, addresses: Sequence[str]) -> Alarm | None:
        """Hear that the account of a failure failed from too many addresses on all nodes together; return the alarm
        that is raised for it here. `addresses`: the last ones, where this failure was the first one too many."""
        account = failure.account
        self._elsewhere.pop(account, None)
        self._elsewhere[account] = failure.at
        if len(self._elsewhere) > CAPACITY:
            self._elsewhere.popitem(last=False)
        victim = self._accounts.get(account)
        if not addresses or (victim is not None and victim.alerted):
            return None
        text = f"account {account} failed from {len(addresses)} addresses on all nodes: {', '.join(addresses[:SHOWN])}"
        fields = {"account": account, "addresses": len(addresses), "offenders": list(addresses[:SHOWN])}
        return Alarm(Action.ACCOUNT_UNDER_ATTACK, text, fields)

    def under_attack(self, account: str, now: Timestamp) -> bool:
        """Whether this account failed from many addresses within the last `findtime`."""
        if self._elsewhere_too(account, now):
            return True
        victim = self._accounts.get(account)
        if victim is None or len(victim.addresses) < self.spread.addresses:
            return False
        oldest = next(iter(victim.addresses.values()))[0]
        return now - oldest <= self.spread.findtime

    def limit(self, account: str, now: Timestamp) -> int | None:
        """Return what takes the place of `maxretry` for failures on this account; None = nothing."""
        return self.spread.maxretry if self.spread.maxretry and self.under_attack(account, now) else None

    def addresses(self, account: str) -> list[Address]:
        """Return from where this account failed lately."""
        victim = self._accounts.get(account)
        return [] if victim is None else list(victim.addresses)

    def _elsewhere_too(self, account: str, now: Timestamp) -> bool:
        told = self._elsewhere.get(account)
        return told is not None and now - told <= self.spread.findtime

    def _forget_old(self, victim: Victim) -> None:
        horizon = victim.last - self.spread.findtime
        addresses = victim.addresses
        while len(addresses) > self.spread.addresses or next(iter(addresses.values()))[0] < horizon:
            addresses.popitem(last=False)

    def _alarm(self, account: str, victim: Victim) -> Alarm:
        addresses = list(victim.addresses)
        proven = sum(evidence is Evidence.CONNECTED for _, evidence in victim.addresses.values())
        text = f"account {account} failed from {len(addresses)} addresses: {', '.join(addresses[:SHOWN])}"
        return Alarm(
            Action.ACCOUNT_UNDER_ATTACK,
            text,
            {"account": account, "addresses": len(addresses), "proven": proven, "offenders": addresses[:SHOWN]},
        )


def account_exists(failure: Failure) -> bool:
    """Whether a failure was on an account that exists, as far as Asterisk tells."""
    return failure.account not in UNKNOWN and failure.reason is not Reason.UNKNOWN_ACCOUNT
