"""Who guesses so slowly that `maxretry` never lie within `findtime`: a second jail, with a window of days."""

from __future__ import annotations

from dataclasses import replace

from amiguard.jail import Jail
from amiguard.policy import Policy

CAPACITY = 20_000
"""Offenders tracked at once; about 10 MB when full."""


def slow_jail(policy: Policy) -> Jail | None:
    """Return the jail that keeps the long window; None if the rule is off."""
    counted = slow_policy(policy)
    return None if counted is None else Jail(counted, CAPACITY)


def slow_policy(policy: Policy) -> Policy | None:
    """Return the policy of the long window; None if the rule is off."""
    if policy.slow is None:
        return None
    return replace(policy, maxretry=policy.slow.maxretry, findtime=policy.slow.findtime)
