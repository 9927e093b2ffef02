"""A plain reader of Asterisk's manager interface, for tests of what Asterisk says."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.lab.netns import NetworkNamespace

PORT = 5038
ANSWER_SECONDS = 5
LONGEST_BLOCK = 1 << 20

Block = dict[str, str]
"""One event or response; of a header that comes twice the last one stands."""


class Manager:
    """A logged-in connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.events: list[Block] = []

    def send(self, **headers: str) -> None:
        lines = [f"{key}: {value}\r\n" for key, value in headers.items()]
        self._writer.write(("".join(lines) + "\r\n").encode())

    async def block(self) -> Block:
        """Return the next event or response; events are kept in `events` too."""
        async with asyncio.timeout(ANSWER_SECONDS):
            raw = await self._reader.readuntil(b"\r\n\r\n")
        lines = raw.decode(errors="replace").split("\r\n")
        block = {key: value.removeprefix(" ") for key, _, value in (line.partition(":") for line in lines) if key}
        if "Event" in block:
            self.events.append(block)
        return block

    async def event(self, name: str, **wanted: str) -> Block:
        """Return the next event of that name with these headers.

        Raises:
            TimeoutError: none came for some seconds; `events` tells what did.
        """
        while True:
            block = await self.block()
            if block.get("Event") == name and wanted.items() <= block.items():
                return block


@asynccontextmanager
async def manager(server: NetworkNamespace, user: str) -> AsyncIterator[Manager]:
    """Log in to the Asterisk that runs in `server`, and log off at the end."""
    with server.entered():
        opened = socket.create_connection(("127.0.0.1", PORT))
    reader, writer = await asyncio.open_connection(sock=opened, limit=LONGEST_BLOCK)
    try:
        await reader.readuntil(b"\r\n")  # the banner
        connection = Manager(reader, writer)
        connection.send(Action="Login", Username=user, Secret=f"{user}-secret")
        answer = await connection.block()
        assert answer.get("Message") == "Authentication accepted", answer
        yield connection
    finally:
        writer.close()
        await writer.wait_closed()
