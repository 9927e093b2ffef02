"""Who is banned, for how long, and who never."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from amiguard.model import Target
from amiguard.settings.durations import UNITS
from amiguard.settings.hosts import is_name
from amiguard.settings.kinds import (
    Bantime,
    Count,
    Duration,
    Factor,
    Ignored,
    OptionalDuration,
    Recidive,
    Switch,
)


def _same_as_bantime(earlier: dict[str, Any]) -> int | None:
    bantime: int | None = earlier.get("bantime")
    return bantime


class JailGroup(BaseModel):
    """Who is banned, for how long, and who never."""

    maxretry: Count = Field(5, description="failures within `FINDTIME` that lead to a ban")
    findtime: Duration = Field(10 * UNITS["m"], description="for how long a failure counts")
    bantime: Bantime = Field(5 * UNITS["d"], description="how long a ban lasts (5d = 432000)")
    unproven_bantime: Bantime = Field(
        default_factory=_same_as_bantime,
        description="how long where only UDP datagrams, which can be forged, claim the address; empty = as `BANTIME`",
    )
    bantime_increment: Switch = Field(False, description="ban longer each time: `BANTIME_FACTOR` times as long")
    bantime_factor: Factor = Field(2.0, description="how much longer each time")
    bantime_maxtime: Bantime = Field(5 * UNITS["w"], description="how long such a ban lasts at most")
    bantime_jitter: OptionalDuration = Field(
        None, description="up to so much is added to each ban, by chance, so that not all end at once; empty = nothing"
    )
    recidive: Recidive = Field(
        0, description="the ban that is so many within a week, and each further one, lasts `BANTIME_MAXTIME`"
    )
    ignoreip: Ignored = Field(
        ("127.0.0.0/8", "::1"), description="who is never banned; what a name stands for is looked up again and again"
    )
    ignoreself: Switch = Field(
        default=True,
        description="never ban what this host is or needs: its addresses, gateways, resolvers, the servers in use",
    )
    protect_registered: Switch = Field(
        default=True, description="spare phones that have logged in, and trunks, some bans: see below which"
    )
    protected_maxretry: Count = Field(
        50,
        description="failures of one phone, within `FINDTIME`, 10 minutes at most, that lead to a ban where phones are "
        "known; after `MAXRETRY` the administrator is told",
    )

    @property
    def ignored_targets(self) -> tuple[Target, ...]:
        """The addresses and networks of `ignoreip`."""
        return tuple(Target(word) for word in self.ignoreip if not is_name(word))

    @property
    def ignored_names(self) -> tuple[str, ...]:
        """The names of `ignoreip`."""
        return tuple(filter(is_name, self.ignoreip))
