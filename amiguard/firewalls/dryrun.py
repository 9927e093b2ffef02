"""A firewall that drops nothing: to see who would be banned before trusting amiguard with the kernel."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from amiguard.journal import Action, Journal
from amiguard.model import Ban, Target, Timestamp


class DryRun:
    """A `ports.Firewall` that says of each ban that it was not carried out. Never fails, touches no kernel."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    async def start(self, allow: Iterable[Target], bans: Sequence[Ban], now: Timestamp) -> None:
        """Say once that nothing will be dropped."""
        running = sum(ban.remaining(now) != 0 for ban in bans)
        message = f"dry run: nothing is ever dropped; {running} bans are not restored, nobody needs the allowlist"
        self._journal.write(Action.BAN_SKIPPED, message, allow=len(list(allow)))

    async def ban(self, bans: Sequence[Ban], now: Timestamp) -> None:
        """Write one line a ban, beside the line that the caller writes for every ban."""
        for ban in bans:
            if ban.remaining(now) != 0:
                self._journal.write(Action.BAN_SKIPPED, f"dry run: {ban.target} is not dropped", ban=ban)

    async def unban(self, targets: Sequence[Target]) -> None:
        """Do nothing: nobody is dropped."""

    async def close(self) -> None:
        """Do nothing: nothing is open."""
