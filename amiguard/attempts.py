"""Counts one attempt once, however many events tell of it.

One login attempt makes Asterisk write one to four events, and a guesser may try a hundred passwords under one Call-ID,
so neither events nor Call-IDs can be counted. What can:

- a *guess* (a judged password) is written once an attempt;
- a *probe* (refused before its password was looked at) is written for each request. An attempt of one request makes
  one; an attempt that answers a challenge makes two, the second followed by its guess and not by another challenge.

So per key (address, port, Call-ID) the number of attempts is the larger of guesses and probes, where a probe right
before a guess is that guess. A probe beyond the first waits for what follows it: a challenge or the next probe makes it
an attempt, a guess swallows it. A key that was silent for `LIFETIME` begins anew."""

from __future__ import annotations

from collections import OrderedDict

from amiguard.model import Address, Failure, Timestamp

Key = tuple[Address, int, str]
LIFETIME = 64_000
"""Milliseconds: twice as long as a SIP client repeats a request (RFC 3261, 64*T1)."""

CAPACITY = 50_000
"""Keys remembered. Forgetting one early only counts its next event as a new attempt, never fewer."""


def key_of(failure: Failure) -> Key:
    """Return what ties the events of one attempt together."""
    return (failure.address, failure.port, failure.session)


class _Attempt:
    __slots__ = ("at", "guesses", "probes", "waiting")

    def __init__(self, at: Timestamp) -> None:
        self.at = at
        self.guesses = 0
        self.probes = 0
        self.waiting: Failure | None = None


class Attempts:
    """Decides for each event whether it tells of an attempt that was not counted yet. Bounded by `capacity`."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._open: OrderedDict[Key, _Attempt] = OrderedDict()

    def __len__(self) -> int:
        return len(self._open)

    def guess(self, failure: Failure) -> Failure | None:
        """Take a judged attempt; return it if it counts, None if a probe has already counted it."""
        attempt = self._get(failure)
        attempt.waiting = None
        attempt.guesses += 1
        return failure if attempt.guesses > attempt.probes else None

    def probe(self, failure: Failure) -> Failure | None:
        """Take a refused request; return the failure that is certain to count now: this one, or one that waited."""
        attempt = self._get(failure)
        if attempt.probes == attempt.guesses == 0:
            attempt.probes = 1
            return failure
        waited, attempt.waiting = attempt.waiting, failure
        return _confirm(attempt, waited)

    def challenged(self, key: Key) -> Failure | None:
        """Asterisk sent a challenge: the probe that waits under this key, if any, was an attempt of its own."""
        attempt = self._open.get(key)
        if attempt is None or attempt.waiting is None:
            return None
        waited, attempt.waiting = attempt.waiting, None
        return _confirm(attempt, waited)

    def _get(self, failure: Failure) -> _Attempt:
        key = key_of(failure)
        attempt = self._open.get(key)
        if attempt is None or failure.at - attempt.at > LIFETIME:
            attempt = self._open[key] = _Attempt(failure.at)
            if len(self._open) > self._capacity:
                self._open.popitem(last=False)
        attempt.at = failure.at
        self._open.move_to_end(key)
        return attempt


def _confirm(attempt: _Attempt, waited: Failure | None) -> Failure | None:
    if waited is None:
        return None
    attempt.probes += 1
    return waited if attempt.probes > attempt.guesses else None
