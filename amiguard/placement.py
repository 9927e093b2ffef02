"""Where the bans are put: a firewall, what it never drops, and how it is laid out anew."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from amiguard.errors import FirewallError
from amiguard.journal import Action, Journal
from amiguard.model import Ban, Target
from amiguard.ports import Clock, Firewall, Interference


class Placement:
    """One firewall at a time. What is asked of it must not overlap: the caller holds a lock."""

    def __init__(self, firewall: Firewall, journal: Journal, clock: Clock) -> None:
        self.firewall = firewall
        self.allowed: Sequence[Target] = ()
        """What is never dropped, also when everything is laid out anew."""
        self.failing = ""
        """Why the kernel refuses bans now; empty while all is well."""
        self.laid_out: Callable[[], None] = lambda: None
        """Is told each time that everything was laid out: what lists name may be missing then."""
        self._journal = journal
        self._clock = clock

    async def lay_out(self, bans: Sequence[Ban]) -> None:
        """Put everything that there is into the kernel.

        Raises:
            FirewallError: the kernel refused.
        """
        await self.firewall.start(self.allowed, bans, self._clock())
        self.laid_out()

    async def repair(self, bans: Sequence[Ban], seen: Interference | None = None) -> bool:
        """Lay everything out anew, for somebody may have flushed it; tell whether the kernel took it."""
        try:
            await self.lay_out(bans)
        except FirewallError as error:
            self.failing = str(error)
            return False
        self.failing = ""
        self._healed("the firewall was laid out anew, with every ban", len(bans), seen)
        return True

    async def repair_some(self, hurt: Sequence[Ban], seen: Interference) -> bool:
        """Put single bans back; tell whether the kernel took them."""
        try:
            await self.firewall.ban(hurt, self._clock())
        except FirewallError:
            return False
        self._healed("the bans that were hurt are in force again", len(hurt), seen)
        return True

    async def insist(self, change: Callable[[], Awaitable[None]], bans: Callable[[], Sequence[Ban]]) -> None:
        """Have the kernel do what an administrator asks for; if it refuses, lay everything out anew and ask again.

        Raises:
            FirewallError: the kernel refused.
        """
        try:
            await change()
        except FirewallError:
            if not await self.repair(bans()):
                raise
            await change()

    async def relocate(self, firewall: Firewall, bans: Sequence[Ban]) -> None:
        """Put everything into `firewall` from now on. What both drop stays dropped throughout.

        Raises:
            FirewallError: the kernel refused; all stays as it was.
        """
        old = self.firewall
        await old.close()  # for no two may have the same place
        try:
            await firewall.start(self.allowed, bans, self._clock())
        except FirewallError:
            await firewall.close()
            await self.lay_out(bans)
            raise
        self.firewall = firewall
        self.laid_out()
        if old.place != firewall.place:
            await self._withdraw(old)

    async def _withdraw(self, old: Firewall) -> None:
        """Remove what was moved away from; all is in force elsewhere by now, so a refusal undoes nothing."""
        try:
            await old.withdraw()
        except FirewallError as error:
            left = f"{old.place} can't be removed: what it drops or allows stays so until its bans end"
            self._journal.write(Action.FIREWALL_FAILED, left, error=error)

    def _healed(self, done: str, bans: int, seen: Interference | None) -> None:
        who: dict[str, object] = {}
        if seen is not None:
            done = f"{seen.what}; {done}"
            who = {"process": seen.process, "pid": seen.pid} if seen.pid else {}
        self._journal.write(Action.FIREWALL_HEALED, done, bans=bans, **who)
