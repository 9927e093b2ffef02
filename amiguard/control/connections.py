"""Connections of the control interface, from the first byte that does not come to the last."""

from __future__ import annotations

import asyncio

from aiohttp import web


class Connections:
    """Makes the protocol of each new connection, and cuts those that stay silent: aiohttp would wait for ever."""

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._silent: dict[web.RequestHandler, asyncio.TimerHandle] = {}

    def accept(self, http: web.Server) -> web.RequestHandler:
        """Return the protocol of a new connection."""
        connection = http()
        self._silent[connection] = asyncio.get_running_loop().call_later(self._patience, self._cut, connection)
        return connection

    def spoke(self, connection: web.RequestHandler) -> None:
        """Note that a whole request has come."""
        timer = self._silent.pop(connection, None)
        if timer is not None:
            timer.cancel()

    def close(self) -> None:
        """Cut all that are still silent."""
        for connection in list(self._silent):
            self._cut(connection)

    def _cut(self, connection: web.RequestHandler) -> None:
        self._silent.pop(connection).cancel()
        if connection.transport is not None:
            connection.transport.abort()
