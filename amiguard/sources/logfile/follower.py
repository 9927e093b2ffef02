"""Follows one log through its rotations.

The file that the path named when we opened it stays open until another one with content stands there, for Asterisk
writes into the old file until it is told to open the new one. Then the old one is read to its end, and the new one from
its start. So a rotation by rename loses nothing, however late we notice.

After a copy-and-truncate, what we had not read is taken from the copy. Lost is only what was written between the
copying and the truncating and not read by us in that moment: it exists nowhere any more.

The name must be seen to change: a container that mounts the single file, and not its directory, keeps the old one."""

from __future__ import annotations

from collections import OrderedDict, deque
from contextlib import suppress
from pathlib import Path

from amiguard.journal import Action, Journal
from amiguard.model import Timestamp
from amiguard.ports import Clock, Position
from amiguard.sources.logfile.opening import open_log, unreadable
from amiguard.sources.logfile.rotation import find, newer, resume
from amiguard.sources.logfile.tail import NO_HEAD, Identity, Tail

GRACE = 5_000
"""Milliseconds for which the path may be missing while the old file is open: a rotation is no loss."""

MAX_OPEN = 32
"""Files open at once, should the log be rotated faster than it is read."""

COPY_AND_LOG = 2
"""Files open while the copy of a truncated log is read, and nothing else."""

REMEMBERED = 8
"""Files read to their end that are known again, should the path name them once more (a link put back)."""


