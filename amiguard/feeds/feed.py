"""Keeps one list up to date: what can't be had, or is no list, changes nothing until the list is stale."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from random import SystemRandom
from typing import Protocol

from amiguard.errors import FeedError
from amiguard.feeds.networks import LeftOut
from amiguard.feeds.reading import Reading
from amiguard.feeds.settings import FeedSettings
from amiguard.journal import Action, Journal
from amiguard.listed import Listed
from amiguard.lists import Taker
from amiguard.model import Timestamp
from amiguard.ports import Clock
from amiguard.retry import Retry

LEASE = 1.5
"""For how many times `stale` the kernel drops who is named, if it never hears of him again: the daemon may be dead.
So nobody has to be renewed before half of `stale` is over."""

SMALL = 100
"""Entries of a list that may shrink as it likes."""

SHRUNK = 0.1
"""A list that is left with less of its entries than this is believed when it says so twice."""

_random = SystemRandom()


class Source(Protocol):
    """Where a list comes from."""

    where: str
    """The place, without anything that is secret."""
    trusted: bool
    """Whether it may be empty, or shrink, at a word."""

    async def fetch(self, reading: Reading) -> bool:
        """Read the list; False: it is the same as the one that was accepted. Raises FeedError."""

    def accept(self) -> None:
        """Ask from now on whether anything has changed since what was read last."""

    def forget(self) -> None:
        """Ask for the list as if it had never been had."""


async def probe(name: str, source: Source, settings: FeedSettings) -> str:
    """Have a list once, for `amiguard check`; return one line. Raises FeedError."""
    reading = Reading(settings.limit)
    await source.fetch(reading)
    left_out = sum(reading.left_out.values())
    return f"{name} names {reading.entries:,}" + f" ({left_out:,} lines left out)" * bool(left_out)


class PlainFeed:
    """A `lists.Feed` of a list that is had as a whole."""

    def __init__(
        self, name: str, source: Source, taker: Taker, settings: FeedSettings, *, journal: Journal, clock: Clock
    ) -> None:
        self.name = name
        self._source = source
        self._taker = taker
        self._settings = settings
        self._journal = journal
        self._clock = clock
        self._digest = b""
        self._entries = 0
        self._had: Timestamp | None = None
        """When the list was had last."""
        self._put: Timestamp = 0
        """When the kernel was told last."""
        self._shrunk = self._stale = False
        self._failing = ""
        self._told = ""
        """The latest log line, which is not written twice."""
        self._failures = 0
        self._retry = Retry(min(settings.retry, settings.interval), settings.interval)

    async def run(self) -> None:
        """Keep the list up to date until cancelled."""
        while True:
            wait = await self._look()
            await asyncio.sleep(wait)

    def status(self) -> Mapping[str, object]:
        """Tell how it goes; see `lists.Feed`."""
        return {
            "where": self._source.where,
            "up": not self._failing and self._had is not None,
            "error": self._failing,
            "age": None if self._had is None else (self._clock() - self._had) // 1000,
            "failures": self._failures,
        }

    # ----------------------------------------------------------------------------------------------------------------

    async def _look(self) -> float:
        """Have the list once; return for how many seconds to wait then."""
        reading = Reading(self._settings.limit)
        try:
            if await self._source.fetch(reading):
                self._check(reading)
                await self._take(reading)
            else:
                self._keep()
        except FeedError as error:
            return self._failed(error)
        self._failing, self._told = "", ""
        self._retry.reset()
        return self._settings.interval * _random.uniform(0.9, 1)

    def _check(self, reading: Reading) -> None:
        """Raises FeedError: this can't be the list."""
        if self._source.trusted:
            return
        if not reading.entries:
            raise FeedError(f"{self._source.where}: the list names nobody")
        shrunk = self._entries >= SMALL and reading.entries < self._entries * SHRUNK
        if shrunk and not self._shrunk:
            self._shrunk = True
            raise FeedError(
                f"{self._source.where}: the list shrank from {self._entries:,} entries to {reading.entries:,}; "
                "that is believed if it says so again"
            )
        self._shrunk = False

    async def _take(self, reading: Reading) -> None:
        self._source.accept()
        if reading.digest == self._digest:
            self._keep()
            return
        listed = Listed()
        for _ in reading.ordered(listed):
            await asyncio.sleep(0)
        self._digest, self._entries, self._stale = reading.digest, reading.entries, False
        self._had = self._put = self._clock()
        listed.renew(self._end())
        told = {"where": self._source.where} | {why.value: reading.left_out[why] for why in LeftOut}
        self._taker.replace(self.name, listed, told)

    def _keep(self) -> None:
        """Note that the list is as it was."""
        self._had = self._clock()
        if self._had - self._put > self._settings.stale // 2:
            self._put = self._had
            self._taker.renew(self.name, self._end())
        if self._failing:
            text = f"the list {self.name} is had again, and is as it was"
            self._journal.write(Action.FEED_UPDATED, text, feed=self.name, where=self._source.where)

    def _end(self) -> Timestamp:
        return self._put + int(self._settings.stale * LEASE)

    def _failed(self, error: FeedError) -> float:
        self._failures += 1
        if self._had is not None and self._clock() - self._had > self._settings.stale:
            self._forget()
        if self._stale:
            what = "it is stale: nobody is dropped for it any more"
        else:
            what = "what it named goes on being dropped" if self._entries else "it names nobody yet"
        text = f"the list {self.name} can't be had: {error}; {what}"
        if text != self._told:
            self._journal.write(Action.FEED_FAILED, text, feed=self.name, where=self._source.where, error=error)
        self._failing, self._told = str(error), text
        return max(error.wait, self._retry.next())

    def _forget(self) -> None:
        self._taker.forget(self.name)
        self._source.forget()
        self._had, self._digest, self._entries, self._stale = None, b"", 0, True
