"""Cuts the byte stream of the Asterisk Manager Interface into blocks.

A block ends at CR LF CR LF, and nowhere else: a bare CR, U+2028 or a form feed can stand in an attacker's text, so
nothing here may think in lines of text. Time is linear and memory bounded whatever arrives."""

from __future__ import annotations

from amiguard.errors import SourceError

BANNER = b"Asterisk Call Manager/"
MAX_BANNER = 256
MAX_BLOCK = 1 << 20
"""A Call-ID of 60 kB arrives whole in an event; a small cap would let one packet end the connection."""

LINE_END = b"\r\n"
BLOCK_END = b"\r\n\r\n"


class FrameError(SourceError):
    """The peer does not speak AMI, or a block is longer than `MAX_BLOCK`."""


class Framer:
    """Turns received bytes into the blocks that are complete, without their CR LF CR LF.

    `banner` is the first line, once it is whole."""

    def __init__(self) -> None:
        self.banner: bytes | None = None
        self._buffer = bytearray()
        self._seen = 0

    @property
    def idle(self) -> bool:
        """Whether no part of a block is waiting for its end."""
        return not self._buffer

    def feed(self, data: bytes) -> list[bytes]:
        """Return the blocks that `data` completes.

        Raises:
            FrameError: there is no AMI banner, or a block grows beyond `MAX_BLOCK`.
        """
        buffer = self._buffer
        buffer += data
        if self.banner is None and not self._take_banner():
            return []
        if buffer.find(BLOCK_END, max(0, self._seen - len(BLOCK_END) + 1)) < 0:
            blocks = []
        else:
            *pieces, rest = bytes(buffer).split(BLOCK_END)
            blocks = [block for piece in pieces if (block := piece.lstrip(LINE_END))]  # a stray line end shifts nothing
            self._buffer = buffer = bytearray(rest)
        self._seen = len(buffer)
        if len(buffer) > MAX_BLOCK:
            raise FrameError(f"an AMI block is longer than {MAX_BLOCK} bytes")
        return blocks

    def _take_banner(self) -> bool:
        buffer = self._buffer
        end = buffer.find(LINE_END)
        line = bytes(buffer[: MAX_BANNER if end < 0 else end])
        if not line.startswith(BANNER[: len(line)]) or (end >= 0 and not line.startswith(BANNER)):
            raise FrameError(f"not an Asterisk manager: the first bytes are {line[:40]!r}")
        if end < 0:
            if len(buffer) >= MAX_BANNER:
                raise FrameError("the banner has no end")
            return False
        self.banner = line
        del buffer[: end + len(LINE_END)]
        return True