class Follower:
    """Reads one log. `lines` counts what was read; `error` says why it can't be now, empty while it can."""

    def __init__(self, path: Path, position: Position | None, journal: Journal, clock: Clock) -> None:
        self.path = path
        self.lines = 0
        self.busy = False
        self.error = ""
        self._journal = journal
        self._clock = clock
        self._position = position
        self._tails: deque[Tail] = deque()
        self._copy: Tail | None = None
        self._finished: OrderedDict[Identity, Position] = OrderedDict()
        self._skipped = 0
        self._fault: int | None = None
        self._missing: Timestamp | None = None
        self._news = ""
        self._seen: object = None

    @property
    def up(self) -> bool:
        """Whether the log can be read."""
        return bool(self._tails) and not self.error

    @property
    def position(self) -> Position | None:
        """From where to read on after a restart; None = nothing was ever read."""
        return self._tails[0].position(self.path) if self._tails else self._position

    @property
    def behind(self) -> int:
        """How many bytes are written and not read."""
        with suppress(OSError):
            return sum(max(tail.size - tail.offset, 0) for tail in self._tails)
        return 0

    @property
    def skipped(self) -> int:
        """How many lines were too long."""
        return self._skipped + sum(tail.skipped for tail in self._tails)

    def begin(self) -> None:
        """Without a position, let reading begin at the present end: what attackers did before is not new."""
        if self._position is None:
            with suppress(OSError):
                found = self.path.stat()
                self._position = Position(str(self.path), found.st_dev, found.st_ino, found.st_size, NO_HEAD)

    def places(self) -> set[tuple[object, Path]]:
        """Return what to watch: each open file, by whatever name, and the directory where a new one appears."""
        opened = {(tail.identity, Path(f"/proc/self/fd/{tail.fd}")) for tail in self._tails}
        return {(None, self.path.parent), *opened}

    def read(self) -> list[bytes]:
        """Return the next lines; `busy` tells whether there may be more at once."""
        self.busy = False
        self._seen = self._state()
        self._look()
        try:
            lines = self._read() if self._tails else []
        except OSError as error:
            self.close()
            self._lose(error)
            return []
        self.lines += len(lines)
        return lines

    @property
    def quiet(self) -> bool:
        """Whether all is as it was before the latest `read`, which then need not be repeated. Costs three calls."""
        return self._seen is not None and self._state() == self._seen

    def _state(self) -> object:
        """Return what is another when there is something to read or to tell; None = look closely in any case."""
        if not self.up or self._missing is not None:
            return None
        try:
            found = self.path.stat()
            return found.st_dev, found.st_ino, [(tail.size, tail.written) for tail in self._tails]
        except OSError:
            return None

    def close(self) -> None:
        """Free the descriptors; `position` stays."""
        self._position = self.position
        while self._tails:
            self._close(self._tails.popleft())

    # ----------------------------------------------------------------------------------------------------------------

    def _read(self) -> list[bytes]:
        tail = self._tails[0]
        over = any(later.size for later in list(self._tails)[1:])  # asked before reading: its writer has left
        if tail.overwritten():
            self.busy = True
            return self._start_over(tail)
        lines = tail.read()
        if tail.at_end and over:
            lines = tail.rest()
            self._recall(tail)
            self._finish(self._tails.popleft())
        self.busy = bool(not tail.at_end or over)
        if self._news:
            self._found()
        return lines

    def _start_over(self, tail: Tail) -> list[bytes]:
        """Read a truncated file from its start, but first what its copy has and we have not."""
        self._news = "was truncated: it is read from its start"
        rest: list[bytes] = []
        copy = find(self.path, tail.position(self.path), [each.identity for each in self._tails], exact=False)
        if copy is not None and copy.size > tail.offset:
            self._copy = copy
            self._tails.appendleft(copy)
        else:
            rest = tail.rest()
            if copy is not None:
                copy.close()
        tail.seek(0)
        return rest

    def _recall(self, finished: Tail) -> None:
        """If the log was truncated once more while its copy was read, read the newer copy next.

        Nothing of the log itself was read yet, so it can't show that it was truncated: only the newer copy does."""
        if finished is not self._copy or len(self._tails) != COPY_AND_LOG or self._tails[1].offset:
            return
        log = self._tails[1]
        for copy in newer(self.path, finished.written, {finished.identity, log.identity}):
            self._copy = copy
            self._tails.insert(len(self._tails) - 1, copy)
            self._news = "was truncated again: its copy is read first"

    def _finish(self, tail: Tail) -> None:
        self._finished[tail.identity] = tail.position(self.path)
        if len(self._finished) > REMEMBERED:
            self._finished.popitem(last=False)
        self._close(tail)

    def _close(self, tail: Tail) -> None:
        self._skipped += tail.skipped
        tail.close()

    # -- what the path names -----------------------------------------------------------------------------------------

    def _look(self) -> None:
        """Open what the path names now, if that is another file than before."""
        try:
            found = self.path.stat()
            if not self._tails:
                tails, self._news = resume(self.path, self._position)
                self._tails += tails
            elif self._tails[-1].identity != (found.st_dev, found.st_ino) and len(self._tails) < MAX_OPEN:
                self._tails += self._successors()
                self._news = "was rotated: the new file is read after the rest of the old one"
        except OSError as error:
            self._miss(error)
            return
        self._missing = None
        if self.error and not self._news:
            self._news = "is there again"

    def _successors(self) -> list[Tail]:
        latest = self._tails[-1]
        current = Tail(open_log(self.path))
        known = {tail.identity for tail in (*self._tails, current)} | self._finished.keys()
        try:
            finished = self._finished.pop(current.identity, None)
            if finished is not None and current.fits(finished):
                current.seek(finished.offset)
            return [*newer(self.path, latest.written, known), current]
        except OSError:
            current.close()
            raise

    def _miss(self, error: OSError) -> None:
        if self._tails:
            now = self._clock()
            self._missing = now if self._missing is None else self._missing
            if now - self._missing < GRACE:
                return
        self._lose(error)

    def _lose(self, error: OSError) -> None:
        self._news = ""
        if error.errno == self._fault:
            return
        self._fault = error.errno
        reason = unreadable(self.path, error)
        self.error = str(reason)
        self._journal.write(Action.LOG_LOST, self.error, path=self.path, error=reason)

    def _found(self) -> None:
        """Tell of it only now, after a read that succeeded: a file may open, and yet not be readable."""
        self.error, self._fault = "", None
        self._journal.write(Action.LOG_OPENED, f"{self.path} {self._news}", path=self.path)
        self._news = ""
