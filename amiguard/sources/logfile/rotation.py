"""Finds what became of a log: renamed or copied, it lies beside the new one, whichever program rotated it.

Looked for are files in the same directory, by inode, by how they begin, and by the names that logrotate and Asterisk
give: `full.1`, `full-20261122`, `full.log.0`, `full-20261122.log`. What is compressed or moved elsewhere is not read.
A directory that may be entered but not listed shows nothing."""

from __future__ import annotations

import os
import re
from collections.abc import Container, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from amiguard.ports import Position
from amiguard.sources.logfile.opening import open_log
from amiguard.sources.logfile.tail import NO_HEAD, Identity, Tail, Written, written

MAX_BESIDE = 64
"""Older versions that are looked at, the newest first."""


RESUMED = "is read on where reading had ended"


class Version(NamedTuple):
    """A file beside the log that may be an older version of it."""

    written: Written
    identity: Identity
    path: Path


def resume(path: Path, position: Position | None) -> tuple[list[Tail], str]:
    """Open what is to be read from `position` on, the oldest first and `path` last; and say in words what that is.

    Raises:
        OSError: `path` can't be opened or read; no descriptor is left open.
    """
    current = Tail(open_log(path))
    try:
        return _resume(path, position, current)
    except OSError:
        current.close()
        raise


def _resume(path: Path, position: Position | None, current: Tail) -> tuple[list[Tail], str]:
    if position is None:
        return [current], "is read from its start: it is new"
    for exact in (True, False):
        if _matches(current, position, exact=exact):
            current.seek(position.offset)
            fresh = position.head == NO_HEAD
            return [current], "is read from its end: a first start" if fresh else RESUMED
        older = find(path, position, {current.identity}, exact=exact)
        if older is not None:
            between = newer(path, older.written, {older.identity, current.identity})
            return [older, *between, current], "is read, after the rest of what was rotated meanwhile"
    return [current], "is read from its start: what was read before is not beside it any more"


def find(path: Path, position: Position, known: Container[Identity], *, exact: bool) -> Tail | None:
    """Return the file beside `path` that `position` speaks of, opened there; None = there is none.

    It is the same file under another name if `exact`, else a copy of it."""
    for version in _beside(path, position.inode):
        if version.identity in known:
            continue
        with suppress(OSError):
            tail = Tail(open_log(version.path))
            try:
                if _matches(tail, position, exact=exact):
                    tail.seek(position.offset)
                    return tail
            except OSError:
                pass
            tail.close()
    return None


def newer(path: Path, latest: Written, known: Container[Identity]) -> list[Tail]:
    """Open the versions beside `path` that were written to after `latest`, the oldest first."""
    tails = []
    for version in reversed(_beside(path)):
        if version.written > latest and version.identity not in known:
            with suppress(OSError):  # it went away meanwhile, or is not for us
                tails.append(Tail(open_log(version.path)))
    return tails


def _matches(tail: Tail, position: Position, *, exact: bool) -> bool:
    same = tail.identity == (position.device, position.inode)
    return (same if exact else position.head != NO_HEAD) and tail.fits(position)


def _beside(path: Path, inode: int = 0) -> list[Version]:
    """Return the newest versions, the newest first; among them in any case the file with this inode."""
    name, stem, suffix = (re.escape(part) for part in (path.name, path.stem, path.suffix))
    number = r"[.-]\d[\dTZ:._-]*"
    pattern = re.compile(f"{name}{number}|{stem}{number}{suffix}")
    directories = {path.parent, Path(os.path.realpath(path)).parent}
    found = [
        version
        for directory in directories
        for version in _files(directory)
        if version.identity[1] == inode or pattern.fullmatch(version.path.name)
    ]
    found.sort(key=lambda version: (version.identity[1] == inode, version.written), reverse=True)
    return sorted(found[:MAX_BESIDE], reverse=True)


def _files(directory: Path) -> Iterator[Version]:
    with suppress(OSError), os.scandir(directory) as entries:
        for entry in entries:
            with suppress(OSError):  # it went away meanwhile
                if entry.is_file(follow_symlinks=False):
                    found = entry.stat(follow_symlinks=False)
                    yield Version(written(found), (found.st_dev, found.st_ino), Path(entry.path))
