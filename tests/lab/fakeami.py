"""A manager interface that does what it is told: real sockets and real bytes, without an Asterisk behind them."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from types import TracebackType
from typing import Self, cast

from typing_extensions import override

BANNER = b"Asterisk Call Manager/11.0.0\r\n"
CHUNK = 64 << 10


class Login(StrEnum):
    """How a login is answered. A wrong user or secret is always refused where CHECKED."""

    CHECKED = "checked"
    SILENT = "silent"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """How the server behaves.

    `banner` is sent piece by piece, or not at all; `secret` None accepts every one; `security_class` is `read=security`
    of the user; `canary` is whether his own login is reported back; `pong` whether pings are answered; `after_login` is
    sent in one piece with the answer. `lists` are the events, as text, with which actions are answered; others are
    denied, or not known to who has `write_system`. `repeats`: who is refused hears his secret."""

    banner: tuple[bytes, ...] = (BANNER,)
    username: str = "amiguard"
    secret: str | None = None
    login: Login = Login.CHECKED
    security_class: bool = True
    canary: bool = True
    pong: bool = True
    after_login: bytes = b""
    write_system: bool = False
    lists: Mapping[str, Sequence[str]] = field(default_factory=dict)
    repeats: bool = False


def security_event(
    name: str = "InvalidAccountID",
    *,
    service: str = "PJSIP",
    account: str = "6001",
    session: str = "call-1",
    remote: str = "IPV4/UDP/198.51.100.7/5060",
    local: str = "IPV4/UDP/192.0.2.1/5060",
    more: Iterable[tuple[str, str]] = (),
) -> bytes:
    """Return an event as Asterisk writes it; `more` are the headers that this event has after RemoteAddress."""
    headers = [
        ("Event", name),
        ("Privilege", "security,all"),
        ("EventTV", "2026-11-22T10:03:45.006+0000"),
        ("Severity", "Informational" if name in {"SuccessfulAuth", "ChallengeSent"} else "Error"),
        ("Service", service),
        ("EventVersion", "1"),
        ("AccountID", account),
        ("SessionID", session),
        ("LocalAddress", local),
        ("RemoteAddress", remote),
        *more,
    ]
    return b"".join(f"{key}: {value}\r\n".encode() for key, value in headers) + b"\r\n"


def remote_of(address: tuple[str, int]) -> str:
    """Return a socket address in the words of a manager event."""
    return f"{'IPV6' if ':' in address[0] else 'IPV4'}/TCP/{address[0]}/{address[1]}"


class FakeAmi:
    """The server: `async with FakeAmi(Script(...)) as server:` listens on `server.host`, `server.port`.

    `connections` counts what came in, `received` is all that clients sent, `actions` what they asked for."""

    def __init__(
        self, script: Script = Script(), *, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1", port: int = 0
    ) -> None:
        self.script = script
        self.host = host
        self.port = port
        self.connections = 0
        self.received = bytearray()
        self.actions: list[dict[str, str]] = []
        self.sessions: list[Session] = []
        self._tls = tls
        self._server: asyncio.Server

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: Session(self), self.host, self.port, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        ended = [session.ended for session in self.sessions]
        self.kick()
        if ended:
            await asyncio.wait(ended)
        await self._server.wait_closed()

    @property
    def logins(self) -> list[dict[str, str]]:
        """The logins that were tried."""
        return [action for action in self.actions if action.get("Action") == "Login"]

    @property
    def listeners(self) -> list[Session]:
        """The sessions that are logged in."""
        return [session for session in self.sessions if session.logged_in]

    def kick(self) -> None:
        """End all sessions at once, as a restart of Asterisk does."""
        for session in list(self.sessions):
            session.transport.abort()

    async def play(self, data: bytes, chunk: int = CHUNK) -> None:
        """Send `data` to everyone who is logged in, in pieces of `chunk` bytes that arrive one by one."""
        for session in self.listeners:
            await session.play(data, chunk)


class Session(asyncio.Protocol):
    """One client of the server."""

    def __init__(self, server: FakeAmi) -> None:
        loop = asyncio.get_running_loop()
        self.server = server
        self.script = server.script
        self.logged_in = False
        self.peer: tuple[str, int]
        self.transport: asyncio.Transport
        self.ended: asyncio.Future[None] = loop.create_future()
        self._loop = loop
        self._buffer = bytearray()
        self._playing = False
        self._answers = b""
        self._writable = asyncio.Event()
        self._writable.set()

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.peer = transport.get_extra_info("peername")[:2]
        self.server.connections += 1
        self.server.sessions.append(self)
        self._greet(list(self.script.banner))

    def _greet(self, pieces: list[bytes]) -> None:
        if pieces and not self.transport.is_closing():
            self.transport.write(pieces[0])
            self._loop.call_later(0.01, self._greet, pieces[1:])

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self.server.sessions.remove(self)
        self.logged_in = False
        self._writable.set()
        self.ended.set_result(None)

    @override
    def pause_writing(self) -> None:
        self._writable.clear()

    @override
    def resume_writing(self) -> None:
        self._writable.set()

    @override
    def data_received(self, data: bytes) -> None:
        self.server.received += data
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            lines = bytes(self._buffer[:end]).decode().split("\r\n")
            del self._buffer[: end + 4]
            action = dict(cast("tuple[str, str]", line.split(": ", 1)) for line in lines)
            self.server.actions.append(action)
            self._act(action)

    def _act(self, action: dict[str, str]) -> None:
        name = action["Action"]
        if name == "Login":
            self._login(action)
        elif name == "Ping" and self.script.pong:
            self._answer(action, "Success", "Ping: Pong")
        elif name == "Logoff":
            self._answer(action, "Goodbye", "Message: Thanks for all the fish.")
            self.transport.close()
        elif name in self.script.lists:
            self._list(action, self.script.lists[name])
        elif name != "Ping":
            denied = not self.script.write_system
            self._answer(action, "Error", "Message: " + ("Permission denied" if denied else "Invalid/unknown command"))

    def _login(self, action: dict[str, str]) -> None:
        script = self.script
        if script.login is Login.SILENT:
            return
        if script.login is Login.CLOSED:
            self.transport.close()
        elif action["Username"] != script.username or script.secret not in {None, action["Secret"]}:
            repeated = f" for {action['Secret']}" if script.repeats else ""
            self._answer(action, "Error", f"Message: Authentication failed{repeated}")
            self.transport.close()
        else:
            self.logged_in = True
            self._answer(action, "Success", "Message: Authentication accepted")
            if script.security_class and script.canary:
                for listener in self.server.listeners:  # Asterisk tells every listener of every login
                    listener.transport.write(self._canary())
            if script.after_login:
                self.transport.write(script.after_login)

    def _list(self, action: dict[str, str], events: Sequence[str]) -> None:
        self._answer(action, "Success", "EventList: start\r\nMessage: A listing follows")
        for event in events:
            head, _, rest = event.partition("\n")
            text = f"{head}\nActionID: {action['ActionID']}\n{rest}\n\n"
            self._send(text.replace("\n", "\r\n").encode())
        end = f"Event: {action['Action']}Complete\nActionID: {action['ActionID']}\nEventList: Complete\n\n"
        self._send(end.replace("\n", "\r\n").encode())

    def _canary(self) -> bytes:
        return security_event(
            "SuccessfulAuth",
            service="AMI",
            account=self.script.username,
            session="0x7f7ed4007030",
            remote=remote_of(self.peer),
            local=f"IPV4/TCP/0.0.0.0/{self.server.port}",
            more=[("UsingPassword", "0"), ("SessionTV", "2026-11-22T10:03:45.006+0000")],
        )

    def _answer(self, action: dict[str, str], response: str, line: str) -> None:
        self._send(f"Response: {response}\r\nActionID: {action['ActionID']}\r\n{line}\r\n\r\n".encode())

    def _send(self, answer: bytes) -> None:
        if self._playing:
            self._answers += answer
        else:
            self.transport.write(answer)

    async def play(self, data: bytes, chunk: int = CHUNK) -> None:
        """Send `data` in pieces; between two of them the client gets to read. Answers wait until all of it is out."""
        self._playing = True
        for start in range(0, len(data), chunk):
            await self._writable.wait()
            if self.transport.is_closing():
                return
            self.transport.write(data[start : start + chunk])
            await asyncio.sleep(0)
        self._playing = False
        self.transport.write(self._answers)
        self._answers = b""
        await self._writable.wait()
