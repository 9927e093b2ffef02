"""What beyond `maxretry` failures within `findtime` leads to a ban or an alert."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from amiguard.settings.durations import UNITS
from amiguard.settings.kinds import Duration, Few, Prefix4, Prefix6, Threshold


def _twice_maxretry(earlier: dict[str, Any]) -> int:
    return min(100, 2 * int(earlier.get("maxretry", 0)))


def _four_times_maxretry(earlier: dict[str, Any]) -> int:
    return min(1_000, 4 * int(earlier.get("maxretry", 0)))


class RulesGroup(BaseModel):
    """What beyond `maxretry` failures within `findtime` leads to a ban or an alert."""

    slow_maxretry: Threshold = Field(
        default_factory=_four_times_maxretry,
        description="failures within `SLOW_FINDTIME` that lead to a ban, however slowly they come; "
        "empty = four times `MAXRETRY`",
    )
    slow_findtime: Duration = Field(UNITS["w"], description="for how long a failure counts for `SLOW_MAXRETRY`")
    scan_accounts: Few = Field(
        default_factory=_twice_maxretry,
        description="different account names that an address may try within a day; empty = twice `MAXRETRY`",
    )
    scan_challenges: Threshold = Field(
        100, description="challenges left unanswered within `FINDTIME` that lead to a ban, where nobody logged in"
    )
    learning_time: Duration = Field(
        UNITS["h"], description="for how long after the start nobody is blamed for unanswered challenges"
    )
    account_addresses: Few = Field(
        10, description="addresses that fail on one account within `ACCOUNT_FINDTIME` and make it one under attack"
    )
    account_findtime: Duration = Field(UNITS["h"], description="for how long an address counts for its account")
    account_maxretry: Few = Field(0, description="what replaces a higher `MAXRETRY` for an account under attack")
    network4_offenders: Few = Field(
        0, description="banned or proven offenders of one IPv4 network within `NETWORK_FINDTIME` that get it banned"
    )
    network6_offenders: Few = Field(
        10, description="failing addresses of one IPv6 network within `NETWORK_FINDTIME` that get it banned"
    )
    network_findtime: Duration = Field(UNITS["d"], description="for how long an offender counts for its network")
    network4_prefix: Prefix4 = Field(24, description="how long the prefix of such an IPv4 network is")
    network6_prefix: Prefix6 = Field(64, description="how long the prefix of such an IPv6 network is")
    compromise_failures: Few = Field(
        3, description="failures, or failing accounts, before the first login from an address that make it suspicious"
    )
