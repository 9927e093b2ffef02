"""What beyond `maxretry` failures within `findtime` leads to a ban or an alert."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from amiguard.settings.durations import UNITS
from amiguard.settings.kinds import Duration, Threshold


def _four_times_maxretry(earlier: dict[str, Any]) -> int:
    return 4 * int(earlier.get("maxretry", 0))


class RulesGroup(BaseModel):
    """What beyond `maxretry` failures within `findtime` leads to a ban or an alert."""

    slow_maxretry: Threshold = Field(
        default_factory=_four_times_maxretry,
        description="failures within `SLOW_FINDTIME` that lead to a ban, however slowly they come; "
        "empty = four times `MAXRETRY`",
    )
    slow_findtime: Duration = Field(UNITS["w"], description="for how long a failure counts for `SLOW_MAXRETRY`")
