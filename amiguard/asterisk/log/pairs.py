"""Lines of which Asterisk writes two for one attempt, told apart by the thread that wrote them.

- A manager login with an unknown name, or from a forbidden address: `… nonexistent user …` or `… to pass IP ACL …`,
  then `… failed to authenticate as …` (`main/manager.c:authenticate`). Over HTTP with digest only the first is written.
- The global ACL of PJSIP: `SIP ACL: Rejecting …`, then `Incoming SIP message … did not pass …`. The second alone may
  name the address in a Contact header, which is the attacker's text (`res/res_pjsip_acl.c:apply_contact_acl`).
- An IAX2 registration of an unknown peer: the same line before and after the challenge, by any thread.
- A line too long for the manager: one line for each kilobyte of it."""

from __future__ import annotations

from collections.abc import Hashable

from amiguard.asterisk.log.notices import Notice
from amiguard.model import Timestamp

REMEMBERED = 1024
"""Halves remembered. Asterisk writes the second right after the first."""

TOGETHER = 2_000
"""Milliseconds between two lines of one IAX2 registration: a round trip."""

ANNOUNCED = {
    "manager-wrong-password": frozenset({"manager-nonexistent-user", "manager-acl"}),
    "pjsip-global-acl": frozenset({"acl-rejecting"}),
}
FIRST = {first: second for second, firsts in ANNOUNCED.items() for first in firsts}
PAIRED = frozenset({*ANNOUNCED, *FIRST, "iax2-no-registration", "manager-line-too-long"})
"""The shapes of which not every line counts."""


class Pairs:
    """Says of each line whether it counts, given the lines before it."""

    def __init__(self) -> None:
        self._seen: dict[Hashable, tuple[Hashable, Timestamp]] = {}

    def counts(self, notice: Notice, thread: bytes, at: Timestamp) -> bool:
        """Whether this line tells of an attempt that no line before it told of."""
        shape, address, _ = notice
        if shape in ANNOUNCED:
            announced = self._take((thread, shape)) == _who(notice)
            return announced if shape == "pjsip-global-acl" else not announced
        if shape in FIRST:
            self._keep((thread, FIRST[shape]), _who(notice), at)
        elif shape == "iax2-no-registration":
            key: Hashable = (shape, _who(notice))
            seen = self._seen.pop(key, None)
            if seen is not None and abs(at - seen[1]) <= TOGETHER:
                return False
            self._keep(key, None, at)
        elif shape == "manager-line-too-long":
            key = (shape, thread, address)
            again = key in self._seen
            self._keep(key, None, at)
            return not again
        return True

    def _keep(self, key: Hashable, value: Hashable, at: Timestamp) -> None:
        self._seen.pop(key, None)
        if len(self._seen) >= REMEMBERED:
            del self._seen[next(iter(self._seen))]
        self._seen[key] = (value, at)

    def _take(self, key: Hashable) -> Hashable:
        value, _ = self._seen.pop(key, (None, 0))
        return value


def _who(notice: Notice) -> Hashable:
    _, address, event = notice
    return address, event.account if event is not None else ""
