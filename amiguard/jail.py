"""Counts failures per offender and decides who is banned. Pure: time comes in with each failure.

fail2ban's meaning: an offender is banned when `maxretry` failures lie within `findtime`. The window slides exactly."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable
from itertools import islice
from sys import getsizeof

from amiguard.model import Address, Ban, Evidence, Failure, Reason, Target, Timestamp
from amiguard.policy import Policy
from amiguard.ranked import Entry, Ranked

CAPACITY = 50_000
"""Offenders tracked at once; about 25 MB when full."""

TIMES = 1_000_000
"""Times kept of all offenders together, 40 MB: with a `maxretry` above 20 fewer offenders are tracked."""

LEAST = 5_000
"""Offenders tracked with any `maxretry`; with one of 1000, 200 MB if each of them comes close to it."""

MAX_ACCOUNTS = 10
"""Account names kept an offender, for the administrator's eyes."""

LEVELS = 16
"""Failures up to which offenders are ranked one by one when the jail is full."""


class Offender(Entry):
    """Who failed lately, and how."""

    __slots__ = ("accounts", "connected", "times")

    def __init__(self) -> None:
        super().__init__()
        self.times: list[Timestamp] = []
        self.accounts: list[str] = []
        self.connected = False


class Jail:
    """The offenders of the last `findtime`.

    Memory: at most `capacity` offenders with `maxretry` times each, and `TIMES` in all or those of `LEAST`. When it is
    full, one makes room who stands lowest: an offender whose address is unproven before one who is proven, then he with
    fewer failures, then he who was quiet for longest. So a flood of forged sources can't push out a proven attacker,
    and an unproven one with n failures leaves only when all places are taken by offenders with n failures or more and
    newer ones."""

    def __init__(self, policy: Policy, capacity: int = CAPACITY) -> None:
        self.policy = policy
        self._most = capacity
        self._offenders: Ranked[Address, Offender] = Ranked(Offender, 2 * LEVELS, self._capacity())

    def __len__(self) -> int:
        return len(self._offenders)

    @property
    def capacity(self) -> int:
        """Offenders that can be tracked at once."""
        return self._offenders.capacity

    @property
    def evicted(self) -> int:
        """Offenders forgotten for want of room."""
        return self._offenders.evicted

    def reconfigure(self, policy: Policy) -> None:
        """Go by another policy from now on; what was counted stays counted."""
        self.policy = policy
        self._offenders.capacity = self._capacity()

    def observe(self, failure: Failure, limit: int | None = None) -> Ban | None:
        """Count one failure; return the ban that it completes. The offender starts anew after it.

        `limit` takes the place of `maxretry` for this failure, if it is lower. Failures may come out of order; those
        older than `findtime` before the newest do not count."""
        policy = self.policy
        offender = self._offenders.take(failure.address, failure.at - policy.findtime)
        self._record(offender, failure)
        if len(offender.times) >= (policy.maxretry if limit is None else min(limit, policy.maxretry)):
            self._offenders.drop(failure.address)
            return ban_of(
                failure,
                policy,
                connected=offender.connected,
                failures=len(offender.times),
                accounts=offender.accounts,
            )
        self._rank(failure.address, offender)
        return None

    def prove(self, address: Address) -> None:
        """A second witness told of a counted failure over a connection: the offender's address is proven."""
        offender = self._offenders.get(address)
        if offender is not None and not offender.connected:
            offender.connected = True
            self._rank(address, offender)

    def find(self, address: Address) -> Offender | None:
        """Return what is known of this address."""
        return self._offenders.get(address)

    def failures(self, address: Address) -> int:
        """Return how many failures of this address count at its last one."""
        offender = self._offenders.get(address)
        return len(offender.times) if offender is not None else 0

    def forget(self, address: Address) -> None:
        """Drop what is known of this address: it was unbanned or allowed."""
        self._offenders.drop(address)

    def memory(self) -> int:
        """Return about how many bytes all this takes: cheap, for only a few offenders are looked at."""
        return self._offenders.memory(_bytes_of)

    def _capacity(self) -> int:
        return min(self._most, max(LEAST, TIMES // self.policy.maxretry))

    def _rank(self, address: Address, offender: Offender) -> None:
        level = min(len(offender.times), LEVELS) - 1
        self._offenders.rank(address, offender, level + LEVELS if offender.connected else level)

    def _record(self, offender: Offender, failure: Failure) -> None:
        maxretry, times = self.policy.maxretry, offender.times
        for _ in range(min(failure.weight, maxretry)):
            if times and failure.at < times[-1]:
                insort(times, failure.at)
            else:
                times.append(failure.at)
        offender.last = times[-1]
        horizon = offender.last - self.policy.findtime
        if times[0] < horizon or len(times) > maxretry:
            del times[: max(bisect_left(times, horizon), len(times) - maxretry)]
        if failure.evidence is Evidence.CONNECTED:
            offender.connected = True
        if failure.account and len(offender.accounts) < MAX_ACCOUNTS and failure.account not in offender.accounts:
            offender.accounts.append(failure.account)


def _bytes_of(address: Address, offender: Offender) -> int:
    """Return how many bytes one offender takes, whatever else may hold the same texts."""
    parts = address, offender, offender.times, *offender.times, offender.accounts, *offender.accounts
    return sum(map(getsizeof, parts))


def ban_of(
    failure: Failure,
    policy: Policy,
    *,
    connected: bool,
    failures: int,
    target: Target | None = None,
    accounts: Iterable[str] = (),
    reason: Reason | None = None,
) -> Ban:
    """Return the ban that a failure completes: of its address and for its reason, if nothing else is said."""
    bantime = policy.bantime if connected else policy.unproven_bantime
    return Ban(
        target=failure.address if target is None else target,
        since=failure.at,
        until=None if bantime is None else failure.at + bantime,
        reason=failure.reason if reason is None else reason,
        evidence=Evidence.CONNECTED if connected else Evidence.DATAGRAM,
        failures=failures,
        accounts=tuple(islice(accounts, MAX_ACCOUNTS)),
        service=failure.service,
        transport=failure.transport,
        source=failure.source,
        absolute=connected,
    )
