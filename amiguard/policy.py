"""What the operator decided about who is banned and for how long: the numbers that the jail and the rules go by."""

from __future__ import annotations

from dataclasses import dataclass

WEEK = 7 * 24 * 3600 * 1000


@dataclass(frozen=True, slots=True)
class Slow:
    """Who guesses slowly (`rules/slow.py`)."""

    maxretry: int
    findtime: int


@dataclass(frozen=True, slots=True)
class Policy:
    """When and for how long to ban. Times in milliseconds; a bantime of None is permanent; a rule of None is off.

    `unproven_bantime` holds for offenders whose address only datagrams claim."""

    maxretry: int
    findtime: int
    bantime: int | None
    unproven_bantime: int | None
    slow: Slow | None = None

    @property
    def longest_findtime(self) -> int:
        """For how long any failure counts for anything."""
        return max(self.findtime, self.slow.findtime if self.slow else 0)
