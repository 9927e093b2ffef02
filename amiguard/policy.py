"""What the operator decided about who is banned and for how long: the numbers that the jail and the rules go by."""

from __future__ import annotations

from dataclasses import dataclass, field

DAY = 24 * 3600 * 1000
WEEK = 7 * DAY


@dataclass(frozen=True, slots=True)
class Slow:
    """Who guesses slowly (`rules/slow.py`)."""

    maxretry: int
    findtime: int


@dataclass(frozen=True, slots=True)
class Scan:
    """Who asks without answering, or tries many names (`rules/scanners.py`, `rules/names.py`); 0 = off."""

    challenges: int
    accounts: int
    learning: int
    """For how long after the start nobody is blamed for unanswered challenges: phones show who they are."""


@dataclass(frozen=True, slots=True)
class Spread:
    """Which account is attacked from everywhere (`rules/accounts.py`)."""

    addresses: int
    findtime: int
    maxretry: int
    """What then takes the place of `maxretry` for failures on it; 0 = nothing."""


@dataclass(frozen=True, slots=True)
class NetworkBans:
    """Whose neighbours attack too (`rules/networks.py`); 0 offenders = off."""

    offenders4: int = 0
    offenders6: int = 0
    prefix4: int = 24
    prefix6: int = 64
    findtime: int = DAY


@dataclass(frozen=True, slots=True)
class Repeat:
    """What becomes of who was banned before (`rules/sentence.py`)."""

    increment: bool = False
    factor: float = 2.0
    maxtime: int | None = 5 * WEEK
    recidive: int = 0
    """The ban that is the n-th within `RECIDIVE_FINDTIME` lasts `maxtime`; 0 = off."""
    jitter: int = 0


RECIDIVE_FINDTIME = WEEK


@dataclass(frozen=True, slots=True)
class Policy:
    """When and for how long to ban. Times in milliseconds; a bantime of None is permanent; a rule of None is off.

    `unproven_bantime` holds for offenders whose address only datagrams claim."""

    maxretry: int
    findtime: int
    bantime: int | None
    unproven_bantime: int | None
    slow: Slow | None = None
    scan: Scan | None = None
    spread: Spread | None = None
    networks: NetworkBans = field(default_factory=NetworkBans)
    compromise: int = 0
    """How many failures before a login make it suspicious (`rules/compromise.py`); 0 = off."""
    protected_maxretry: int = 0
    """What takes the place of `maxretry` for a known phone on its own account (`rules/protected.py`); 0 = nothing."""
    repeat: Repeat = field(default_factory=Repeat)

    @property
    def longest_findtime(self) -> int:
        """For how long any failure counts for anything."""
        return max(self.findtime, self.slow.findtime if self.slow else 0)
