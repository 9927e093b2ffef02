"""A list in a file of this machine."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from amiguard.errors import FeedError
from amiguard.feeds.reading import BYTES, CHUNK, Reading
from amiguard.feeds.settings import FeedSettings

BLOCK = 1 << 20

_Version = tuple[int, int, int]


class File:
    """The list in one file; its administrator is believed when he empties it."""

    trusted = True

    def __init__(self, path: Path, settings: FeedSettings) -> None:
        self.where = str(path)
        self._path = path
        self._settings = settings
        self._known: _Version | None = None
        self._told: _Version | None = None

    async def fetch(self, reading: Reading) -> bool:
        """Read the list; False: it is the same as the one that was accepted.

        Raises:
            FeedError: it can't be read, or is no list.
        """
        try:
            self._told = await asyncio.to_thread(self._version)
            if self._told == self._known:
                return False
            blocks = self._blocks()
            while block := await asyncio.to_thread(next, blocks, b""):
                for begin in range(0, len(block), CHUNK):
                    reading.feed(block[begin : begin + CHUNK])
                    await asyncio.sleep(0)
        except OSError as error:
            raise FeedError(f"{self.where}: {error.strerror}") from error
        reading.finish()
        return True

    def accept(self) -> None:
        """Ask from now on whether anything has changed since what was read last."""
        self._known = self._told

    def forget(self) -> None:
        """Ask for the list as if it had never been had."""
        self._known = None

    def _version(self) -> _Version:
        found = self._path.stat()
        if not stat.S_ISREG(found.st_mode):
            raise FeedError(f"{self.where}: it is no file")
        most = self._settings.limit * BYTES
        if found.st_size > most:
            raise FeedError(f"{self.where}: it has more than {most:,} bytes")
        return found.st_ino, found.st_size, found.st_mtime_ns

    def _blocks(self) -> Iterator[bytes]:
        with open(os.open(self._path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:  # noqa: PTH123 -- never waits
            while block := file.read(BLOCK):
                yield block
