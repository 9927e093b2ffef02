"""Private network namespaces without a name: each vanishes, with all that nftables holds there, with its last user."""

from __future__ import annotations

import ctypes
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self

CLONE_NEWNET = 0x40000000
OWN = "/proc/thread-self/ns/net"

libc = ctypes.CDLL(None, use_errno=True)  # os.setns and os.unshare came with Python 3.12


def check(result: int) -> None:
    """Raise OSError where the C library says that a call failed."""
    if result != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def enter(descriptor: int) -> None:
    """Move the calling thread into a network namespace. Raises OSError."""
    check(libc.setns(descriptor, CLONE_NEWNET))


@contextmanager
def _restored() -> Iterator[None]:
    own = os.open(OWN, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield
    finally:
        enter(own)
        os.close(own)


class Namespace:
    """One network namespace, kept by a descriptor. A context manager."""

    def __init__(self) -> None:
        self.descriptor = -1

    def __enter__(self) -> Self:
        with _restored():
            check(libc.unshare(CLONE_NEWNET))
            self.descriptor = os.open(OWN, os.O_RDONLY | os.O_CLOEXEC)
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.descriptor)
        self.descriptor = -1

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Put the calling thread into this namespace; nothing may be awaited inside."""
        with _restored():
            enter(self.descriptor)
            yield

    def socket(self, kind: socket.SocketKind, address: tuple[str, int]) -> socket.socket:
        """Return a non-blocking IPv4 socket of this namespace, bound to `address`."""
        with self.entered():
            opened = socket.socket(socket.AF_INET, kind)
        opened.setblocking(False)
        opened.bind(address)
        return opened
