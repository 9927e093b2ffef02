"""Wakes up when a log changes. The only module that knows asyncinotify.

inotify only makes it faster: every change is also found by looking, for inotify sees nothing on NFS, of other
containers' writes on some file systems, or where its watches are used up. Such a look is a glance at sizes and times,
and wakes no task. It is taken four times a second; where inotify tells of changes, and looking finds none, less and
less often: a quiet log must cost nothing that can be measured."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from asyncinotify import Inotify, Mask

from amiguard.coalescing import until_next

POLL = 0.25
"""Seconds after which to look in any case, without inotify or after a look that found what it did not tell of."""

SELDOM = 5.0
"""Seconds after which to look at the latest."""

PAUSE = 0.005
"""Seconds between two looks at least: a busy log is read in portions, not line by line."""

FILE = Mask.MODIFY | Mask.ATTRIB | Mask.MOVE_SELF | Mask.DELETE_SELF
DIRECTORY = Mask.CREATE | Mask.MOVED_TO | Mask.MOVED_FROM | Mask.DELETE | Mask.ATTRIB

Place = tuple[object, Path]
"""What is watched, by something that tells it from another under the same path; and the path."""


class Watch:
    """Waits for changes of some files and directories. `close` frees what it holds."""

    def __init__(self) -> None:
        self._inotify: Inotify | None = None
        self._places: set[Place] = set()
        self._changed = asyncio.Event()
        self._earliest = 0.0
        self._patience = POLL
        self._glance: asyncio.TimerHandle

    @property
    def notified(self) -> bool:
        """Whether the kernel tells of changes; else they are only found by looking."""
        return self._inotify is not None

    def cover(self, places: Iterable[Place]) -> bool:
        """Watch these from now on; return whether that is a change, after which everything must be looked at again.

        What can't be watched is left to looking."""
        wanted = set(places)
        if wanted == self._places:
            return False
        self.close()
        self._places = wanted
        try:
            self._inotify = Inotify()
        except OSError:  # EMFILE: this user has too many already
            return True
        os.set_blocking(self._inotify.fd, False)
        for _, path in wanted:
            with suppress(OSError):
                self._inotify.add_watch(path, DIRECTORY if path.is_dir() else FILE)
        asyncio.get_running_loop().add_reader(self._inotify.fd, self._notice, self._inotify.fd)
        return True

    async def wait(self, quiet: Callable[[], bool]) -> None:
        """Return at the next change: the kernel tells of one, or `quiet`, which must not raise, says no."""
        loop = asyncio.get_running_loop()
        await asyncio.sleep(max(0.0, self._earliest - loop.time()))
        self._ask_later(quiet)
        try:
            await self._changed.wait()
        finally:
            self._glance.cancel()
        self._changed.clear()
        self._earliest = loop.time() + PAUSE

    def _ask_later(self, quiet: Callable[[], bool]) -> None:
        loop = asyncio.get_running_loop()
        self._glance = loop.call_later(until_next(self._patience, loop.time()), self._ask, quiet)

    def _ask(self, quiet: Callable[[], bool]) -> None:
        if quiet():
            self._patience = min(2 * self._patience, SELDOM) if self.notified else POLL
            self._ask_later(quiet)
        else:
            self._patience = POLL
            self._changed.set()

    def close(self) -> None:
        """Watch nothing any more."""
        if self._inotify is not None:
            asyncio.get_running_loop().remove_reader(self._inotify.fd)
            self._inotify.close()
            self._inotify = None
        self._places = set()

    def _notice(self, fd: int) -> None:
        """Throw the events away: what changed is seen in the files themselves."""
        with suppress(BlockingIOError):
            os.read(fd, 64 << 10)
        self._changed.set()
