"""The files to look back on: plain or gzip'd, whatever their names say, or standard input; read line by line."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from amiguard.errors import SourceError
from amiguard.model import Timestamp
from amiguard.override import override

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

GZIP = b"\x1f\x8b"
STDIN = Path("-")
STEP = 256 << 10
"""Bytes read from the disk at once."""

MAX_LINE = 1 << 20
"""Bytes of the longest line that is handed on, as in the follower (`sources/logfile/tail.py`)."""

LONG_AGO = 946_684_800_000
"""The year 2000. A file that was last written before has lost that time on its way."""

Progress = Callable[[int], object]
"""Is told now and then how many bytes of a file, as it lies on the disk, were read since the last time."""


class Opened(NamedTuple):
    """A file being read. `stream` is its content, `written` the time at which it was last written, None = unknown."""

    stream: BinaryIO
    written: Timestamp | None


class _Counted(io.RawIOBase):
    """Passes a file through and tells how much of it was read."""

    def __init__(self, file: io.FileIO, progress: Progress) -> None:
        super().__init__()
        self._file = file
        self._progress = progress

    @override
    def readable(self) -> bool:
        return True

    @override
    def readinto(self, buffer: WriteableBuffer) -> int:
        count = self._file.readinto(buffer) or 0
        self._progress(count)
        return count


@contextmanager
def opened(path: Path, progress: Progress) -> Iterator[Opened]:
    """Open a file, or standard input for `-`.

    Raises:
        SourceError: it can't be opened, or, also inside the `with`, be read: a broken disk, a gzip file that is cut.
    """
    try:
        with _raw(path) as file:
            written = int(path.stat().st_mtime * 1000) if path != STDIN else 0
            raw = io.BufferedReader(_Counted(file, progress), STEP)
            zipped = raw.peek(len(GZIP)).startswith(GZIP)
            stream: BinaryIO = io.BufferedReader(gzip.GzipFile(fileobj=raw), STEP) if zipped else raw
            yield Opened(stream, written if written > LONG_AGO else None)
    except (OSError, EOFError, zlib.error) as error:
        reason = (error.strerror if isinstance(error, OSError) else "") or str(error)
        raise SourceError(reason) from None


def size(path: Path) -> int | None:
    """Return how many bytes there are to read; None = nobody knows before the end."""
    try:
        return path.stat().st_size if path.is_file() else None
    except OSError:
        return None


def lines(stream: BinaryIO) -> Iterator[bytes]:
    """Yield each line without its line feed, and b"" for one that is longer than `MAX_LINE`."""
    while line := stream.readline(MAX_LINE + 1):
        if line.endswith(b"\n"):
            yield line[:-1]
        elif len(line) <= MAX_LINE:
            yield line
        else:
            while (line := stream.readline(MAX_LINE)) and not line.endswith(b"\n"):
                pass
            yield b""


def _raw(path: Path) -> io.FileIO:
    return io.FileIO(0, closefd=False) if path == STDIN else io.FileIO(path)
