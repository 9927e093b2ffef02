"""Counts failures per offender and decides who is banned. Pure: time comes in with each failure.

fail2ban's meaning: an offender is banned when `maxretry` failures lie within `findtime`. The window slides exactly."""

from __future__ import annotations

from bisect import insort
from collections import OrderedDict
from dataclasses import dataclass

from amiguard.model import Address, Ban, Evidence, Failure, Timestamp

CAPACITY = 50_000
"""Offenders tracked at once; about 25 MB when full."""

MAX_ACCOUNTS = 10
"""Account names kept an offender, for the administrator's eyes."""

LEVELS = 16
"""Failures up to which offenders are ranked one by one when the jail is full."""

EXPIRED_PER_FAILURE = 2
"""Quiet offenders forgotten with each failure, so that forgetting never takes long at once."""


@dataclass(frozen=True, slots=True)
class Policy:
    """When and for how long to ban. Times in milliseconds; a bantime of None is permanent.

    `unproven_bantime` holds for offenders whose address only datagrams claim."""

    maxretry: int
    findtime: int
    bantime: int | None
    unproven_bantime: int | None


class _Offender:
    __slots__ = ("accounts", "connected", "level", "times")

    def __init__(self) -> None:
        self.times: list[Timestamp] = []
        self.accounts: list[str] = []
        self.connected = False
        self.level = 0


class Jail:
    """The offenders of the last `findtime`.

    Memory: at most `capacity` offenders with `maxretry` times each. When it is full, one makes room who stands lowest:
    an offender whose address is unproven before one who is proven, then he with fewer failures, then he who was quiet
    for longest. So a flood of forged sources can't push out a proven attacker, and an unproven one with n failures
    leaves only when all places are taken by offenders with n failures or more and newer ones."""

    def __init__(self, policy: Policy, capacity: int = CAPACITY) -> None:
        self.policy = policy
        self.evicted = 0
        """Offenders forgotten for want of room."""
        self._capacity = capacity
        self._offenders: dict[Address, _Offender] = {}
        self._levels: list[OrderedDict[Address, _Offender]] = [OrderedDict() for _ in range(2 * LEVELS)]

    def __len__(self) -> int:
        return len(self._offenders)

    def observe(self, failure: Failure) -> Ban | None:
        """Count one failure; return the ban that it completes. The offender starts anew after it.

        Failures may come out of order; those older than `findtime` before the newest do not count."""
        policy = self.policy
        offender = self._offenders.get(failure.address)
        if offender is None:
            offender = self._admit(failure)
        else:
            del self._levels[offender.level][failure.address]
        self._record(offender, failure)
        times = offender.times
        if len(times) >= policy.maxretry:
            del self._offenders[failure.address]
            return self._ban(offender, failure)
        self._rank(failure.address, offender)
        return None

    def prove(self, address: Address) -> None:
        """A second witness told of a counted failure over a connection: the offender's address is proven."""
        offender = self._offenders.get(address)
        if offender is not None and not offender.connected:
            del self._levels[offender.level][address]
            offender.connected = True
            self._rank(address, offender)

    def failures(self, address: Address) -> int:
        """Return how many failures of this address count at its last one."""
        offender = self._offenders.get(address)
        return len(offender.times) if offender is not None else 0

    def forget(self, address: Address) -> None:
        """Drop what is known of this address: it was unbanned or allowed."""
        offender = self._offenders.pop(address, None)
        if offender is not None:
            del self._levels[offender.level][address]

    def _rank(self, address: Address, offender: _Offender) -> None:
        offender.level = min(len(offender.times), LEVELS) - 1 + (LEVELS if offender.connected else 0)
        self._levels[offender.level][address] = offender

    def _record(self, offender: _Offender, failure: Failure) -> None:
        maxretry, times = self.policy.maxretry, offender.times
        for _ in range(min(failure.weight, maxretry)):
            if times and failure.at < times[-1]:
                insort(times, failure.at)
            else:
                times.append(failure.at)
        horizon = times[-1] - self.policy.findtime
        stale = 0
        while times[stale] < horizon:
            stale += 1
        del times[: max(stale, len(times) - maxretry)]
        if failure.evidence is Evidence.CONNECTED:
            offender.connected = True
        if failure.account and len(offender.accounts) < MAX_ACCOUNTS and failure.account not in offender.accounts:
            offender.accounts.append(failure.account)

    def _ban(self, offender: _Offender, failure: Failure) -> Ban:
        connected = offender.connected
        bantime = self.policy.bantime if connected else self.policy.unproven_bantime
        return Ban(
            target=failure.address,
            since=failure.at,
            until=None if bantime is None else failure.at + bantime,
            reason=failure.reason,
            evidence=Evidence.CONNECTED if connected else Evidence.DATAGRAM,
            failures=len(offender.times),
            accounts=tuple(offender.accounts),
            service=failure.service,
            transport=failure.transport,
            source=failure.source,
            absolute=connected,
        )

    def _admit(self, failure: Failure) -> _Offender:
        self._forget_quiet(failure.at - self.policy.findtime)
        if len(self._offenders) >= self._capacity:
            for level in self._levels:
                if level:
                    address, _ = level.popitem(last=False)
                    del self._offenders[address]
                    self.evicted += 1
                    break
        offender = self._offenders[failure.address] = _Offender()
        return offender

    def _forget_quiet(self, horizon: Timestamp) -> None:
        """Forget a few whose last failure is before `horizon`: the quietest of a level stands first."""
        left = EXPIRED_PER_FAILURE
        for level in self._levels:
            while level and left:
                address = next(iter(level))
                if level[address].times[-1] >= horizon:
                    break
                del level[address], self._offenders[address]
                left -= 1
