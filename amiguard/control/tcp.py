"""The TCP port of the control interface, which can move and change its token while amiguard runs."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

from aiohttp.typedefs import Middleware

from amiguard.control.connections import SETTLED
from amiguard.control.gate import Token, admitting
from amiguard.control.listening import listen_tcp
from amiguard.control.service import Service
from amiguard.control.settings import Address


class TcpDoor:
    """The TCP port, where there is one. `serve` makes what serves those whom a gate admits."""

    def __init__(self, serve: Callable[[Middleware], Service]) -> None:
        self._serve = serve
        self._address: Address | None = None
        self._token = Token("")
        self._service: Service | None = None
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
            if self._service is not None and token != self._token.value:
                self._token.value = token
                await self._service.end_streams()
            return
        if self._service is not None:
            self._service.shut()
            self._token.invalidate()
            leaving = asyncio.get_running_loop().create_task(leave(self._service))
            self._leaving.add(leaving)
            leaving.add_done_callback(self._leaving.discard)
        self._address, self._service, self._token = address, None, Token(token)
        if listener is not None:
            self._service = self._serve(admitting(self._token))
            await self._service.start(listener)

    def shut(self) -> None:
        """Let nobody else in."""
        if self._service is not None:
            self._service.shut()

    async def close(self) -> None:
        """Give requests in progress a moment, and cut what is left."""
        if self._service is not None:
            await self._service.close()
        await asyncio.gather(*self._leaving)


async def leave(service: Service) -> None:
    """Close what nobody enters any more, but not before those are known who came in last.

    Requests in progress get a moment: one of them may be the one that asked for this."""
    await asyncio.sleep(SETTLED)
    await service.close()
