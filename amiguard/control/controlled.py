"""What the control interface asks of the daemon."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol

from amiguard.model import Address, Allowed, Ban, Drops, Target
from amiguard.timeline import Timeline

Reload = Callable[[], Awaitable[Sequence[str]]]
"""Takes over changed settings, and returns which. Raises SettingsError: one is wrong, and all the old ones stay."""

Metrics = Callable[[], Awaitable[tuple[bytes, str]]]
"""Returns what Prometheus scrapes: the body and its content type."""


class Controlled(Protocol):
    """What the control interface controls: `administration.Administration`."""

    @property
    def default_bantime(self) -> int | None:
        """How long a ban lasts when nobody says, in milliseconds; None = permanent."""

    @property
    def timeline(self) -> Timeline:
        """What happened over the last day."""

    def status(self) -> dict[str, object]:
        """Return how it goes, JSON-able; `ready` is a bool."""

    def bans(self) -> Sequence[Ban]:
        """Return the running bans."""

    def find(self, target: Target) -> Ban | None:
        """Return the running ban of this very target."""

    async def drops(self, targets: Sequence[Target]) -> Mapping[Target, Drops]:
        """Return what was dropped of these; of nobody where the kernel does not count for each. Never raises."""

    async def countries(self, targets: Sequence[Target]) -> Mapping[Target, str]:
        """Return the codes of the countries of those of these of which it is known. Never raises."""

    async def ban(self, target: Target, bantime: int | None, comment: str, *, force: bool = False) -> Ban:
        """Ban for `bantime` milliseconds (None = permanent); return after the kernel's acknowledgement.

        `force` takes back what `allow` allowed, and bans a network of which some is allowed.

        Raises:
            BanRefused: the target is allowed.
            FirewallError: the kernel refused.
        """

    async def unban(self, target: Target) -> Ban | None:
        """Let a target through again; None = it was not banned. Raises FirewallError."""

    async def unban_all(self) -> int:
        """Let everybody through again; return how many bans that were. Raises FirewallError."""

    async def allow(self, target: Target, comment: str) -> Sequence[Ban]:
        """Never ban a target, over restarts too; return the bans that this lifted. Raises FirewallError."""

    async def disallow(self, target: Target) -> bool:
        """Take back what `allow` did; False = it was not among what `allow` allowed. Raises FirewallError."""

    def allowed(self) -> Sequence[Allowed]:
        """Return who is never banned."""

    async def offender(self, address: Address) -> Mapping[str, object]:
        """Return everything that is known of an address, JSON-able."""
