"""Takes connections in: one in a step of the loop, and over TCP no more than a crowd may cost."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

from amiguard.eventloop import defer

COST = 0.0002
"""Seconds of the loop that a connection takes which comes and goes."""

REST = 49
"""How long nobody is let in, in times of that: connections take at most a fiftieth of the loop."""

DEBT = 2.5
"""Seconds of rest that may be owed: some 250 connections at once are no crowd that comes and goes."""

PAUSE = 0.01
"""Seconds for which nobody is let in once that is reached."""

AGAIN = 1.0
"""Seconds until the next attempt where no file descriptor is left."""


class Acceptor:
    """Gives each connection that comes in by `listener` a protocol that `protocol` makes."""

    def __init__(self, listener: socket.socket, protocol: Callable[[], asyncio.BaseProtocol]) -> None:
        self._listener = listener
        self._protocol = protocol
        self._loop = asyncio.get_running_loop()
        self._free_at = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._entering: set[asyncio.Task[None]] = set()
        defer(listener)
        self._listen()

    def close(self) -> None:
        """Let nobody else in."""
        if self._timer is not None:
            self._timer.cancel()
        if self._listener.fileno() >= 0:
            self._loop.remove_reader(self._listener)
            self._listener.close()

    def _listen(self) -> None:
        self._timer = None
        self._loop.add_reader(self._listener, self._accept)

    def _rest(self, seconds: float) -> None:
        self._loop.remove_reader(self._listener)
        self._timer = self._loop.call_later(seconds, self._listen)

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return
        except OSError as error:
            message = "socket.accept() out of system resource"
            self._loop.call_exception_handler({"message": message, "exception": error})
            self._rest(AGAIN)
            return
        self._take_in(connection)
        if self._free_at - self._loop.time() > DEBT:
            self._rest(PAUSE)

    def _take_in(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        defer(connection)
        entering = self._loop.create_task(self._enter(connection))
        self._entering.add(entering)
        entering.add_done_callback(self._entering.discard)
        if self._listener.family != socket.AF_UNIX:  # whose clients asyncio takes for connected where the queue is full
            self._free_at = max(self._free_at, self._loop.time()) + COST * REST

    async def _enter(self, connection: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(self._protocol, connection)
        except OSError:  # it has gone
            connection.close()
