"""What runs beside the guard: sources, notifiers, and what watches the surroundings, each in a task of its own, so that
one can be replaced while the others go on. What breaks in one of them ends the daemon."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from amiguard.guard import Guard
from amiguard.journal import Journal
from amiguard.nodes import Fleet
from amiguard.notifying import hand_on_letters, hand_on_messages, notifiers_of
from amiguard.ports import Clock, Country, Notifier, Position
from amiguard.subscriptions import feeds_for
from amiguard.watching import Trunks, Watching
from amiguard.wiring import ami_source, fleet_of, handover_of, log_intake, log_source

if TYPE_CHECKING:
    from amiguard.settings import Settings
    from amiguard.sources.ami import AmiSource

HANDED_ON = 0.0
"""Seconds that a replaced notifier gets to deliver: its successor delivers what it leaves in the spool."""


class Part(Protocol):
    """A source, a notifier, a list, or what watches the surroundings."""

    async def run(self) -> None:
        """Work until cancelled."""


class Parts:
    """The sources, notifiers and lists of one daemon. `notifiers` are those that the guard posts to."""

    def __init__(
        self,
        settings: Settings,
        guard: Guard,
        notifiers: list[Notifier],
        *,
        positions: Sequence[Position],
        journal: Journal,
        clock: Clock,
    ) -> None:
        self.notifiers = notifiers
        self._guard = guard
        self._journal = journal
        self._clock = clock
        self._trunks = Trunks(guard.presence.tell_trunk, journal)
        self._ami = ami_source(settings, guard, self._trunks.follow, journal, clock)
        self._intake = log_intake(settings, guard, journal, clock)
        self._log = None if self._intake is None else log_source(settings, self._intake, positions, journal, clock)
        self._watching = Watching(settings, guard.exemptions.set, journal, lambda: guard.exemptions.names)
        guard.restored = self._watching.look_again
        self._feeds = guard.administration.feeds
        self._feeds[:] = feeds_for(settings, guard.listing, journal, clock)
        self._group: asyncio.TaskGroup
        self._tasks: dict[Part, asyncio.Task[None]] = {}
        self._tell_the_guard()

    @property
    def hears_ami(self) -> bool:
        """Whether events of Asterisk arrive over AMI now."""
        return self._ami is not None and self._ami.connected

    def start(self, group: asyncio.TaskGroup) -> None:
        """Let every part work, in tasks of `group`."""
        self._group = group
        for notifier in self.notifiers:
            self._run(notifier)
        for source in self._guard.sources:
            self._run(source)
        for feed in self._feeds:
            self._run(feed)
        self._run(self._watching)
        self._run(self._trunks)

    def rewatch(self, settings: Settings) -> None:
        """Let others never be banned, by other settings."""
        self._watching.reconfigure(settings)

    def fleet_of(self, settings: Settings) -> Fleet | None:
        """Return the other nodes that these settings name. Raises SettingsError: their library is missing."""
        return fleet_of(settings, self._journal, self._clock)

    async def replace_ami(self, settings: Settings) -> None:
        """Hear Asterisk by other settings: the new connection takes over from the old one, without a gap."""
        old, new = self._ami, self._new_ami(settings)
        self._ami = new
        self._tell_the_guard()
        if old is not None and old.connected and new is not None:
            handover = handover_of(old, new, self._clock)
            self._run(new)
            await handover.done()
        elif new is not None:
            self._run(new)
        if old is not None:
            await self._end(old)

    async def replace_log(self, settings: Settings, *, zone_changed: bool) -> None:
        """Follow other logs, or read their times otherwise; each file is read on from where it was read to."""
        positions: Sequence[Position] = ()
        if self._log is not None:
            await self._end(self._log)
            positions = self._log.positions()
        if zone_changed or self._intake is None or not settings.asterisk_log:
            self._intake = log_intake(settings, self._guard, self._journal, self._clock)
        self._log = None
        if self._intake is not None:
            self._log = log_source(settings, self._intake, positions, self._journal, self._clock)
            self._run(self._log)
        self._tell_the_guard()

    async def replace_feeds(self, settings: Settings) -> None:
        """Read other lists, or by other settings; who is named by a list that is read no more is let through."""
        old = list(self._feeds)
        self._feeds[:] = feeds_for(settings, self._guard.listing, self._journal, self._clock)
        for feed in old:
            await self._end(feed)
        kept = {feed.name for feed in self._feeds}
        for feed in old:
            if feed.name not in kept:
                self._guard.listing.drop(feed.name)
        for feed in self._feeds:
            self._run(feed)

    async def replace_notifiers(self, before: Settings, settings: Settings, country: Country | None) -> None:
        """Tell people by other settings. Notices go to the new ones at once; what waits in the spool is handed on."""
        old = list(self.notifiers)
        self.notifiers[:] = notifiers_of(settings, self._journal, self._clock, country)
        for notifier in old:
            await self._end(notifier)
        hand_on_messages(old, self.notifiers)
        for notifier in old:
            await notifier.drain(HANDED_ON)
        if before.mail_spool != settings.mail_spool:
            await hand_on_letters(before, settings, self._journal)
        for notifier in self.notifiers:
            self._run(notifier)

    # ----------------------------------------------------------------------------------------------------------------

    def _new_ami(self, settings: Settings) -> AmiSource | None:
        if not settings.protect_registered:
            self._trunks.follow(frozenset())
        return ami_source(settings, self._guard, self._trunks.follow, self._journal, self._clock)

    def _tell_the_guard(self) -> None:
        self._guard.sources[:] = [source for source in (self._ami, self._log) if source is not None]

    def _run(self, part: Part) -> None:
        self._tasks[part] = self._group.create_task(part.run())

    async def _end(self, part: Part) -> None:
        task = self._tasks.pop(part)
        task.cancel()
        await asyncio.wait({task})
