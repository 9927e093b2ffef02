"""The TCP port of the control interface, which can move and change its token while amiguard runs."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

from amiguard.control.door import Door
from amiguard.control.listening import listen_tcp
from amiguard.control.settings import Address
from amiguard.control.token import Token

SETTLED = 0.1
"""Seconds after which asyncio has given a new connection its transport."""


class TcpDoor:
    """The TCP port, where there is one. `opened` returns the door for those who show a token."""

    def __init__(self, opened: Callable[[Token], Door]) -> None:
        self._opened = opened
        self._address: Address | None = None
        self._token = Token("")
        self._door: Door | None = None
        self._leaving: set[asyncio.Task[None]] = set()

    def listener(self, address: Address | None) -> socket.socket | None:
        """Return a socket that listens there; None where none is wanted, or the one in use does.

        Raises:
            ControlError: somebody else listens there, or the address is not this machine's.
        """
        if address is None or address == self._address:
            return None
        return listen_tcp(address.host, address.port)

    async def change(self, address: Address | None, token: str, listener: socket.socket | None) -> None:
        """Serve at `address`, by what `listener` returned for it, whoever shows the token; nobody elsewhere.

        Event streams end that an earlier token opened, or that came in elsewhere."""
        if address == self._address:
            if self._door is not None and token != self._token.value:
                self._token.value = token
                await self._door.end_streams()
            return
        if self._door is not None:
            self._door.shut()
            self._token.invalidate()
            leaving = asyncio.get_running_loop().create_task(leave(self._door))
            self._leaving.add(leaving)
            leaving.add_done_callback(self._leaving.discard)
        self._address, self._door, self._token = address, None, Token(token)
        if listener is not None:
            self._door = self._opened(self._token)
            self._door.start(listener)

    def shut(self) -> None:
        """Let nobody else in."""
        if self._door is not None:
            self._door.shut()

    async def close(self) -> None:
        """Give requests in progress a moment, and cut what is left."""
        if self._door is not None:
            await self._door.close()
        await asyncio.gather(*self._leaving)


async def leave(door: Door) -> None:
    """Close what nobody enters any more, but not before those are known who came in last.

    Requests in progress get a moment: one of them may be the one that asked for this."""
    await asyncio.sleep(SETTLED)
    await door.close()
