"""Mails that wait, one file each, so that they outlive the process. Blocking: called from a thread.

As in a Maildir a file is written under a temporary name, synced and renamed: what has a mail's name is whole, also
after kill -9 or a power failure. While the disk takes nothing, a few mails are held in memory instead."""

from __future__ import annotations

import json
import os
import re
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from amiguard.errors import NotifierError
from amiguard.model import Timestamp
from amiguard.ports import NoticeKind

SUFFIX = ".mail"
UNFINISHED = ".tmp"
NAME = re.compile(r"(\d{13})-([a-z]+)-[0-9a-f]{16}" + re.escape(SUFFIX))
SIZE_LIMIT = 1 << 20
HELD_LIMIT = 16


class HeldInMemory(NotifierError):
    """The disk refused a letter. It is held in memory, where `dropped` others made room for it."""

    def __init__(self, message: str, dropped: int) -> None:
        super().__init__(message)
        self.dropped = dropped


@dataclass(frozen=True, slots=True)
class Letter:
    """A finished mail and who is still to get it. Names sort by age."""

    name: str
    to: tuple[str, ...]
    content: bytes

    @property
    def at(self) -> Timestamp:
        """When it was written."""
        return int(self.name.partition("-")[0])


def letter_name(at: Timestamp, kind: NoticeKind, token: str) -> str:
    """Return the name of a mail; the same three give the same name, so writing one twice keeps one."""
    return f"{at:013d}-{kind.value}-{token}{SUFFIX}"


class Spool:
    """A folder of at most `limit` letters; the oldest bans go first when it is full, then the oldest of all."""

    def __init__(self, folder: Path, limit: int) -> None:
        self._folder = folder
        self._limit = limit
        self._held: dict[str, bytes] = {}
        self._gone: set[str] = set()
        self._lock = threading.Lock()

    def open(self) -> None:
        """Make the folder private and remove what a killed process left unfinished.

        Raises:
            NotifierError: it can't be used; letters are then held in memory.
        """
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._folder.chmod(0o700)
            for path in self._folder.glob(f"*{UNFINISHED}"):
                path.unlink(missing_ok=True)
        except OSError as error:
            raise NotifierError(f"can't use the spool {self._folder}: {os.strerror(error.errno or 0)}") from error

    def add(self, letter: Letter) -> int:
        """Keep `letter`, replacing the one of its name; return how many others were dropped for it.

        Raises:
            HeldInMemory: the disk refused.
        """
        with self._lock:
            self._held[letter.name] = json.dumps({"to": letter.to}).encode("ascii") + b"\n" + letter.content
            try:
                for name, stored in sorted(self._held.items()):
                    self._write(name, stored)
                    del self._held[name]
            except OSError as error:
                dropped = self._drop(list(self._held), HELD_LIMIT)
                text = f"can't write to {self._folder}: {os.strerror(error.errno or 0)}"
                raise HeldInMemory(text, dropped) from error
            return self._drop(self._listed(), self._limit)

    def names(self) -> list[str]:
        """Return the names of all letters, oldest first."""
        with self._lock:
            return self._listed()

    def read(self, name: str) -> Letter | None:
        """Return a letter; None = it is gone.

        Raises:
            NotifierError: it can't be read; permanent if it is no letter.
        """
        with self._lock:
            try:
                stored = self._held.get(name) or self._load(name)
            except FileNotFoundError:
                return None
            except OSError as error:
                raise NotifierError(f"can't read {name}: {os.strerror(error.errno or 0)}") from error
        envelope, _, content = stored.partition(b"\n")
        try:
            match json.loads(envelope):
                case {"to": [str(), *_] as to} if all(isinstance(address, str) for address in to):
                    return Letter(name, tuple(to), content)
        except (ValueError, RecursionError):
            pass  # told below, like any other envelope that is none
        raise NotifierError(f"{name} is no mail", permanent=True)

    def remove(self, name: str) -> None:
        """Forget a letter; one that is gone is no error.

        Raises:
            NotifierError: the disk refused; the letter is not listed again before a restart.
        """
        with self._lock:
            self._held.pop(name, None)
            try:
                (self._folder / name).unlink(missing_ok=True)
            except OSError as error:
                self._gone.add(name)
                raise NotifierError(f"can't remove {name}: {os.strerror(error.errno or 0)}") from error

    def _listed(self) -> list[str]:
        try:
            found = [name for name in os.listdir(self._folder) if NAME.fullmatch(name)]  # noqa: PTH208 -- names, not paths
        except OSError:
            found = []  # `open` and `add` report a folder that can't be used; what is in memory can still go
        return sorted({*found, *self._held} - self._gone)

    def _drop(self, names: list[str], limit: int) -> int:
        """Remove the oldest of `names` beyond `limit`, those about bans before those about starts and stops."""
        surplus = len(names) - limit
        if surplus <= 0:
            return 0
        for name in sorted(names, key=lambda name: (f"-{NoticeKind.BAN.value}-" not in name, name))[:surplus]:
            self._held.pop(name, None)
            with suppress(OSError):  # what the disk keeps today is dropped with the next letter
                (self._folder / name).unlink(missing_ok=True)
        return surplus

    def _write(self, name: str, stored: bytes) -> None:
        unfinished = self._folder / f"{name}{UNFINISHED}"
        try:
            with open(unfinished, "wb", opener=_private) as file:
                file.write(stored)
                file.flush()
                os.fsync(file.fileno())
            unfinished.rename(self._folder / name)
        except OSError:
            with suppress(OSError):
                unfinished.unlink(missing_ok=True)
            raise
        folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _load(self, name: str) -> bytes:
        with open(self._folder / name, "rb", opener=_no_link) as file:
            return file.read(SIZE_LIMIT)


def hand_on(old: Path, new: Path, limit: int) -> None:
    """Move every letter from the folder `old` to `new`, which may be on another disk.

    Raises:
        NotifierError: one of them refused; what is not moved stays in `old`.
    """
    source, target = Spool(old, limit), Spool(new, limit)
    target.open()
    for name in source.names():
        letter = source.read(name)
        if letter is not None:
            target.add(letter)
            source.remove(name)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW, 0o600)


def _no_link(path: str, flags: int) -> int:
    # O_NONBLOCK: a pipe under a letter's name must not hang the reader.
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)
