"""Reads a plain list: one address or network a line, comments, and whatever else is found on the Internet. Pure.

# a comment, as is ; and //
192.0.2.1
192.0.2.0/24 ; what follows a blank, a comma or a semicolon is somebody's remark
2001:db8::/32
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterator

from amiguard.errors import FeedError
from amiguard.feeds.networks import LeftOut, named, split
from amiguard.listed import Gathering, Listed

CHUNK = 16_384
"""Bytes that are worked through in one step of the loop."""

BYTES = 64
"""Bytes that an entry may take in the whole, with remarks."""

LONGEST_LINE = 4_096
"""Bytes. A line without end is no list, and must not fill the memory."""

MARK = b"\xef\xbb\xbf"
"""What programs of Windows begin a file of UTF-8 with."""

PATIENCE = 1_000
"""Lines that may be garbage before it is asked whether this is a list at all."""

_LINE = re.compile(rb"([0-9A-Fa-f:./]{2,49})(?:[\s,;#].*)?", re.DOTALL)
_COMMENTS = (b"#", b";", b"//")


class Reading:
    """One list as it arrives. `limit` is how many addresses and networks it may have."""

    def __init__(self, limit: int) -> None:
        self.entries = 0
        self.left_out: Counter[LeftOut] = Counter()
        self._limit = limit
        self._rest = b""
        self._begun = False
        self._digest = hashlib.sha256()
        self._gathering = Gathering()

    @property
    def digest(self) -> bytes:
        """A checksum of all that was read."""
        return self._digest.digest()

    def feed(self, data: bytes) -> None:
        """Read some bytes, `CHUNK` at a time: what they hold is worked through at once.

        Raises:
            FeedError: it is no list, or has too many entries.
        """
        self._digest.update(data)
        if not self._begun:
            self._begun = bool(data.strip())
            if data.lstrip().startswith((b"<", MARK + b"<")):
                raise FeedError("it is a page of HTML or XML, not a list")
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._line(line)
        if len(self._rest) > LONGEST_LINE:
            raise FeedError(f"it is no list: a line is longer than {LONGEST_LINE} bytes")

    def finish(self, *, whole: bool = True) -> None:
        """Read what stands behind the last line break; not `whole`: nobody knows whether it was cut off there.

        Raises:
            FeedError: as `feed`.
        """
        rest, self._rest = self._rest, b""
        if rest and whole:
            self._line(rest)
        elif rest:
            self._leave_out(LeftOut.GARBAGE)
        if self.left_out[LeftOut.GARBAGE] > self.entries + self.left_out[LeftOut.SPECIAL]:
            raise FeedError(f"it is no list: {self.left_out[LeftOut.GARBAGE]} lines name nobody")

    def ordered(self, into: Listed) -> Iterator[None]:
        """Put what was read into a list; after each step others may work."""
        return self._gathering.ordered(into)

    def name(self, text: str) -> None:
        """Read one address or network that does not stand in a line of its own. Raises FeedError."""
        self._digest.update(text.encode("utf-8", "backslashreplace"))
        self._line(text.encode("utf-8", "backslashreplace"))

    def _line(self, line: bytes) -> None:
        line = line.removeprefix(MARK).strip()
        if not line or line.startswith(_COMMENTS):
            return
        match = _LINE.fullmatch(line)
        found = LeftOut.GARBAGE if match is None else named(match[1])
        if isinstance(found, LeftOut):
            self._leave_out(found)
            return
        width, numbers = split(*found)
        self.entries += len(numbers)
        if self.entries > self._limit:
            raise FeedError(f"it has more than {self._limit:,} addresses and networks (AMIGUARD_FEED_LIMIT)")
        for number in numbers:
            self._gathering.add(width, number)

    def _leave_out(self, why: LeftOut) -> None:
        self.left_out[why] += 1
        garbage = self.left_out[LeftOut.GARBAGE]
        if garbage > PATIENCE and garbage > self.entries + self.left_out[LeftOut.SPECIAL]:
            raise FeedError(f"it is no list: {garbage} lines name nobody")
