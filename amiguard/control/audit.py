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
    """Who is at the other end of a connection: of the socket a process, over TCP an address."""

    pid: int = -1
    uid: int = -1
    address: str = ""

    def fields(self) -> dict[str, object]:
        """Return what the journal tells of it."""
        return {"peer": self.address} if self.address else {"peer_uid": self.uid, "peer_pid": self.pid}


PEER = web.RequestKey("peer", Peer)


def peer_of(request: web.Request) -> Peer:
    """Return who sent a request, as the kernel tells; -1 where the connection is gone already."""
    connection = None if request.transport is None else request.transport.get_extra_info("socket")
    if connection is None:
        return Peer()
    if connection.family != socket.AF_UNIX:
        host, port = request.transport.get_extra_info("peername")[:2] if request.transport else ("", 0)
        return Peer(address=f"{host} port {port}")
    pid, uid, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return Peer(pid, uid)


class Audit:
    """Writes a line for each command, whatever came of it."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def told(self, request: web.Request, command: str, *, outcome: str = "success", **fields: object) -> None:
        """Write down a command and its outcome."""
        self._journal.write(Action.CONTROL, command, outcome=outcome, **request[PEER].fields(), **fields)

    @contextmanager
    def refusals(self, request: web.Request, command: str, **fields: object) -> Iterator[None]:
        """Write down a command that the allowlist or the kernel refuses."""
        try:
            yield
        except (BanRefused, FirewallError) as error:
            self.told(request, command, outcome="failure", error=error, **fields)
            raise
