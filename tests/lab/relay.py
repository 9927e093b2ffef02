"""A TCP relay inside a network namespace that can be cut and mended: how a connection is lost without its server."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from tests.lab.netns import NetworkNamespace

HERE = "127.0.0.1"
CHUNK = 1 << 16


class Relay:
    """Hands on every byte between its own port and that of the server, while it is not cut."""

    def __init__(self, namespace: NetworkNamespace, port: int) -> None:
        self.port = 0
        self._namespace = namespace
        self._to = port
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    async def mend(self) -> None:
        """Listen, on the same port as before."""
        with self._namespace.entered():
            listener = socket.create_server((HERE, self.port))
        self.port = listener.getsockname()[1]
        self._server = await asyncio.start_server(self._serve, sock=listener)

    async def cut(self) -> None:
        """End every connection and refuse new ones."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            with self._namespace.entered():
                opened = socket.create_connection((HERE, self._to))
            far_reader, far_writer = await asyncio.open_connection(sock=opened)
            try:
                await asyncio.gather(_copy(reader, far_writer), _copy(far_reader, writer))
            finally:
                far_writer.transport.abort()
        except asyncio.CancelledError:
            return
        finally:
            writer.transport.abort()
            self._connections.discard(task)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(CHUNK):
            writer.write(data)
            await writer.drain()
        writer.write_eof()


@asynccontextmanager
async def relay(namespace: NetworkNamespace, port: int) -> AsyncIterator[Relay]:
    """Relay to `port` of the namespace."""
    made = Relay(namespace, port)
    await made.mend()
    try:
        yield made
    finally:
        await made.cut()
