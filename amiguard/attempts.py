"""Counts one attempt once, however many events tell of it, and however many sources.

One login attempt makes Asterisk write one to four events, and a guesser may try a hundred passwords under one Call-ID,
so neither events nor Call-IDs can be counted. What can, for each source by itself:

- a *guess* (a judged password) is written once an attempt;
- a *probe* (refused before its password was looked at) is written for each request. An attempt of one request makes
  one; an attempt that answers a challenge makes two, the second followed by its guess and not by another challenge.

So per key each guess is an attempt, and each probe that no guess belongs to. The first probe counts at once, one beyond
it waits for what follows it: a challenge or the next probe makes it an attempt, a guess swallows it. And the guess that
follows a counted probe is that probe's, so it is counted already.

Several sources tell of the same attempts, so over sources the larger number counts, never the sum: an attempt is
counted when the first source tells of it, and the others may be late by `LIFETIME`, or never come.

A key that was silent for `LIFETIME` begins anew."""

from __future__ import annotations

from collections import OrderedDict

from amiguard.model import Address, Failure, Timestamp

Key = tuple[Address, int, str]

LIFETIME = 64_000
"""Milliseconds: twice as long as a SIP client repeats a request (RFC 3261, 64*T1)."""

CAPACITY = 40_000
"""Keys remembered. Forgetting one early only counts its next event as a new attempt, never fewer. A dict whose keys
come and go grows to what holds three times as many: with more than 43,690 it would take twice the memory."""

BY_ADDRESS = frozenset({"AMI", "IAX2"})
"""Services whose log lines name neither a port nor a session: their attempts are told apart by address alone."""

BY_PORT = frozenset({"RequestNotSupported"})
"""Events whose log lines name a port but no session."""


def key_of(service: str, address: Address, port: int, session: str) -> Key:
    """Return what ties the events of one attempt together: for SIP its address, port and Call-ID."""
    return (address, 0, service) if service in BY_ADDRESS else (address, port, session)


class _Witness:
    """What one source tells of an attempt."""

    __slots__ = ("next", "open", "source", "total", "waiting")

    def __init__(self, source: str) -> None:
        self.source = source
        self.total = 0
        self.open = False
        """Whether the last attempt is a probe whose guess may still come."""
        self.waiting: Failure | None = None
        self.next: _Witness | None = None
        """The witness that came after this one; there are few, two for each log file and one for AMI."""


class _Attempt(_Witness):
    """What its first witness tells, and what all of them add up to."""

    __slots__ = ("at", "counted")

    def __init__(self, source: str, at: Timestamp) -> None:
        super().__init__(source)
        self.at = at
        self.counted = 0


class Attempts:
    """Decides for each event whether it tells of an attempt that was not counted yet. Bounded by `capacity`."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._open: OrderedDict[Key, _Attempt] = OrderedDict()

    def __len__(self) -> int:
        return len(self._open)

    def guess(self, failure: Failure) -> Failure | None:
        """Take a judged attempt; return it if it counts, None if it was counted already."""
        attempt, witness = self._get(failure)
        witness.waiting = None
        if witness.open:
            witness.open = False
            return None
        witness.total += 1
        return _count(attempt, witness, failure)

    def probe(self, failure: Failure) -> Failure | None:
        """Take a refused request; return the failure that is certain to count now: this one, or one that waited."""
        attempt, witness = self._get(failure)
        if witness.total == 0:
            return _confirm(attempt, witness, failure)
        waited, witness.waiting = witness.waiting, failure
        return _confirm(attempt, witness, waited)

    def challenged(self, key: Key, source: str) -> Failure | None:
        """Asterisk sent a challenge: the probe that waits under this key, if any, was an attempt of its own."""
        attempt = self._open.get(key)
        if attempt is None:
            return None
        witness = _witness(attempt, source)
        waited, witness.waiting = witness.waiting, None
        return _confirm(attempt, witness, waited)

    def _get(self, failure: Failure) -> tuple[_Attempt, _Witness]:
        session = "" if failure.code in BY_PORT else failure.session
        key = key_of(failure.service, failure.address, failure.port, session)
        attempt = self._open.get(key)
        if attempt is None:
            attempt = self._open[key] = _Attempt(failure.source, failure.at)
            if len(self._open) > self._capacity:
                self._open.popitem(last=False)
            return attempt, attempt
        self._open.move_to_end(key)
        if failure.at - attempt.at > LIFETIME:
            attempt = self._open[key] = _Attempt(failure.source, failure.at)
            return attempt, attempt
        attempt.at = max(attempt.at, failure.at)
        return attempt, _witness(attempt, failure.source)


def _witness(attempt: _Attempt, source: str) -> _Witness:
    """Return what this source tells of the attempt; nothing yet, if it is new."""
    witness: _Witness = attempt
    while witness.source != source:
        if witness.next is None:
            witness.next = _Witness(source)
        witness = witness.next
    return witness


def _confirm(attempt: _Attempt, witness: _Witness, waited: Failure | None) -> Failure | None:
    if waited is None:
        return None
    witness.total += 1
    witness.open = True
    return _count(attempt, witness, waited)


def _count(attempt: _Attempt, witness: _Witness, failure: Failure) -> Failure | None:
    if witness.total <= attempt.counted:
        return None
    attempt.counted += 1
    return failure
