"""What an attacker does to the server in the tests of several firewalls, over TCP and UDP."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.netns.wire import PORT, SERVERS, V4, V6, Wire

BOTH = pytest.mark.parametrize("source", [V4, V6])
STRENGTHS = pytest.mark.parametrize("absolute", [True, False])


def family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


@contextmanager
def attacking(wire: Wire, source: str, kind: socket.SocketKind) -> Iterator[socket.socket]:
    """A socket of the attacker, with this address."""
    with wire.attacker.entered():
        client = socket.socket(family(source), kind)
    with client:
        client.bind((source, 0))
        client.settimeout(10)  # a busy machine takes seconds to bring a new link up
        yield client


@contextmanager
def connected(wire: Wire) -> Iterator[tuple[socket.socket, socket.socket]]:
    """A connection from the attacker to the server that works: his end, and the server's."""
    with socket.create_server((SERVERS[0], PORT)) as listening, attacking(wire, V4, socket.SOCK_STREAM) as client:
        client.connect((SERVERS[0], PORT))
        served, _ = listening.accept()
        with served:
            client.sendall(b"before")
            assert served.recv(100) == b"before"
            yield client, served


def hears_nothing(served: socket.socket) -> bool:
    """Whether nothing has come."""
    served.setblocking(False)
    try:
        served.recv(100)
    except BlockingIOError:
        return True
    return False


async def is_told(wire: Wire, source: str) -> None:
    """Assert that who is rejected hears so at once, over TCP and UDP, and that nothing of his arrives."""
    server = SERVERS[":" in source]
    with (
        socket.create_server((server, PORT), family=family(source)),
        attacking(wire, source, socket.SOCK_STREAM) as stream,
        attacking(wire, source, socket.SOCK_DGRAM) as datagrams,
    ):
        with pytest.raises(ConnectionRefusedError):
            await asyncio.to_thread(stream.connect, (server, PORT))
        datagrams.connect((server, PORT))
        datagrams.send(b"rejected")
        with pytest.raises(ConnectionRefusedError):
            await asyncio.to_thread(datagrams.recv, 100)
        assert b"rejected" not in wire.received()
