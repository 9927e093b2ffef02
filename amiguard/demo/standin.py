"""Stands in for Asterisk: a SIP registrar, and a manager interface that plays what a real Asterisk 22 wrote.

The recorded attack came from the same address to the same address, so each byte is as it was. The phone's success is
not recorded and not played: amiguard does nothing about it."""

from __future__ import annotations

import asyncio
import secrets
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.resources import files

from amiguard.demo.ami import BLOCK, USER, ManagerInterface, ManagerSession
from amiguard.demo.namespaces import Namespace
from amiguard.demo.network import ATTACKER, MANAGER, SERVER, SIP_PORT
from amiguard.demo.registrar import Registrar
from amiguard.demo.server import ACCOUNT, Server

ATTACK = (files("amiguard.demo") / "traffic/attack.raw").read_bytes()
"""Ten attempts with a wrong password: for each the event of its first REGISTER, then that of its second."""


class Recording:
    """Plays the recorded attack, an event for each REGISTER of the attacker that really arrives."""

    def __init__(self, interface: ManagerInterface) -> None:
        self.told_at: list[float] = []
        self._interface = interface
        self._events = [event + BLOCK for event in ATTACK.split(BLOCK) if event]
        self._clock = asyncio.get_running_loop().time

    def refused(self, source: str, judged: bool) -> None:
        """Play what Asterisk said of this REGISTER."""
        if source != ATTACKER or not self._events:
            return
        if judged:
            self.told_at.append(self._clock())
        self._interface.write(self._events.pop(0))


@asynccontextmanager
async def stand_in(namespace: Namespace) -> AsyncIterator[Server]:
    """Serve in `namespace` until the end of the block."""
    loop = asyncio.get_running_loop()
    password = secrets.token_hex(8)
    interface = ManagerInterface(secrets.token_hex(16))
    recording = Recording(interface)
    registrar = Registrar({ACCOUNT: password}, recording.refused)
    listening = await loop.create_server(
        lambda: ManagerSession(interface), sock=namespace.socket(socket.SOCK_STREAM, MANAGER)
    )
    transport, _ = await loop.create_datagram_endpoint(
        lambda: registrar, sock=namespace.socket(socket.SOCK_DGRAM, (SERVER, SIP_PORT))
    )
    try:
        yield Server(
            "a stand-in for Asterisk that plays what a real Asterisk 22 wrote",
            password,
            USER,
            interface.secret,
            registrar.arrived,
            recording.told_at,
        )
    finally:
        transport.close()
        listening.close()
        interface.end()
        await listening.wait_closed()
