"""Opens log files for reading, and says in an operator's words why one can't be."""

from __future__ import annotations

import errno
import grp
import os
import pwd
import stat
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from amiguard.errors import SourceError


def open_log(path: Path) -> int:
    """Return a descriptor for reading. It needs no right but to read, and takes no lock.

    Raises:
        OSError: there is no such file, or it may not be read; EISDIR or EINVAL: it is no regular file.
    """
    require_regular(path.stat().st_mode)  # first: to open a device or a FIFO may do something to it
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK)
    try:
        require_regular(os.fstat(fd).st_mode)
    except OSError:
        os.close(fd)
        raise
    return fd


def require_regular(mode: int) -> None:
    """Raise OSError if this is the mode of something else than a regular file."""
    if stat.S_ISDIR(mode):
        raise OSError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))


def unreadable(path: Path, error: OSError) -> SourceError:
    """Say why a file can't be read, and what would help."""
    match error.errno:
        case errno.ENOENT:
            reason = "there is no such file"
        case errno.EISDIR:
            reason = "it is a directory"
        case errno.EINVAL:
            reason = "it is no regular file"
        case errno.EACCES:
            try:
                reason = missing_right(path)
            except OSError:  # it went away meanwhile
                reason = os.strerror(errno.EACCES)
        case number:
            reason = os.strerror(number or 0)
    return SourceError(f"{path} can't be read: {reason}")


def missing_right(path: Path) -> str:
    """Name the right that our user lacks, on the file or on a directory on the way to it."""
    user = f"the user {_name(pwd.getpwuid, os.geteuid())}"
    real = Path(os.path.realpath(path))
    for place in (*reversed(real.parents), real):
        wanted, word, bit = (os.R_OK, "read", stat.S_IRGRP) if place == real else (os.X_OK, "enter", stat.S_IXGRP)
        if os.access(place, wanted, effective_ids=True):
            continue
        found = place.stat()
        group = _name(grp.getgrgid, found.st_gid)
        if found.st_mode & bit:
            return f"{user} may not {word} {place}: add it to the group {group}"
        grant = "chmod g+r" if place == real else "chmod g+x"
        return f"{user} may not {word} {place}, nor may its group {group}: {grant}, and add the user to the group"
    return f"{user} may not read it, though its permissions allow it: a security module?"


def _name(lookup: Callable[[int], Sequence[object]], number: int) -> str:
    try:
        return str(lookup(number)[0])
    except KeyError:
        return str(number)


async def probe(path: Path) -> str:
    """Look at a log file for `amiguard check`; return one line that says what was found.

    Raises:
        SourceError: it can't be read; the text says which right is missing.
    """
    try:
        fd = open_log(path)
    except OSError as error:
        raise unreadable(path, error) from error
    try:
        os.pread(fd, 1, 0)
        found = os.fstat(fd)
    except OSError as error:
        raise unreadable(path, error) from error
    finally:
        os.close(fd)
    changed = datetime.fromtimestamp(found.st_mtime, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    return f"{path}: readable, {found.st_size} bytes, last written {changed}"
