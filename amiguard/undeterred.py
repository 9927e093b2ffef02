"""Who goes on failing although he is banned, and what to do about it. Pure.

A failure that comes later than a ban bites got past the kernel. Either somebody emptied our sets: then the ban is put
in once more. Or the ban spares answers to this server, and the failure came as one: in a conversation that the banned
one had the server begin (so they are ended again), or in a true one, whose packets can be forged like any others of
UDP. So datagrams alone lead to an absolute ban only after the conversations were ended `REPEATS` times and it still
goes on, while a proven connection does so at once. What that means for a trunk: docs/security.md."""

from __future__ import annotations

from collections import OrderedDict
from typing import NamedTuple

from amiguard.model import Ban, Evidence, Target, Timestamp

BITES_AFTER = 2_000
"""Milliseconds after a ban in which events of before it still arrive. One that comes later got past the kernel."""

REPEATS = 3
"""How often a ban is put in once more, and conversations are ended, before datagrams make it absolute."""

FORGIVEN_AFTER = 600_000
"""Milliseconds without such a failure after which they are counted anew."""

CAPACITY = 50_000
"""Targets known at once; beyond, the one that failed longest ago is forgotten."""


class _Again(NamedTuple):
    since: Timestamp
    last: Timestamp
    repeated: int


class Undeterred:
    """Those who went on failing, and when their bans were put in once more."""

    def __init__(self) -> None:
        self._known: OrderedDict[Target, _Again] = OrderedDict()

    def failed(self, ban: Ban, at: Timestamp, evidence: Evidence) -> Ban | None:
        """Return what the kernel must take, now that the target of this ban failed at `at`: the same ban once more, or
        an absolute one; None: nothing yet, for what was done last has not had its effect."""
        if evidence is Evidence.CONNECTED and not ban.absolute:
            self._known.pop(ban.target, None)
            return ban._replace(absolute=True, evidence=evidence)
        known = self._known.pop(ban.target, None)
        if known is None or known.since != ban.since:
            known = _Again(ban.since, ban.since, 0)
        if at - known.last <= BITES_AFTER:
            if known.repeated:
                self._known[ban.target] = known
            return None
        repeated = known.repeated if at - known.last <= FORGIVEN_AFTER else 0
        if len(self._known) >= CAPACITY:
            self._known.popitem(last=False)
        self._known[ban.target] = _Again(ban.since, at, repeated + 1)
        return ban if ban.absolute or repeated < REPEATS else ban._replace(absolute=True)
