"""Who fails where phones are known to be: an office behind one address, which one of them must not have locked out.

Three kinds of failures come from there. A known phone fails on its *own* account: somebody changed its password. A
*newcomer* was never known, and its password was wrong from the start: it is the account that fails most there. Both get
a higher threshold, in a window in which a phone that tries again and again never reaches it, no other rule bans for
them, and the administrator is told. *Others* are everybody else. What they do over a connection counts as anywhere.
What only datagrams claim gets the higher threshold too, or who forges five packets would lock out an office."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace

from amiguard.jail import Jail
from amiguard.journal import Action
from amiguard.model import Address, Ban, Evidence, Failure, Reason, Target, Timestamp
from amiguard.policy import DAY, Policy
from amiguard.presence import Presence
from amiguard.rules.names import Names, name_of
from amiguard.rules.verdict import Alarm

CAPACITY = 10_000
"""Phones that fail at once; and so many addresses where others do."""

FINDTIME = 600_000
"""Milliseconds for which a phone's failure counts at most, however long `FINDTIME` is: phones try again every 20 to 60
seconds, so they fail 30 times in it."""

TOLD_AGAIN = DAY
"""Milliseconds after which the administrator is told again of a phone that still fails, and in which it must have
failed `MAXRETRY` times: there are phones that try again once an hour."""

MISTAKES = frozenset({Reason.WRONG_PASSWORD, Reason.UNKNOWN_ACCOUNT})
"""What a phone may do wrong: its password, or an account that was deleted."""

PHONES = frozenset({"PJSIP", "SIP"})
"""Asterisk's services that phones use."""


class Protected:
    """Counts what fails at the addresses of known phones, apart from everything else."""

    def __init__(self, policy: Policy, presence: Presence, names: Names) -> None:
        self._policy = policy
        self._presence = presence
        self._names = names
        self.phones = Jail(_of_phones(policy), CAPACITY)
        self.others = Jail(_lenient(policy), CAPACITY)
        """What others did by datagrams, by the address."""
        self._alerts = Jail(_of_alerts(policy), CAPACITY)
        self._told: OrderedDict[Address, Timestamp] = OrderedDict()

    def reconfigure(self, policy: Policy) -> None:
        """Go by other numbers from now on."""
        self._policy = policy
        self.phones.reconfigure(_of_phones(policy))
        self.others.reconfigure(_lenient(policy))
        self._alerts.reconfigure(_of_alerts(policy))

    def shelters(self, address: Address, now: Timestamp) -> bool:
        """Whether phones are known to be at this address."""
        return self._policy.protected_maxretry > 0 and self._presence.is_phone(address, now)

    def is_own(self, failure: Failure) -> bool:
        """Whether a known phone gave a wrong password for its own account. What else one may do wrong after its log-in,
        such as asking for another's registration, is no mistake of a phone."""
        wrong = failure.reason is Reason.WRONG_PASSWORD
        return wrong and self._presence.is_own(failure.address, failure.account, failure.at)

    def is_newcomer(self, failure: Failure) -> bool:
        """Whether a phone failed that was never known, where others are: its account fails more there than any other.

        Its failure is among the names that were tried by now. Over a connection, no few forged packets can outdo it."""
        if failure.reason not in MISTAKES or failure.service not in PHONES:
            return False
        few = self._policy.protected_maxretry if failure.evidence is Evidence.CONNECTED else 0
        mine, others = 0, 0
        for account, name in self._names.names(failure.address, failure.at):
            if account == name_of(failure):
                mine = name.failures
            elif name.connected or name.failures >= few:
                known = self._presence.is_own(failure.address, account, failure.at)
                others = max(others, 0 if known else name.failures)
        return mine > others

    def own_failed(self, failure: Failure) -> Ban | Alarm | None:
        """Count a known phone's failure; return what it leads to."""
        self._presence.prolong(failure.address, failure.account, failure.at)
        what = f"the phone {failure.account} at {failure.address} fails on its own account"
        return self._failed(
            failure, phone_key(failure.address, failure.account), f"{what}: a password that was changed?"
        )

    def newcomer_failed(self, failure: Failure) -> Ban | Alarm | None:
        """Count a newcomer's failure; return what it leads to."""
        what = f"{failure.account} fails at {failure.address}, where other phones are known"
        why = "a new phone with a wrong password, or an account that is gone?"
        return self._failed(failure, newcomer_key(failure.address), f"{what}: {why}")

    def failures(self, failure: Failure) -> int | None:
        """Return how many failures count beside this one; None where it counts as anywhere."""
        if self.is_own(failure):
            return self.phones.failures(phone_key(failure.address, failure.account))
        if self.is_newcomer(failure):
            return self.phones.failures(newcomer_key(failure.address))
        return self.others.failures(failure.address) if failure.evidence is Evidence.DATAGRAM else None

    def forget(self, address: Address) -> None:
        """Drop what was counted of the phones at an address, and of all others there."""
        self.others.forget(address)
        self.phones.forget(newcomer_key(address))
        for account in self._presence.accounts(address):
            self.phones.forget(phone_key(address, account))

    def memory(self) -> int:
        """Return about how many bytes the jails take."""
        return self.phones.memory() + self.others.memory() + self._alerts.memory()

    def _failed(self, failure: Failure, key: Address, text: str) -> Ban | Alarm | None:
        ban = self.phones.observe(failure._replace(address=key))
        if ban is not None:
            return ban._replace(target=failure.address)
        phone = phone_key(failure.address, failure.account)
        reached = self._alerts.observe(failure._replace(address=phone))
        if reached is None or failure.at - self._told.get(phone, -TOLD_AGAIN) < TOLD_AGAIN:
            return None
        self._told[phone] = failure.at
        self._told.move_to_end(phone)
        if len(self._told) > CAPACITY:
            self._told.popitem(last=False)
        return Alarm(
            Action.PHONE_FAILING, f"{text} It is not banned yet", {"failure": failure, "failures": reached.failures}
        )


def phone_key(address: Address, account: str) -> Address:
    """Return what a known phone is counted under; a jail asks nothing of an address but that it is the same."""
    return Address(Target(f"{address} {account}"))


def newcomer_key(address: Address) -> Address:
    """Return what the newcomer at an address is counted under, whichever account it is: no account has this name."""
    return phone_key(address, "")


def _lenient(policy: Policy) -> Policy:
    return replace(policy, maxretry=max(policy.maxretry, policy.protected_maxretry))


def _of_phones(policy: Policy) -> Policy:
    return replace(_lenient(policy), findtime=min(policy.findtime, FINDTIME))


def _of_alerts(policy: Policy) -> Policy:
    return replace(policy, findtime=TOLD_AGAIN)
