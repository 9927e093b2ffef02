"""Bans that nobody enforces: they begin and end by the time of the lines."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping

from amiguard.history import History
from amiguard.model import Ban, Target
from amiguard.ports import Clock

MAX_BANS = 100_000
"""Bans, and offenders that were banned before, that are remembered; beyond it the oldest are forgotten."""


class Bans:
    """What `enforcement.Enforcement` is to the daemon. `banned` is told of each new ban."""

    def __init__(self, clock: Clock, banned: Callable[[Ban], object]) -> None:
        self.active: OrderedDict[Target, Ban] = OrderedDict()
        self.history = History(MAX_BANS)
        self.waiting: Mapping[Target, Ban] = {}
        """None: each is in force at once."""
        self._clock = clock
        self._banned = banned

    def holds(self, target: Target) -> bool:
        """Whether this very target is banned. A ban that is over is noticed when somebody asks for its target."""
        ban = self.active.get(target)
        if ban is None:
            return False
        if ban.until is not None and ban.until <= self._clock():
            del self.active[target]
            return False
        return True

    def submit(self, ban: Ban) -> None:
        """Take a decided ban; one that holds already was only to be put in once more, or to become absolute."""
        known = self.active.get(ban.target)
        if known is not None and known.since == ban.since:
            return
        self.active[ban.target] = ban
        self.history.add(ban)
        if len(self.active) > MAX_BANS:
            self.active.popitem(last=False)
        self._banned(ban)
