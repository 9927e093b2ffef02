"""One open log file: cuts what was appended into lines, and notices when its content was replaced.

Bytes stay bytes: NULs, carriage returns and what is no UTF-8 reach the sink as they were written."""

from __future__ import annotations

import os
from hashlib import blake2b
from pathlib import Path

from amiguard.ports import Position

STEP = 64 << 10
"""Bytes read in one step of the event loop, some 400 lines: AMI, which must never wait long, is read in between."""

MAX_LINE = 1 << 20
"""Bytes of the longest line that is handed on. A longer one is left out whole, and counted: half a line proves
nothing, and what waits for its end must not grow."""

HEAD = 1024
"""So many bytes at its beginning tell one content of a file from the next: Asterisk's lines begin with their time."""

Identity = tuple[int, int]
"""Device and inode: what a file is, whatever its name."""


Written = tuple[int, int]
"""When a file was last written to and, for those of one clock tick, last changed or renamed; in nanoseconds."""


def written(found: os.stat_result) -> Written:
    """Return when that was."""
    return found.st_mtime_ns, found.st_ctime_ns


def checksum(head: bytes) -> str:
    """Return what `Position.head` holds."""
    return f"{len(head)}:{blake2b(head, digest_size=8).hexdigest()}"


NO_HEAD = checksum(b"")


class Tail:
    """Reads one file from an offset on. It owns the descriptor. What touches the file raises OSError.

    `at_end`: the latest read found nothing. `skipped` counts the lines that were too long."""

    def __init__(self, fd: int) -> None:
        found = os.fstat(fd)
        self.identity: Identity = found.st_dev, found.st_ino
        self.fd = fd
        self.at_end = False
        self.skipped = 0
        self.offset = 0
        self._begin = 0
        self._head = b""
        self._partial = bytearray()
        self._skipping = False

    @property
    def size(self) -> int:
        """How long the file is now, in bytes."""
        return os.fstat(self.fd).st_size

    @property
    def written(self) -> Written:
        """When it was last written to."""
        return written(os.fstat(self.fd))

    def position(self, path: Path) -> Position:
        """Return where the first line begins that was not handed on."""
        return Position(str(path), *self.identity, self._begin, checksum(self._head))

    def fits(self, position: Position) -> bool:
        """Whether this file's content is the one that `position` speaks of."""
        length = int(position.head.partition(":")[0])
        return self.size >= position.offset and checksum(os.pread(self.fd, length, 0)) == position.head

    def seek(self, offset: int) -> None:
        """Read from `offset` on; from the next line on if that is within a line.

        Else a stranger's words in the middle of a line would stand where a line begins."""
        self.offset = self._begin = offset
        self._head = os.pread(self.fd, min(HEAD, offset), 0)
        self._partial.clear()
        self._skipping = offset > 0 and os.pread(self.fd, 1, offset - 1) != b"\n"
        self.at_end = False

    def overwritten(self) -> bool:
        """Whether the content was replaced. If only its end was cut off, go on at the new end and return False."""
        if os.pread(self.fd, len(self._head), 0) != self._head:
            return True
        size = self.size
        if size < self.offset:
            self.seek(size)
        return False

    def read(self) -> list[bytes]:
        """Return the lines, without their line feeds, that the next `STEP` bytes complete."""
        chunk = os.pread(self.fd, STEP, self.offset)
        self.at_end = not chunk
        if len(self._head) < HEAD:
            self._head += chunk[: HEAD - len(self._head)]
        end = chunk.rfind(b"\n") + 1
        lines = self._complete(chunk[: end - 1]) if end else []
        if end:
            self._begin = self.offset + end
        self.offset += len(chunk)
        self._hold(chunk[end:])
        return lines

    def rest(self) -> list[bytes]:
        """Return the line that will never get its line feed, if there is one, and forget it."""
        rest = [bytes(self._partial)] if self._partial else []
        self._begin = self.offset
        self._partial.clear()
        self._skipping = False
        return rest

    def close(self) -> None:
        """Free the descriptor; `position` can still be asked."""
        os.close(self.fd)

    def _complete(self, chunk: bytes) -> list[bytes]:
        lines = chunk.split(b"\n")
        if self._partial:
            lines[0] = bytes(self._partial) + lines[0]
            self._partial.clear()
        if self._skipping:
            self._skipping = False
            del lines[0]
        elif len(lines[0]) > MAX_LINE:
            self.skipped += 1
            del lines[0]
        return lines

    def _hold(self, chunk: bytes) -> None:
        if self._skipping:
            return
        self._partial += chunk
        if len(self._partial) > MAX_LINE:
            self._partial.clear()
            self._skipping = True
            self.skipped += 1
