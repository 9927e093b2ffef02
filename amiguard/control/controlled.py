"""What the control interface asks of the daemon."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from amiguard.model import Ban, Target


class Controlled(Protocol):
    """What the control interface controls: `administration.Administration`."""

    @property
    def default_bantime(self) -> int | None:
        """How long a ban lasts when nobody says, in milliseconds; None = permanent."""

    def status(self) -> dict[str, object]:
        """Return how it goes, JSON-able; `ready` is a bool."""

    def bans(self) -> Sequence[Ban]:
        """Return the running bans."""

    def find(self, target: Target) -> Ban | None:
        """Return the running ban of this very target."""

    async def ban(self, target: Target, bantime: int | None, comment: str) -> Ban:
        """Ban for `bantime` milliseconds (None = permanent); return after the kernel's acknowledgement.

        Raises:
            BanRefused: the target is in the allowlist.
            FirewallError: the kernel refused.
        """

    async def unban(self, target: Target) -> Ban | None:
        """Let a target through again; None = it was not banned. Raises FirewallError."""

    async def unban_all(self) -> int:
        """Let everybody through again; return how many bans that were. Raises FirewallError."""
