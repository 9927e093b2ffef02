"""How SIP messages travel: UDP, TCP, TLS, WS and WSS, from any address of a network namespace."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from tests.lab.netns import NetworkNamespace

PORTS = {"udp": 5060, "tcp": 5060, "tls": 5061, "ws": 8088, "wss": 8089}
LARGEST = 65536
FINAL_TEXT = 0x81
MASKED = 0x80
LENGTH_FOLLOWS = 126
UPGRADE = b"""GET /ws HTTP/1.1\r
Host: asterisk\r
Upgrade: websocket\r
Connection: Upgrade\r
Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r
Sec-WebSocket-Version: 13\r
Sec-WebSocket-Protocol: sip\r
\r
"""


class Connection(Protocol):
    """One way from a user agent to a server."""

    transport: str
    local: tuple[str, int]
    server: str

    async def send(self, message: bytes) -> None:
        """Send one SIP message."""

    async def receive(self) -> bytes:
        """Return the next SIP message. Raises OSError or EOFError when the other side is gone."""


def connect(
    attackers: NetworkNamespace, source: str, server: str, transport: str = "udp"
) -> AbstractAsyncContextManager[Connection]:
    """Connect from the address `source` of the namespace `attackers` to `server`, until the context is left."""
    if transport == "udp":
        return datagrams(attackers, source, server)
    return stream(attackers, source, server, transport)


def bound(attackers: NetworkNamespace, source: str, kind: socket.SocketKind) -> socket.socket:
    family = socket.AF_INET6 if ":" in source else socket.AF_INET
    with attackers.entered():
        opened = socket.socket(family, kind)
    opened.setblocking(False)
    opened.bind((source, 0))
    return opened


def trusting() -> ssl.SSLContext:
    """Return a context that accepts any server: attackers do not care whom they attack."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


@dataclass(slots=True)
class Datagrams:
    transport: str
    local: tuple[str, int]
    server: str
    opened: socket.socket

    async def send(self, message: bytes) -> None:
        await asyncio.get_running_loop().sock_sendall(self.opened, message)

    async def receive(self) -> bytes:
        return await asyncio.get_running_loop().sock_recv(self.opened, LARGEST)


@asynccontextmanager
async def datagrams(attackers: NetworkNamespace, source: str, server: str) -> AsyncIterator[Connection]:
    with bound(attackers, source, socket.SOCK_DGRAM) as opened:
        opened.connect((server, PORTS["udp"]))
        yield Datagrams("udp", opened.getsockname()[:2], server, opened)


@dataclass(slots=True)
class Stream:
    transport: str
    local: tuple[str, int]
    server: str
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, message: bytes) -> None:
        self.writer.write(message)
        await self.writer.drain()

    async def receive(self) -> bytes:
        head = await self.reader.readuntil(b"\r\n\r\n")
        lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
        return head + await self.reader.readexactly(int(lengths[0].partition(b":")[2]))


@dataclass(slots=True)
class WebSocket:
    """SIP in frames (RFC 6455 and 7118), masked with zeroes, which is a mask like any other."""

    transport: str
    local: tuple[str, int]
    server: str
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, message: bytes) -> None:
        self.writer.write(struct.pack("!BBHL", FINAL_TEXT, MASKED | LENGTH_FOLLOWS, len(message), 0) + message)
        await self.writer.drain()

    async def receive(self) -> bytes:
        _, length = await self.reader.readexactly(2)
        if length == LENGTH_FOLLOWS:
            (length,) = struct.unpack("!H", await self.reader.readexactly(2))
        return await self.reader.readexactly(length)


async def upgrade(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Ask for a WebSocket that carries SIP."""
    writer.write(UPGRADE)
    answer = await reader.readuntil(b"\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 101 "), answer


@asynccontextmanager
async def stream(attackers: NetworkNamespace, source: str, server: str, transport: str) -> AsyncIterator[Connection]:
    opened = bound(attackers, source, socket.SOCK_STREAM)
    try:
        await asyncio.get_running_loop().sock_connect(opened, (server, PORTS[transport]))
        tls: dict[str, Any] = {"ssl": trusting(), "server_hostname": server} if transport in {"tls", "wss"} else {}
        reader, writer = await asyncio.open_connection(sock=opened, **tls)
    except BaseException:
        opened.close()
        raise
    try:
        local = opened.getsockname()[:2]
        if transport in {"ws", "wss"}:
            await upgrade(reader, writer)
            yield WebSocket(transport, local, server, reader, writer)
        else:
            yield Stream(transport, local, server, reader, writer)
    finally:
        writer.transport.abort()
