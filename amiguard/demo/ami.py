"""The manager interface of the stand-in: banner, login, pings, and the events that a real Asterisk once wrote."""

from __future__ import annotations

import asyncio
from importlib.resources import files
from typing import cast

from amiguard.override import override

BANNER = b"Asterisk Call Manager/11.0.0\r\n"
BLOCK = b"\r\n\r\n"
LONGEST_ACTION = 64 << 10

USER = "secmon"
"""The manager user of the recorded login."""

LOGIN = (files("amiguard.demo") / "traffic/login.raw").read_bytes()
"""How Asterisk reported the login of `USER` from `LOGIN_FROM`."""

LOGIN_FROM = b"10.99.130.5/42731"


class ManagerInterface:
    """What its sessions share."""

    def __init__(self, secret: str) -> None:
        self.secret = secret
        self.sessions: set[ManagerSession] = set()

    def write(self, events: bytes) -> None:
        """Send events to everyone who is logged in."""
        for session in self.sessions:
            if session.logged_in:
                session.transport.write(events)

    def end(self) -> None:
        """End all sessions."""
        for session in list(self.sessions):
            session.transport.abort()


class ManagerSession(asyncio.Protocol):
    """One client."""

    def __init__(self, interface: ManagerInterface) -> None:
        self.transport: asyncio.Transport
        self.logged_in = False
        self._interface = interface
        self._received = bytearray()

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self._interface.sessions.add(self)
        self.transport.write(BANNER)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._interface.sessions.discard(self)

    @override
    def data_received(self, data: bytes) -> None:
        self._received += data
        if len(self._received) > LONGEST_ACTION:
            self.transport.abort()
        while (end := self._received.find(BLOCK)) >= 0:
            lines = self._received[:end].decode(errors="replace").split("\r\n")
            del self._received[: end + len(BLOCK)]
            self._act({name: value for name, _, value in (line.partition(": ") for line in lines)})

    def _act(self, action: dict[str, str]) -> None:
        match action.get("Action"):
            case "Login" if (action.get("Username"), action.get("Secret")) == (USER, self._interface.secret):
                self._answer(action, "Success", "Message: Authentication accepted")
                here = "{}/{}".format(*self.transport.get_extra_info("peername")).encode()
                self.transport.write(LOGIN.replace(LOGIN_FROM, here))
                self.logged_in = True
            case "Login":
                self._answer(action, "Error", "Message: Authentication failed")
                self.transport.close()
            case "Ping":
                self._answer(action, "Success", "Ping: Pong")
            case "Logoff":
                self._answer(action, "Goodbye", "Message: Thanks for all the fish.")
                self.transport.close()
            case _:
                self._answer(action, "Error", "Message: Invalid/unknown command")

    def _answer(self, action: dict[str, str], response: str, line: str) -> None:
        answer = f"Response: {response}\r\nActionID: {action.get('ActionID', '')}\r\n{line}"
        self.transport.write(answer.encode() + BLOCK)
