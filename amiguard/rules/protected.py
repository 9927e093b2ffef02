"""A known phone that fails on its own account: somebody changed its password, and a whole office may be behind it. It
gets a higher threshold, and the administrator is told."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace

from amiguard.jail import Jail
from amiguard.journal import Action
from amiguard.model import Address, Ban, Failure, Reason, Target, Timestamp
from amiguard.policy import DAY, Policy
from amiguard.presence import Presence
from amiguard.rules.verdict import Alarm

CAPACITY = 10_000
"""Phones that fail at once."""

TOLD_AGAIN = DAY
"""Milliseconds after which the administrator is told again of a phone that still fails."""


class Protected:
    """Counts what a known phone does on its own account, apart from everything else that comes from its address."""

    def __init__(self, policy: Policy, presence: Presence) -> None:
        self._policy = policy
        self._presence = presence
        self._jail = Jail(_lenient(policy), CAPACITY)
        self._told: OrderedDict[Address, Timestamp] = OrderedDict()

    def reconfigure(self, policy: Policy) -> None:
        """Go by other numbers from now on."""
        self._policy = policy
        self._jail.reconfigure(_lenient(policy))

    def is_own(self, failure: Failure) -> bool:
        """Whether a known phone gave a wrong password for its own account. What else one may do wrong after its log-in,
        such as asking for another's registration, is no mistake of a phone."""
        possible = self._policy.protected_maxretry > 0 and failure.reason is Reason.WRONG_PASSWORD
        return possible and self._presence.is_own(failure.address, failure.account, failure.at)

    def failed(self, failure: Failure) -> Ban | Alarm | None:
        """Count such a failure; return what it leads to."""
        self._presence.prolong(failure.address, failure.account, failure.at)
        key = _key(failure.address, failure.account)
        ban = self._jail.observe(failure._replace(address=key))
        if ban is not None:
            return ban._replace(target=failure.address)
        failures = self._jail.failures(key)
        if failures < self._policy.maxretry or failure.at - self._told.get(key, -TOLD_AGAIN) < TOLD_AGAIN:
            return None
        self._told[key] = failure.at
        self._told.move_to_end(key)
        if len(self._told) > CAPACITY:
            self._told.popitem(last=False)
        what = f"the phone {failure.account} at {failure.address} fails on its own account"
        text = f"{what}: a password that was changed? It is not banned yet"
        return Alarm(Action.PHONE_FAILING, text, {"failure": failure, "failures": failures})

    def failures(self, failure: Failure) -> int:
        """Return how many failures of this phone count."""
        return self._jail.failures(_key(failure.address, failure.account))

    def count(self, address: Address, account: str, now: Timestamp) -> int:
        """Return how many failures of a phone lie within the window that ends at `now`."""
        known = self._jail.find(_key(address, account))
        return 0 if known is None else sum(at >= now - self._policy.findtime for at in known.times)

    def forget(self, address: Address) -> None:
        """Drop what was counted of the phones at an address."""
        for account in self._presence.accounts(address):
            self._jail.forget(_key(address, account))


def _key(address: Address, account: str) -> Address:
    """Return what stands for both; the jail asks nothing of an address but that it is the same."""
    return Address(Target(f"{address} {account}"))


def _lenient(policy: Policy) -> Policy:
    return replace(policy, maxretry=max(policy.maxretry, policy.protected_maxretry))
