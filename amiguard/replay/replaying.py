"""Judges what the files tell, with the daemon's own judge, and a clock that is the lines' time."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from amiguard.allowlist import Allowlist
from amiguard.asterisk.schema import SecurityEvent
from amiguard.asterisk.weights import evidence_of
from amiguard.chansip import PATIENCE, Report
from amiguard.jail import MAX_ACCOUNTS
from amiguard.journal import Action
from amiguard.judge import Counters, Judge
from amiguard.model import Address, Ban, Evidence, Failure, Target, Timestamp
from amiguard.policy import Policy
from amiguard.replay.bans import Bans
from amiguard.rules import scanners

MAX_ADDRESSES = 100_000
"""Addresses with logins, and offenders, that are remembered; with more, the totals say "at least"."""

SUCCESS = "SuccessfulAuth"


@dataclass(slots=True)
class Logins:
    """The logins with a password from one address."""

    first: Timestamp
    last: Timestamp
    accounts: tuple[str, ...] = ()
    """The first ten."""
    count: int = 0
    while_banned: int = 0
    """Those that the ban would have prevented."""
    evidence: Evidence = Evidence.DATAGRAM


class FalseBan(NamedTuple):
    """An address that would have been banned and that accounts logged in from: a customer, or a guessed password."""

    address: Address
    bans: int
    logins: Logins


class _Offenders:
    """A journal that only remembers who failed; the judge writes each counted failure."""

    def __init__(self) -> None:
        self.addresses: set[Address] = set()

    def write(self, _action: Action, _message: str = "", /, **fields: object) -> None:
        failure = fields.get("failure")
        if isinstance(failure, Failure) and len(self.addresses) < MAX_ADDRESSES:
            self.addresses.add(failure.address)


class Replay:
    """Takes what is reported, in the order of its times as far as that is known. `banned` is told of each ban."""

    def __init__(
        self, policy: Policy, allow: tuple[Target, ...], banned: Callable[[Ban], object], *, log_followed: bool
    ) -> None:
        self._now: Timestamp = 0
        self._latest: Timestamp = 0
        self._bans = Bans(self._clock, banned)
        self._offenders = _Offenders()
        self._judge = Judge(
            policy,
            Allowlist(allow),
            self._bans,
            journal=self._offenders,
            clock=self._clock,
            alert=self._alert,
            chance=lambda _: 0,
            log_followed=log_followed,
        )
        self._logins: OrderedDict[Address, Logins] = OrderedDict()
        self.alerts: Counter[str] = Counter()
        """How often the administrator would have been alerted, by action."""

    def take(self, report: Report) -> None:
        """Judge one event at its own time. Time may go back: whoever wrote a wrong one must not silence the rest."""
        event, source, at = report
        self._now = at
        self._latest = max(self._latest, at)
        self._release()
        if event.name == SUCCESS and event.using_password and not event.tampered:
            self._log_in(event, at)
        self._judge.observe(event, source, at)

    def finish(self) -> None:
        """Judge what still waits for a better witness, or for an answer: nothing more will come."""
        self._now = self._latest + max(PATIENCE, scanners.PATIENCE) + 1
        self._release()

    @property
    def counters(self) -> Counters:
        """What was counted."""
        return self._judge.counters

    @property
    def offenders(self) -> int:
        """How many addresses failed; not more than `MAX_ADDRESSES` are told apart."""
        return len(self._offenders.addresses)

    @property
    def forgotten(self) -> int:
        """How many banned addresses were forgotten for want of room: a ban of theirs may be listed twice."""
        return self._bans.history.forgotten

    def false_bans(self) -> Iterator[FalseBan]:
        """Yield every address with bans and with logins."""
        for address, logins in self._logins.items():
            bans = self._bans.history.earlier(address)
            if bans:
                yield FalseBan(address, bans, logins)

    def _release(self) -> None:
        while self._judge.release():
            pass

    def _alert(self, action: Action, _text: str, /, **_fields: object) -> None:
        self.alerts[action.value] += 1

    def _clock(self) -> Timestamp:
        return self._now

    def _log_in(self, event: SecurityEvent, at: Timestamp) -> None:
        logins = self._logins.get(event.address)
        if logins is None:
            if len(self._logins) >= MAX_ADDRESSES:
                self._logins.popitem(last=False)
            logins = self._logins[event.address] = Logins(at, at)
        logins.first, logins.last = min(logins.first, at), max(logins.last, at)
        logins.count += 1
        logins.while_banned += self._bans.holds(event.address)
        if event.account not in logins.accounts and len(logins.accounts) < MAX_ACCOUNTS:
            logins.accounts += (event.account,)
        if evidence_of(event) is Evidence.CONNECTED:
            logins.evidence = Evidence.CONNECTED
