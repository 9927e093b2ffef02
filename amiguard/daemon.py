"""The daemon's life: in which order its parts start, and how they end."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from amiguard import __version__
from amiguard.clock import steady_clock
from amiguard.collector import collect_rarely, collector_paused, keep
from amiguard.control.server import ControlServer
from amiguard.control.stream import Stream
from amiguard.errors import ControlError, FirewallError, SettingsError
from amiguard.eventloop import EventLoop
from amiguard.guard import Guard
from amiguard.journal import Action
from amiguard.logs import StructuredJournal, open_journal
from amiguard.notifying import country_of, notifiers_of
from amiguard.parts import Parts
from amiguard.ports import Clock, NoticeKind, Notifier, Position
from amiguard.reloading import Reloading
from amiguard.settings.policy import policy_of
from amiguard.systemd import feed_watchdog, notify, notify_reloading
from amiguard.wiring import control_settings, firewall_of, fleet_of, metrics_of, store_of

if TYPE_CHECKING:
    from amiguard.settings import Settings

NOTIFIER_GRACE = 5.0
"""Seconds that mails and webhooks get when the daemon stops; mails that are left wait in the spool."""

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class _Stop(Exception):
    """Ends the task group when the operator asks for it."""


def run(settings: Settings, env_file: Path | None = None) -> int:
    """Run the daemon until a signal stops it; return its exit code: 0 stopped as asked, 1 it could not go on.

    `env_file` is what `settings` were loaded from, for a reload."""
    clock = steady_clock()
    stream = Stream()
    journal = open_journal(settings.log_format, settings.log_level, clock=clock, tap=stream.publish)
    try:
        with asyncio.Runner(loop_factory=EventLoop) as runner:
            runner.run(_life(settings, env_file, journal, clock, stream))
    except SettingsError as error:
        journal.write(Action.INTERNAL_ERROR, str(error), error=error)
    except FirewallError as error:
        journal.write(Action.FIREWALL_FAILED, f"the firewall can't be laid out: {error}", error=error)
    except ControlError as error:
        journal.write(Action.INTERNAL_ERROR, f"commands can't be taken: {error}", error=error)
    except ExceptionGroup as group:
        for unexpected in _leaves(group):
            journal.write(Action.INTERNAL_ERROR, "amiguard can't go on", error=unexpected)
    else:
        return 0
    finally:
        journal.close()
    return 1


async def _life(
    settings: Settings, env_file: Path | None, journal: StructuredJournal, clock: Clock, stream: Stream
) -> None:
    """Make the daemon in its loop, which some of its parts ask for, and let it live."""
    await Daemon(settings, env_file, journal, clock, stream).live()


def _leaves(error: Exception) -> Iterator[Exception]:
    """Return what went wrong, out of however many groups it is wrapped in: a group's message says nothing."""
    if isinstance(error, ExceptionGroup):
        for part in error.exceptions:
            yield from _leaves(part)
    else:
        yield error


async def _raise_when(stopping: asyncio.Event) -> None:
    await stopping.wait()
    raise _Stop


