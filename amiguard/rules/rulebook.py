"""All rules together: who is asked about what, and in which order. The table in docs/configuration.md says the same."""

from __future__ import annotations

from itertools import islice

from amiguard.asterisk.schema import SecurityEvent
from amiguard.attempts import Key, key_of
from amiguard.chansip import Report
from amiguard.jail import Jail, ban_of
from amiguard.model import Address, Ban, Evidence, Failure, Reason, Target, Timestamp
from amiguard.policy import Policy
from amiguard.presence import Presence
from amiguard.rules.accounts import Accounts
from amiguard.rules.compromise import Background, authentic, suspicion
from amiguard.rules.logins import Logins
from amiguard.rules.names import UNKNOWN, Names, Tries, name_of
from amiguard.rules.networks import Networks
from amiguard.rules.protected import Protected
from amiguard.rules.scanners import Scanners
from amiguard.rules.slow import slow_jail
from amiguard.rules.verdict import NOTHING, Alarm, Verdicts

AT_ONCE = 100
"""Unanswered challenges that are held against somebody in one step of the loop, a millisecond or two: a flood leaves
20,000 that all become overdue in the same second."""

FULL = 2
"""The same with each challenge where no more may wait."""


class Rulebook:
    """The jail and the rules. A rule that is off costs nothing."""

    def __init__(self, policy: Policy, presence: Presence | None = None) -> None:
        self.presence = Presence() if presence is None else presence
        self.names = Names()
        self.protected = Protected(policy, self.presence, self.names)
        self.jail = Jail(policy)
        self.slow = slow_jail(policy)
        self.scanners = Scanners(policy) if policy.scan and policy.scan.challenges else None
        self.accounts = Accounts(policy.spread) if policy.spread else None
        self.networks = Networks(policy)
        self.logins = Logins()
        names_matter = policy.compromise or policy.protected_maxretry or (policy.scan and policy.scan.accounts)
        self._names_matter = bool(names_matter)

    @property
    def policy(self) -> Policy:
        """What they go by now."""
        return self.jail.policy

    def reconfigure(self, policy: Policy) -> None:
        """Go by other numbers from now on; what was counted stays counted, but for a rule that was off."""
        fresh = Rulebook(policy)
        self.protected.reconfigure(policy)
        self.jail.reconfigure(policy)
        self.networks.policy = policy
        self._names_matter = fresh._names_matter
        if self.slow is not None and fresh.slow is not None:
            self.slow.reconfigure(fresh.slow.policy)
        else:
            self.slow = fresh.slow
        if self.scanners is not None and fresh.scanners is not None:
            self.scanners.jail.reconfigure(fresh.scanners.jail.policy)
        else:
            self.scanners = fresh.scanners
        if self.accounts is not None and policy.spread is not None:
            self.accounts.spread = policy.spread
        else:
            self.accounts = fresh.accounts

    @property
    def waits(self) -> bool:
        """Whether a challenge waits for its answer."""
        return self.scanners is not None and len(self.scanners) > 0

    # --- what happens -------------------------------------------------------------------------------------------------

    def failed(self, failure: Failure) -> Verdicts:
        """Count one failure; return what it leads to."""
        sheltered = self.protected.shelters(failure.address, failure.at)
        if sheltered and self.protected.is_own(failure):
            verdict = self.protected.own_failed(failure)
            return NOTHING if verdict is None else (verdict,)
        tries = self.names.tried(failure) if self._names_matter else None
        if sheltered and self.protected.is_newcomer(failure):
            return self._newcomer_failed(failure)
        if sheltered and failure.evidence is Evidence.DATAGRAM:
            failure = failure._replace(weight=1)  # who is tampered with is banned at once, but not for what is forged
            ban = self.protected.others.observe(failure)
        else:
            limit = self.accounts.limit(failure.account, failure.at) if self.accounts is not None else None
            ban = self.jail.observe(failure, limit)
        if self.slow is not None and ban is None:
            ban = self.slow.observe(failure)
        ban = ban or self._scan(failure, tries)
        alarm = self.accounts.failed(failure) if self.accounts is not None else None
        network = self.networks.failed(failure, banned=ban is not None)
        return self._verdicts(ban, network, alarm)

    def failures(self, failure: Failure) -> int:
        """Return how many failures count beside this one, itself among them."""
        sheltered = self.protected.shelters(failure.address, failure.at)
        protected = self.protected.failures(failure) if sheltered else None
        return self.jail.failures(failure.address) if protected is None else protected

    def challenged(self, report: Report, now: Timestamp) -> Verdicts:
        """Asterisk sent a challenge. One for an account that it does not have follows a probe, which was counted."""
        scanners = self.scanners
        if scanners is None or report.event.account in UNKNOWN or self._is_phone(report.event, now):
            return NOTHING
        scanners.challenged(attempt_of(report.event), report, now)
        return self.tick(now, FULL) if scanners.full else NOTHING

    def answered(self, event: SecurityEvent) -> None:
        """Whoever was challenged answered, rightly or wrongly."""
        if self.scanners is not None:
            self.scanners.answered(attempt_of(event))

    def logged_in(self, event: SecurityEvent, at: Timestamp) -> Verdicts:
        """Somebody logged in, or so an event says."""
        self.answered(event)
        if not authentic(event):
            return NOTHING
        alarm = None
        if self.policy.compromise and not self._is_at_home(event.account, event.address, at):
            alarm = suspicion(event, self._background(event, at), self.policy.compromise)
        self.logins.add(event.account, event.address, at)
        if self.policy.protected_maxretry:
            self.presence.logged_in(event, at)
        return NOTHING if alarm is None else (alarm,)

    def overdue(self, now: Timestamp) -> bool:
        """Whether `tick` has something to look at."""
        return self.scanners is not None and self.scanners.overdue(now)

    def tick(self, now: Timestamp, most: int = AT_ONCE) -> Verdicts:
        """Look at some of what only time brings about: challenges that nobody answered."""
        if self.scanners is None:
            return NOTHING
        verdicts: list[Ban | Alarm] = []
        for failure in islice(self.scanners.unanswered(now), most):
            if not self._lives(failure.address, now):
                ban = self.scanners.jail.observe(failure)
                ban = self._scan(failure, self.names.tried(failure)) or ban
                verdicts += self._verdicts(ban, None, None)
        return verdicts

    def prove(self, address: Address) -> None:
        """A second witness told of a counted failure over a connection: the address is proven."""
        self.jail.prove(address)
        if self.slow is not None:
            self.slow.prove(address)

    def forget(self, target: Target) -> None:
        """Drop what is known of this address: it was banned, unbanned or allowed."""
        address = Address(target)
        self.protected.forget(address)
        self.jail.forget(address)
        self.names.forget(address)
        if self.slow is not None:
            self.slow.forget(address)
        if self.scanners is not None:
            self.scanners.jail.forget(address)

    def memory(self) -> dict[str, int]:
        """Return about how many bytes each rule takes that counts offenders in a jail."""
        slow, scanners = self.slow, self.scanners
        return {
            "jail": self.jail.memory(),
            "protected": self.protected.memory(),
            "slow": 0 if slow is None else slow.memory(),
            "scanners": 0 if scanners is None else scanners.jail.memory(),
        }

    # ------------------------------------------------------------------------------------------------------------------

    def _verdicts(self, ban: Ban | None, network: Ban | None, alarm: Alarm | None) -> Verdicts:
        if ban is None and network is None and alarm is None:
            return NOTHING
        if ban is not None:
            self.forget(ban.target)
        return [verdict for verdict in (ban, network, alarm) if verdict is not None]

    def _newcomer_failed(self, failure: Failure) -> Verdicts:
        verdict = self.protected.newcomer_failed(failure)
        alarm = self.accounts.failed(failure) if self.accounts is not None else None
        if isinstance(verdict, Ban):
            return self._verdicts(verdict, None, alarm)
        return [one for one in (verdict, alarm) if one is not None]

    def _scan(self, failure: Failure, tries: Tries | None) -> Ban | None:
        """Return the ban of whoever tried too many names."""
        scan = self.policy.scan
        if tries is None or scan is None or not scan.accounts or len(tries.names) < scan.accounts:
            return None
        return ban_of(
            failure,
            self.policy,
            connected=tries.connected,
            failures=len(tries.names),
            accounts=tries.names,
            reason=Reason.SCAN,
        )

    def _is_phone(self, event: SecurityEvent, now: Timestamp) -> bool:
        """Whether somebody logged in from this address, or might have before we listened."""
        return self._learning(now) or self._lives(event.address, now)

    def _lives(self, address: Address, now: Timestamp) -> bool:
        return self.logins.lives(address, now) or self.presence.is_phone(address, now)

    def _is_at_home(self, account: str, address: Address, at: Timestamp) -> bool:
        """Whether this account was seen to log in from there before, or is remembered to be there over a restart."""
        return self.logins.knows(account, address, at) or self.presence.is_own(address, account, at)

    def _learning(self, now: Timestamp) -> bool:
        if self.logins.since is None:
            self.logins.since = now
        scan = self.policy.scan
        return scan is not None and now - self.logins.since < scan.learning

    def _background(self, event: SecurityEvent, at: Timestamp) -> Background:
        tried = {account: name.failures for account, name in self.names.names(event.address, at)}
        attackers: list[Address] = []
        if self.accounts is not None and self.accounts.under_attack(event.account, at):
            attackers = self.accounts.addresses(event.account)
        return Background(
            failures=tried.get(name_of(event), 0),
            names=[name for name, failures in tried.items() if failures],
            attackers=attackers,
            homes=self.logins.homes(event.account, at),
            settled=not self._learning(at),
        )


def attempt_of(event: SecurityEvent) -> Key:
    """Return what ties an event to the others of its attempt."""
    return key_of(event.service, event.address, event.port, event.session)
