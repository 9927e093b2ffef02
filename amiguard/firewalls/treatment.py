"""What becomes of packets whose source is banned, in whichever firewall."""

from __future__ import annotations

from typing import Literal, NamedTuple

from amiguard.model import PortRange

NO_REJECT = "banned ones are not told, their packets are dropped (no reject before routing, Linux 5.9, or no xt REJECT)"
NO_ANSWERS = "a ban that only datagrams led to ends this server's own conversations too (no nft_ct or xt_conntrack)"


class Treatment(NamedTuple):
    """What is done with packets of banned sources, and to which ports; none named: to all, and all protocols."""

    verdict: Literal["drop", "reject"] = "drop"
    ports: tuple[PortRange, ...] = ()
    answers_pass: bool = True
    """Whether bans that are not absolute spare answers to this server."""

    def weaker(self) -> list[tuple[Treatment, str]]:
        """Return what asks less of a kernel, and in words what is missing then."""
        less: list[tuple[Treatment, str]] = []
        if self.verdict == "reject":
            less.append((self._replace(verdict="drop"), NO_REJECT))
        if self.answers_pass:
            less.append((self._replace(answers_pass=False), NO_ANSWERS))
        return less


DROP_ALL = Treatment()