class Daemon:
    """Everything that runs, from the settings. `stream` gets what the journal writes."""

    def __init__(
        self, settings: Settings, env_file: Path | None, journal: StructuredJournal, clock: Clock, stream: Stream
    ) -> None:
        self._settings = settings
        self._env_file = env_file
        self._journal = journal
        self._clock = clock
        self._reloading: Reloading | None = None
        self._hangup = asyncio.Event()
        country = country_of(settings, journal)
        self._notifiers: list[Notifier] = notifiers_of(settings, journal, clock, country)
        self._guard = Guard(
            policy_of(settings),
            settings.ignored_targets,
            firewall=firewall_of(settings),
            store=store_of(settings, journal),
            notifiers=self._notifiers,
            journal=journal,
            clock=clock,
            log_followed=bool(settings.asterisk_log),
            fleet=fleet_of(settings, journal, clock),
        )
        self._guard.administration.country = country
        self._control = ControlServer(
            control_settings(settings),
            self._guard.administration,
            journal,
            clock,
            stream,
            reload=self.reload,
            metrics=metrics_of(self._guard),
        )

    async def live(self) -> None:
        """Start, run until a signal, and stop: sources first, then what is decided goes to kernel, store and mail.

        Raises:
            ControlError: another amiguard runs, or the control socket can't be made.
            FirewallError: the kernel refuses the layout.
            ExceptionGroup: a part failed in a way that nobody expected.
        """
        # At once, for by default SIGHUP ends a process: who sends it while we start is heard once we have.
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._hangup.set)
        asyncio.get_running_loop().set_exception_handler(self._complain)
        self._journal.write(Action.START, f"amiguard {__version__} starts", version=__version__, **self._summary())
        await self._control.start()
        try:
            with collector_paused():
                positions = await self._guard.start()
            keep()
            self._guard.notify(NoticeKind.START, self._words())
            try:
                await self._run(positions)
            finally:
                await self._stop()
        finally:
            await self._control.close()
            await self._guard.free()
            self._journal.write(Action.STOP, "amiguard stops; bans stay in the kernel")

    def _complain(self, _: asyncio.AbstractEventLoop, context: Mapping[str, Any]) -> None:
        """Log what the event loop can tell nobody, such as a connection that it can't accept."""
        fields = {"error": context["exception"]} if "exception" in context else {}
        self._journal.write(Action.INTERNAL_ERROR, context["message"], **fields)

    async def reload(self) -> list[str]:
        """Go by the settings as they stand now; return the variables that changed.

        Raises:
            SettingsError: they can't be used; everything stays as it was, and the log says why.
        """
        if self._reloading is None:
            raise SettingsError(["amiguard is still starting"])
        notify_reloading()
        try:
            changed = await self._reloading.reload()
        finally:
            notify("READY=1")
        self._settings = self._reloading.settings
        return changed

    async def _reload_when_asked(self) -> None:
        while True:
            await self._hangup.wait()
            self._hangup.clear()
            with suppress(SettingsError):  # the log has told
                await self.reload()

    async def _run(self, positions: Sequence[Position]) -> None:
        parts = Parts(
            self._settings, self._guard, self._notifiers, positions=positions, journal=self._journal, clock=self._clock
        )
        self._reloading = Reloading(
            self._settings,
            self._env_file,
            guard=self._guard,
            parts=parts,
            control=self._control,
            journal=self._journal,
        )
        stopping = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in STOP_SIGNALS:
            loop.add_signal_handler(number, stopping.set)
        notify("READY=1")
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._guard.run())
                tasks.create_task(feed_watchdog())
                tasks.create_task(collect_rarely())
                parts.start(tasks)
                tasks.create_task(self._reload_when_asked())
                tasks.create_task(_raise_when(stopping))
        except* _Stop:
            notify("STOPPING=1")

    async def _stop(self) -> None:
        self._guard.notify(NoticeKind.STOP, self._words())
        await self._guard.close()
        await asyncio.gather(*(notifier.drain(NOTIFIER_GRACE) for notifier in self._notifiers))

    def _summary(self) -> dict[str, object]:
        """Return what the start line tells of the settings: no secret is among it."""
        settings = self._settings
        return {
            "maxretry": settings.maxretry,
            "findtime": settings.findtime // 1000,
            "bantime": -1 if settings.bantime is None else settings.bantime // 1000,
            "firewall": settings.firewall,
            "ami": f"{settings.ami_host}:{settings.ami_port}" if settings.ami_username else "",
            "log": [str(path) for path in settings.asterisk_log],
            "allowed": list(settings.ignoreip),
        }

    def _words(self) -> str:
        return "\n".join(f"{name}: {value}" for name, value in self._summary().items())
