"""Log-ins at Asterisk's manager interface that fail: over its own port, and over HTTP."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import quote_from_bytes

from tests.lab.ami import PORT as AMI_PORT
from tests.lab.netns import NetworkNamespace
from tests.lab.transports import bound

HTTP_PORT = 8088
PATIENCE = 20
"""Seconds: Asterisk answers after one, and more where many try at once."""


async def ami(attackers: NetworkNamespace, source: str, server: str, user: bytes, secret: bytes = b"wrong") -> bytes:
    """Log in over the manager's own port; return the answer."""
    async with _connected(attackers, source, server, AMI_PORT) as (reader, writer):
        await reader.readuntil(b"\r\n")  # the banner
        writer.write(b"Action: Login\r\nUsername: " + user + b"\r\nSecret: " + secret + b"\r\n\r\n")
        return await reader.readuntil(b"\r\n\r\n")


async def http(attackers: NetworkNamespace, source: str, server: str, user: bytes, secret: bytes = b"wrong") -> bytes:
    """Log in over HTTP, where a name is percent-encoded and may hold any byte; return the answer."""
    async with _connected(attackers, source, server, HTTP_PORT) as (reader, writer):
        query = f"action=login&username={quote_from_bytes(user, safe='')}&secret={quote_from_bytes(secret, safe='')}"
        writer.write(f"GET /rawman?{query} HTTP/1.1\r\nHost: asterisk\r\nConnection: close\r\n\r\n".encode())
        return await reader.read()


@asynccontextmanager
async def _connected(
    attackers: NetworkNamespace, source: str, server: str, port: int
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    with bound(attackers, source, socket.SOCK_STREAM) as opened:
        async with asyncio.timeout(PATIENCE):
            await asyncio.get_running_loop().sock_connect(opened, (server, port))
            reader, writer = await asyncio.open_connection(sock=opened)
            try:
                yield reader, writer
            finally:
                writer.transport.abort()
