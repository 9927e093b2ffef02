"""Hands changes to the store behind the bans' back: a slow or full disk delays nothing and loses nothing.

While the store refuses, changes wait in memory. When too many wait, only the newest of each target is kept, and none of
a ban that ended by itself: the store then misses a ban that is over, never one that runs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from amiguard.errors import StoreError
from amiguard.journal import Action, Journal
from amiguard.model import Allowed, Minute, Phone
from amiguard.ports import Change, Clock, Disallowed, Ended, Ending, Position, Resolved, Saved, Store, Successor
from amiguard.retry import Retry

BATCH = 1_000
MAX_WAITING = 50_000
"""Changes that wait before they are thinned out; after that, twice as many as were left."""

RETRY = (1.0, 60.0)
"""Seconds between tries while the store refuses: first and longest."""


class Recorder:
    """The store, made patient. `restore` takes what a store that opens late remembers."""

    def __init__(self, store: Store, journal: Journal, clock: Clock, restore: Callable[[Saved], None]) -> None:
        self.failing = ""
        """Why the store refuses now; empty while all is well."""
        self._store = store
        self._journal = journal
        self._clock = clock
        self.opened = asyncio.Event()
        """Set once the store has told what it remembers."""
        self._restore = restore
        self._waiting: list[Change] = []
        self._most = MAX_WAITING
        self._wake = asyncio.Event()
        self._writing = asyncio.Lock()
        """Held while the store is in use, or another takes its place."""

    @property
    def waiting(self) -> int:
        """Changes that are not durable yet."""
        return len(self._waiting)

    async def open(self) -> Saved:
        """Open the store and return what it remembers; nothing, and a loud line, where it can't be opened."""
        try:
            saved = await self._store.open(self._clock())
        except StoreError as error:
            self._failed(error)
            return Saved()
        self.opened.set()
        return saved

    def record(self, change: Change) -> None:
        """Take a change; it is written soon, in order."""
        self._waiting.append(change)
        if len(self._waiting) > self._most:
            self._thin_out()
        self._wake.set()

    async def run(self) -> None:
        """Write what waits, until cancelled."""
        retry = Retry(*RETRY)
        while True:
            self._wake.clear()
            if not self._waiting and self.opened.is_set():
                await self._wake.wait()
            elif await self.flush():
                retry.reset()
            else:
                await asyncio.sleep(retry.next())

    async def flush(self) -> bool:
        """Write one batch; tell whether the store took it."""
        async with self._writing:
            return await self._flush()

    @asynccontextmanager
    async def moving(self, store: Successor, source: Path) -> AsyncIterator[None]:
        """Remember in `store` once the body is done, with all that the present one at `source` remembers.

        What changes meanwhile waits. Where the body fails, the present one stays. If that could never be opened, all
        that is known waits to be written; then the new one is taken as it is, as by a start.

        Raises:
            StoreError: the new one can't be used, or the present one can't be read.
        """
        async with self._writing:
            copied, saved = self.opened.is_set(), Saved()
            if copied:
                await store.open_as_copy(source)
            else:
                saved = await store.open(self._clock())
            try:
                yield
            except BaseException:
                await (store.discard() if copied else store.close())
                raise
            old, self._store = self._store, store
            with suppress(StoreError):  # whatever ails it, all that it held is in the new one
                await old.close()
        if not copied:
            self._restore(saved)
            self.opened.set()
        await self.flush()

    async def _flush(self) -> bool:
        batch = self._waiting[:BATCH]
        try:
            if not self.opened.is_set():
                self._restore(await self._store.open(self._clock()))
                self.opened.set()
            await self._store.write(batch)
        except StoreError as error:
            self._failed(error)
            return False
        written = set(map(id, batch))
        self._waiting = [change for change in self._waiting if id(change) not in written]
        if self.failing:
            self.failing = ""
            self._journal.write(Action.STORE_RECOVERED, "the database takes changes again")
        return True

    async def close(self) -> None:
        """Write what is left, if the store lets us, and close it."""
        while self._waiting and await self.flush():
            pass
        if self._waiting:
            self._journal.write(
                Action.STORE_FAILED, "changes are lost: the database refused them", changes=len(self._waiting)
            )
        try:
            async with self._writing:
                await self._store.close()
        except StoreError as error:
            self._failed(error)

    def _thin_out(self) -> None:
        newest: dict[tuple[str, str], Change] = {}
        for change in self._waiting:
            subject = _subject(change)
            newest.pop(subject, None)  # so that a position stays behind the bans that it led to
            newest[subject] = change
        self._waiting = [change for change in newest.values() if not _is_over(change)]
        self._most = max(MAX_WAITING, 2 * len(self._waiting))

    def _failed(self, error: StoreError) -> None:
        if str(error) != self.failing:
            self.failing = str(error)
            self._journal.write(Action.STORE_FAILED, "bans go on without the database", error=error)


def _subject(change: Change) -> tuple[str, str]:
    """Return what a later change of the same replaces: a kind of thing, and which."""
    if isinstance(change, Position):
        return "position", change.path
    if isinstance(change, Resolved):
        return "name", change.name
    if isinstance(change, Minute):
        return "minute", str(change.place)
    if isinstance(change, Phone):
        return "phone", f"{change.address} {change.account}"
    return "allowed" if isinstance(change, Allowed | Disallowed) else "ban", change.target


def _is_over(change: Change) -> bool:
    """Whether the store finds out by itself, for it knows when a ban ends."""
    return isinstance(change, Ended) and change.ending is Ending.EXPIRE
