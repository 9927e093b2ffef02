"""Who gave which command: the kernel tells who is at the other end of the socket, and the journal keeps it."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from aiohttp import web

from amiguard.errors import BanRefused, FirewallError
from amiguard.journal import Action, Journal


class Peer(NamedTuple):
    """Who is at the other end of the socket, as the kernel tells."""

    pid: int
    uid: int


PEER = web.RequestKey("peer", Peer)


def peer_of(request: web.Request) -> Peer:
    """Return who sent a request; -1 where the connection is gone already."""
    connection = None if request.transport is None else request.transport.get_extra_info("socket")
    if connection is None:
        return Peer(-1, -1)
    pid, uid, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return Peer(pid, uid)


class Audit:
    """Writes a line for each command, whatever came of it."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def told(self, request: web.Request, command: str, *, outcome: str = "success", **fields: object) -> None:
        """Write down a command and its outcome."""
        peer = request[PEER]
        told = {"peer_uid": peer.uid, "peer_pid": peer.pid, "outcome": outcome}
        self._journal.write(Action.CONTROL, command, **told, **fields)

    @contextmanager
    def refusals(self, request: web.Request, command: str, **fields: object) -> Iterator[None]:
        """Write down a command that the allowlist or the kernel refuses."""
        try:
            yield
        except (BanRefused, FirewallError) as error:
            self.told(request, command, outcome="failure", error=error, **fields)
            raise
