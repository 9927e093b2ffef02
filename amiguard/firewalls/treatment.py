"""What becomes of packets whose source is banned, in whichever firewall."""

from __future__ import annotations

from typing import Literal, NamedTuple

from amiguard.model import PortRange


class Treatment(NamedTuple):
    """What is done with packets of banned sources, and to which ports; none named: to all, and all protocols."""

    verdict: Literal["drop", "reject"] = "drop"
    ports: tuple[PortRange, ...] = ()


DROP_ALL = Treatment()
