"""A firewall that drops nothing: to see who would be banned before trusting amiguard with the kernel."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from amiguard.errors import FirewallError
from amiguard.listed import Listed
from amiguard.lists import Delta
from amiguard.model import Ban, Drops, Target, Timestamp
from amiguard.ports import Interference


class NoLists:
    """A `lists.Lists` that drops nobody."""

    async def replace(self, name: str, listed: Listed, now: Timestamp) -> None:
        """Do nothing: nobody is dropped."""

    async def change(self, name: str, delta: Delta, now: Timestamp) -> None:
        """Do nothing: nobody is dropped."""

    async def dropped(self) -> Mapping[str, Drops]:
        """Tell of nothing: nobody is dropped."""
        return {}


class DryRun:
    """A `ports.Firewall` that takes every ban and carries none out. Never fails, touches no kernel."""

    enforces = False
    place = "nowhere"

    def __init__(self) -> None:
        self.lists = NoLists()
        self._closed = asyncio.Event()

    async def start(self, allow: Iterable[Target], bans: Sequence[Ban], now: Timestamp) -> None:
        """Do nothing: nobody will be dropped."""

    async def allow(self, targets: Iterable[Target]) -> None:
        """Do nothing: nobody is dropped."""

    async def ban(self, bans: Sequence[Ban], now: Timestamp) -> None:
        """Do nothing: the caller's log line says that this is a dry run."""

    def ban_at_once(self, ban: Ban, now: Timestamp) -> bool:  # noqa: ARG002 -- nothing is put anywhere
        """Do nothing, as `ban`."""
        return True

    async def unban(self, targets: Sequence[Target]) -> None:
        """Do nothing: nobody is dropped."""

    async def interrupt(self, targets: Collection[Target]) -> None:
        """Do nothing: nobody is dropped."""

    async def drops(self, targets: Sequence[Target]) -> Mapping[Target, Drops]:
        """Tell of nothing: nobody is dropped."""
        return dict.fromkeys(targets, Drops(0, 0))

    async def recall(self, take: Callable[[Target, int | None, bool], None]) -> None:
        """Tell of nothing: no kernel is asked."""

    async def total_drops(self) -> Drops:
        """Tell of nothing: nobody is dropped."""
        return Drops(0, 0)

    async def watch(self) -> Interference:
        """Wait for `close`: there is nothing that anybody could change."""
        await self._closed.wait()
        raise FirewallError("closed")

    def lacks(self) -> Sequence[str]:
        """Tell of nothing: no kernel is asked."""
        return ()

    async def close(self) -> None:
        """End `watch`; nothing is open."""
        self._closed.set()

    async def withdraw(self) -> None:
        """Do nothing: everybody is let through."""
