"""Hands changes to the store behind the bans' back: a slow or full disk delays nothing and loses nothing.

While the store refuses, changes wait in memory (`unwritten.py`)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from amiguard.errors import StoreError
from amiguard.journal import Action, Journal
from amiguard.ports import Change, Clock, Saved, Store, Successor
from amiguard.retry import Retry
from amiguard.unwritten import Unwritten

BATCH = 1_000

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
        self._waiting = Unwritten()
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
        self._waiting.add(change)
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
        batch = self._waiting.batch(BATCH)
        try:
            if not self.opened.is_set():
                self._restore(await self._store.open(self._clock()))
                self.opened.set()
            await self._store.write([change for _, change in batch])
        except StoreError as error:
            self._failed(error)
            return False
        self._waiting.done(batch)
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

    def _failed(self, error: StoreError) -> None:
        if str(error) != self.failing:
            self.failing = str(error)
            self._journal.write(Action.STORE_FAILED, "bans go on without the database", error=error)
