"""A file descriptor that takes lines without ever stopping the event loop or raising.

A pipe or terminal whose reader is stuck is asked with poll(2) first, since making it non-blocking would change it for
every process that shares it. What it does not take waits here, within a bound."""

from __future__ import annotations

import os
import select

PIECE = 4_096
"""Bytes handed over at a time: where poll says that a pipe is writable, it takes a page without blocking (pipe(7))."""

BACKLOG = 1 << 20
"""Bytes that may wait."""


class Outlet:
    """Writes to `fd`, which stays the caller's."""

    def __init__(self, fd: int, backlog: int = BACKLOG) -> None:
        self.lost = 0
        """Lines that found no room since this was last set to 0."""
        self._fd = fd
        self._backlog = backlog
        self._waiting = bytearray()
        self._poll = select.poll()
        self._poll.register(fd, select.POLLOUT)

    @property
    def waiting(self) -> int:
        """Bytes that the descriptor has not taken yet."""
        return len(self._waiting)

    def write(self, line: bytes, share: float = 1.0) -> bool:
        """Hand over one whole line, now or later; False where more than `share` of the room for waiting is taken."""
        if self._waiting and len(self._waiting) + len(line) > self._backlog * share:
            self.flush()
            if len(self._waiting) + len(line) > self._backlog * share:
                self.lost += 1
                return False
        self._waiting += line
        self.flush()
        return True

    def flush(self, patience: int = 0) -> None:
        """Hand over what waits, as far as it is taken; wait up to `patience` milliseconds for each piece."""
        try:
            while self._waiting and self._poll.poll(patience):
                taken = os.write(self._fd, self._waiting[:PIECE])
                del self._waiting[:taken]
        except OSError:
            return
