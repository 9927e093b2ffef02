"""For how long: longer each time, for good who comes back all week, and not all until the same moment. Pure.

Who forges a victim's address decides how often the victim is banned. So where the operator set a time of its own for
unproven offenders, their bans keep it and grow with nothing but the jitter."""

from __future__ import annotations

from collections.abc import Callable

from amiguard.model import Ban, Evidence
from amiguard.policy import DAY, Policy

Chance = Callable[[int], int]
"""Draws a whole number from 0 up to, not including, its argument: `random.randrange`, or what a test wants."""

LONGEST = 100
"""Steps of the increment that are taken at most."""

CENTURY = 100 * 365 * DAY
"""Where `maxtime` is permanent, a ban that grew as long as this is."""


def sentence(ban: Ban, policy: Policy, *, earlier: int, recent: int, chance: Chance) -> Ban:
    """Return `ban` with the end it deserves: `earlier` bans came before it in all, `recent` of them within a week.

    The end is never earlier than that of the ban as it came in, which is `bantime` after its beginning."""
    ban = ban._replace(earlier=earlier)
    if ban.until is None:
        return ban
    repeat = policy.repeat
    bantime = ban.until - ban.since
    deserved: int | None = bantime
    if ban.evidence is Evidence.CONNECTED or policy.unproven_bantime == policy.bantime:
        if repeat.recidive and recent + 1 >= repeat.recidive:
            deserved = repeat.maxtime
        elif repeat.increment:
            deserved = grown(bantime, repeat.factor, earlier, repeat.maxtime)
    if deserved is None:
        return ban._replace(until=None)
    jitter = chance(repeat.jitter + 1) if repeat.jitter else 0
    return ban._replace(until=ban.since + max(bantime, deserved) + jitter)


def grown(bantime: int, factor: float, earlier: int, maxtime: int | None) -> int | None:
    """Return `bantime` times `factor` for each earlier ban, at most `maxtime`; None = for ever."""
    longest = CENTURY if maxtime is None else maxtime
    time = float(bantime)
    for _ in range(min(earlier, LONGEST)):
        time *= factor
        if time >= longest:
            return maxtime
    return int(time)
