"""From an event to a decision, in one step of the loop: weighs, counts, and hands bans to enforcement."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from amiguard.allowlist import Allowlist
from amiguard.asterisk.schema import SecurityEvent
from amiguard.asterisk.weights import Signal, evidence_of, failure_of, row_of
from amiguard.attempts import Attempts, key_of
from amiguard.chansip import ChanSip, Report
from amiguard.history import History
from amiguard.jail import ban_of
from amiguard.journal import Action, Journal
from amiguard.model import Ban, Evidence, Failure, Reason, Target, Timestamp
from amiguard.policy import Policy
from amiguard.ports import Alert, Clock
from amiguard.presence import Presence
from amiguard.rules.networks import without
from amiguard.rules.rulebook import Rulebook
from amiguard.rules.sentence import Chance, sentence
from amiguard.rules.verdict import Alarm, Verdicts
from amiguard.undeterred import Undeterred

HARMLESS = frozenset({Signal.CHALLENGE, Signal.SUCCESS})
"""What tells of no failure."""


@dataclass(slots=True)
class Counters:
    """Totals since the start."""

    events: int = 0
    failures: int = 0
    injections: int = 0
    bans: int = 0
    skipped: int = 0
    """Bans that the allowlist prevented."""
    after_ban: int = 0
    """Failures of targets that were banned already."""
    reasons: dict[Reason, int] = field(default_factory=lambda: dict.fromkeys(Reason, 0))
    """Failures by reason."""


class Bans(Protocol):
    """The bans as the judge sees them: whoever carries its decisions out."""

    @property
    def active(self) -> Mapping[Target, Ban]:
        """Those that are in force."""

    @property
    def history(self) -> History:
        """Who was banned before."""

    @property
    def waiting(self) -> Mapping[Target, Ban]:
        """Those that the kernel is yet to take."""

    def holds(self, target: Target) -> bool:
        """Whether this very target is banned, or about to be."""

    def submit(self, ban: Ban) -> None:
        """Take a decided ban, or one that is in force and does not bite."""


class Judge:
    """Decides who is banned."""

    def __init__(
        self,
        policy: Policy,
        allowlist: Allowlist,
        enforcement: Bans,
        *,
        journal: Journal,
        clock: Clock,
        alert: Alert,
        chance: Chance,
        log_followed: bool,
        presence: Presence | None = None,
    ) -> None:
        self.counters = Counters()
        self.rules = Rulebook(policy, presence)
        """What counts, and decides who is banned for it."""
        self._allowlist = allowlist
        self._enforcement = enforcement
        self._journal = journal
        self._clock = clock
        self._alert = alert
        self._chance = chance
        self.share: Callable[[Failure], None] = lambda _: None
        """Is told of each failure of whoever was not banned before it."""
        self._attempts = Attempts()
        self._chan_sip = ChanSip(log_followed=log_followed)
        self._undeterred = Undeterred()

    def observe(self, event: SecurityEvent, source: str, at: Timestamp | None = None) -> None:
        """Judge one security event that happened at `at` (None = now).

        `source` is the witness: `ami`, `log` (NOTICE lines) or `security-log` (SECURITY lines); of a second log file,
        `log-2` or `security-log-2`."""
        self.counters.events += 1
        now = self._clock()
        if at is None:
            at = now
        elif now - at > self.rules.policy.longest_findtime:
            return
        if event.service == "SIP":
            for report in self._chan_sip.admit(Report(event, source, at), now):
                self._weigh(report, now)
        else:
            self._weigh(Report(event, source, at), now)

    def reconfigure(self, policy: Policy, *, log_followed: bool) -> None:
        """Judge by other numbers from now on; what was counted stays counted, and running bans end when they would."""
        self.rules.reconfigure(policy)
        self._chan_sip.log_followed = log_followed

    @property
    def waits(self) -> bool:
        """Whether anything is there that `release` may have to judge."""
        return self._chan_sip.waits or self.rules.waits

    def release(self) -> bool:
        """Judge some of what has waited for a better witness, or for an answer, in vain; tell whether there is more. To
        be called every second or so."""
        now = self._clock()
        for report in self._chan_sip.release(now):
            self._weigh(report, now)
        self._carry_out(self.rules.tick(now))
        return self.rules.overdue(now)

    def convict(self, failure: Failure, failures: int) -> None:
        """Decide the ban for a failure that was one too many, counted together with those on other servers."""
        known = self.rules.jail.find(failure.address)
        connected = failure.evidence is Evidence.CONNECTED or (known is not None and known.connected)
        accounts = (failure.account,) if known is None else known.accounts
        ban = ban_of(failure, self.rules.policy, connected=connected, failures=failures, accounts=accounts)
        self.rules.forget(failure.address)
        self._carry_out([ban])

    def convict_network(self, failure: Failure, offenders: int, *, proven: bool) -> None:
        """Decide the ban of a failure's network, whose offenders were counted together with those on other servers."""
        network = self.rules.networks.network(failure.address)
        policy = self.rules.policy
        ban = ban_of(failure, policy, target=network, connected=proven, failures=offenders, reason=Reason.NETWORK)
        self._carry_out([ban])

    def account_attacked(self, failure: Failure, attackers: Sequence[str]) -> None:
        """Hear that the account of a failure is under attack; `attackers` are named where that begins."""
        alarm = self.rules.accounts.told(failure, attackers) if self.rules.accounts is not None else None
        if alarm is not None:
            self._carry_out([alarm])

    def _weigh(self, report: Report, now: Timestamp) -> None:
        event, source, at = report
        row = row_of(event)
        signal = row.signal
        if signal is Signal.NOTHING:
            return
        if self._enforcement.holds(event.address):
            if signal not in HARMLESS:
                self._failed_while_banned(event.address, at, evidence_of(event))
            return
        if signal is Signal.CHALLENGE:
            failure = self._attempts.challenged(key_of(event.service, event.address, event.port, event.session), source)
            self._carry_out(self.rules.challenged(report, now))
        elif signal is Signal.SUCCESS:
            failure = None
            self._carry_out(self.rules.logged_in(event, at))
        elif event.tampered:
            failure = failure_of(event, row, at, source)  # worse than the attempt that the log may have told of before
        else:
            self.rules.answered(event)
            found = failure_of(event, row, at, source)
            failure = self._attempts.guess(found) if signal is Signal.GUESS else self._attempts.probe(found)
        if failure is not None:
            self._count(failure)
        elif signal not in HARMLESS and evidence_of(event) is Evidence.CONNECTED:
            self.rules.prove(event.address)  # the log told of it first, and knows no transport

    def _count(self, failure: Failure) -> None:
        self.counters.failures += 1
        self.counters.reasons[failure.reason] += 1
        verdicts = self.rules.failed(failure)
        own = verdicts[0] if verdicts else None
        count = own.failures if isinstance(own, Ban) and own.target == failure.address else self.rules.failures(failure)
        if failure.reason is Reason.INJECTION:
            self.counters.injections += 1
            message = "header lines were smuggled into an event"
            self._journal.write(Action.INJECTION, message, failure=failure, failures=count)
        else:
            self._journal.write(Action.FAILURE, failure=failure, failures=count)
        self._carry_out(verdicts)
        self.share(failure)

    def _carry_out(self, verdicts: Verdicts) -> None:
        for verdict in verdicts:
            self._conclude(verdict)

    def _conclude(self, verdict: Ban | Alarm) -> None:
        if isinstance(verdict, Alarm):
            self._alert(verdict.action, verdict.text, **verdict.fields)
        elif verdict.reason is Reason.NETWORK:
            for piece in self._spare(verdict):
                self._ban(piece)
        elif self._allowlist.covers(verdict.target):
            self._skip(verdict, f"{verdict.target} is in the allowlist")
        elif verdict.evidence is Evidence.DATAGRAM and self.rules.presence.is_trunk(verdict.target):
            self._skip(verdict, f"{verdict.target} is a trunk of this server, and only datagrams claim it")
        else:
            self._ban(verdict)

    def _ban(self, ban: Ban) -> None:
        bans, policy = self._enforcement, self.rules.policy
        if bans.holds(ban.target):  # no failure may bring the end of a ban forward
            return
        self.counters.bans += 1
        earlier, recent = bans.history.earlier(ban.target), bans.history.recent(ban.target, ban.since)
        bans.submit(sentence(ban, policy, earlier=earlier, recent=recent, chance=self._chance))

    def _spare(self, ban: Ban) -> list[Ban]:
        """Return the ban of a network, in pieces that leave out who is allowed and where somebody logged in."""
        network, allowed = ban.target, self._allowlist
        spared = [entry.target for entry in allowed.inside(network)] + self.rules.logins.within(network, self._clock())
        spared += self.rules.presence.within(network, self._clock())
        pieces = None if allowed.holds(network) else without(network, spared)
        if not pieces:
            self._skip(ban, f"{network} is in the allowlist, or too many of its addresses are, or are phones")
        return [ban._replace(target=piece) for piece in pieces or ()]

    def _skip(self, ban: Ban, why: str) -> None:
        self.counters.skipped += 1
        self._journal.write(Action.BAN_SKIPPED, why, ban=ban)

    def _failed_while_banned(self, target: Target, at: Timestamp, evidence: Evidence) -> None:
        self.counters.after_ban += 1
        ban = self._enforcement.active.get(target)
        if ban is None or target in self._enforcement.waiting or self._allowlist.covers(target):
            return
        wanted = self._undeterred.failed(ban, at, evidence)
        if wanted is not None:
            self._enforcement.submit(wanted)
