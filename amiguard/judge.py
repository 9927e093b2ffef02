"""From an event to a decision, in one step of the loop: weighs, counts, and hands bans to enforcement."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from amiguard.allowlist import Allowlist
from amiguard.asterisk.schema import SecurityEvent
from amiguard.asterisk.weights import Signal, evidence_of, failure_of, row_of
from amiguard.attempts import Attempts, key_of
from amiguard.chansip import ChanSip, Told
from amiguard.journal import Action, Journal
from amiguard.model import Ban, Evidence, Failure, Reason, Target, Timestamp
from amiguard.policy import Policy
from amiguard.ports import Alert, Clock
from amiguard.rules.rulebook import Rulebook
from amiguard.rules.verdict import Alarm
from amiguard.undeterred import Undeterred


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


class Bans(Protocol):
    """The bans as the judge sees them: whoever carries its decisions out."""

    @property
    def active(self) -> Mapping[Target, Ban]:
        """Those that are in force."""

    @property
    def history(self) -> Mapping[Target, int]:
        """How often each target was banned in all."""

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
        log_followed: bool,
    ) -> None:
        self.counters = Counters()
        self.rules = Rulebook(policy)
        """What counts, and decides who is banned for it."""
        self._allowlist = allowlist
        self._enforcement = enforcement
        self._journal = journal
        self._clock = clock
        self._alert = alert
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
            for told in self._chan_sip.admit(Told(event, source, at), now):
                self._weigh(*told)
        else:
            self._weigh(event, source, at)

    def reconfigure(self, policy: Policy, *, log_followed: bool) -> None:
        """Judge by other numbers from now on; what was counted stays counted, and running bans end when they would."""
        self.rules.reconfigure(policy)
        self._chan_sip.log_followed = log_followed

    def release(self) -> None:
        """Judge what has waited for a better witness in vain; to be called every second or so."""
        for told in self._chan_sip.release(self._clock()):
            self._weigh(*told)

    def _weigh(self, event: SecurityEvent, source: str, at: Timestamp) -> None:
        row = row_of(event)
        signal = row.signal
        if signal is Signal.NOTHING:
            return
        if self._enforcement.holds(event.address):
            if signal is not Signal.CHALLENGE:
                self._failed_while_banned(event.address, at, evidence_of(event))
            return
        if signal is Signal.CHALLENGE:
            failure = self._attempts.challenged(key_of(event.service, event.address, event.port, event.session), source)
        elif event.tampered:
            failure = failure_of(event, row, at, source)  # worse than the attempt that the log may have told of before
        elif signal is Signal.GUESS:
            failure = self._attempts.guess(failure_of(event, row, at, source))
        else:
            failure = self._attempts.probe(failure_of(event, row, at, source))
        if failure is not None:
            self._count(failure)
        elif signal is not Signal.CHALLENGE and evidence_of(event) is Evidence.CONNECTED:
            self.rules.prove(event.address)  # the log told of it first, and knows no transport

    def _count(self, failure: Failure) -> None:
        self.counters.failures += 1
        verdicts = self.rules.failed(failure)
        own = verdicts[0] if verdicts else None
        count = own.failures if isinstance(own, Ban) else self.rules.jail.failures(failure.address)
        if failure.reason is Reason.INJECTION:
            self.counters.injections += 1
            message = "header lines were smuggled into an event"
            self._journal.write(Action.INJECTION, message, failure=failure, failures=count)
        else:
            self._journal.write(Action.FAILURE, failure=failure, failures=count)
        for verdict in verdicts:
            self._carry_out(verdict)

    def _carry_out(self, verdict: Ban | Alarm) -> None:
        if isinstance(verdict, Alarm):
            self._alert(verdict.action, verdict.text, **verdict.fields)
            return
        if self._allowlist.covers(verdict.target):
            self.counters.skipped += 1
            self._journal.write(Action.BAN_SKIPPED, f"{verdict.target} is in the allowlist", ban=verdict)
            return
        self.counters.bans += 1
        self._enforcement.submit(verdict._replace(earlier=self._enforcement.history.get(verdict.target, 0)))

    def _failed_while_banned(self, target: Target, at: Timestamp, evidence: Evidence) -> None:
        self.counters.after_ban += 1
        ban = self._enforcement.active.get(target)
        if ban is None or target in self._enforcement.waiting or self._allowlist.covers(target):
            return
        wanted = self._undeterred.failed(ban, at, evidence)
        if wanted is not None:
            self._enforcement.submit(wanted)
