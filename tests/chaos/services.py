"""A mail server, a webhook's receiver and a Redis that work, and then do not: the same port, dead, silent or lying."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from tests.lab.netns import NetworkNamespace

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

CHUNK = b"\xff\x00 250-liar <script>\n" * 4096


class Service:
    """Listens at 127.0.0.1 of a namespace and talks to each client as `well`, unless told otherwise."""

    def __init__(self, namespace: NetworkNamespace, well: Talk, port: int = 0) -> None:
        self.port = port
        self._namespace = namespace
        self._well = well
        self._talk = well
        self._server: asyncio.Server | None = None
        self._tasks = set[asyncio.Task[None]]()

    async def open(self) -> None:
        with self._namespace.entered():
            self._server = await asyncio.start_server(self._connected, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Refuse connections, and break those that there are."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @asynccontextmanager
    async def talking(self, talk: Talk | None) -> AsyncIterator[None]:
        """Talk in this way, None = be dead; then well again."""
        await self.close()
        if talk is not None:
            self._talk = talk
            await self.open()
        try:
            yield
        finally:
            await self.close()
            self._talk = self._well
            await self.open()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            with suppress(OSError, EOFError, asyncio.CancelledError):
                await self._talk(reader, writer)
        finally:
            self._tasks.discard(task)
            writer.transport.abort()


async def take_mail(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Take whatever a mail client sends (RFC 5321)."""
    writer.write(b"220 mx.example.org\r\n")
    while line := await reader.readline():
        if line.startswith(b"DATA"):
            writer.write(b"354 go on\r\n")
            await reader.readuntil(b"\r\n.\r\n")
        writer.write(b"250 OK\r\n")


async def take_post(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Take one request, whatever it is, and end the connection."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(line.split(b":")[1] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length"))
    await reader.readexactly(int(length))
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    await writer.drain()


async def be_silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Never say a word."""
    await asyncio.Event().wait()


async def dawdle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Say a letter a second, and never come to an end."""
    while True:
        writer.write(b"2")
        await asyncio.sleep(1)


async def hand_on(path: Path, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Be whoever listens at a Unix socket."""
    far_reader, far_writer = await asyncio.open_unix_connection(str(path))
    try:
        await asyncio.gather(_copy(reader, far_writer), _copy(far_reader, writer))
    finally:
        if not far_writer.transport.is_closing():
            far_writer.transport.abort()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(1 << 16):
        writer.write(data)
        await writer.drain()
    writer.close()


async def lie(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Say what makes no sense, without end."""
    while True:
        writer.write(CHUNK)
        await writer.drain()
