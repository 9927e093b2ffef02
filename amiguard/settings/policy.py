"""What of the settings decides who is banned for how long, as the core knows it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from amiguard.policy import NetworkBans, Policy, Repeat, Scan, Slow, Spread

if TYPE_CHECKING:
    from amiguard.settings import Settings


def policy_of(settings: Settings) -> Policy:
    """Return when and for how long to ban."""
    spread = Spread(settings.account_addresses, settings.account_findtime, settings.account_maxretry)
    return Policy(
        maxretry=settings.maxretry,
        findtime=settings.findtime,
        bantime=settings.bantime,
        unproven_bantime=settings.unproven_bantime,
        slow=Slow(settings.slow_maxretry, settings.slow_findtime) if settings.slow_maxretry else None,
        scan=Scan(settings.scan_challenges, settings.scan_accounts, settings.learning_time),
        spread=spread if spread.addresses else None,
        networks=NetworkBans(
            settings.network4_offenders,
            settings.network6_offenders,
            settings.network4_prefix,
            settings.network6_prefix,
            settings.network_findtime,
        ),
        protected_maxretry=settings.protected_maxretry if settings.protect_registered else 0,
        compromise=settings.compromise_failures,
        repeat=Repeat(
            increment=settings.bantime_increment,
            factor=settings.bantime_factor,
            maxtime=settings.bantime_maxtime,
            recidive=settings.recidive,
            jitter=settings.bantime_jitter or 0,
        ),
    )
