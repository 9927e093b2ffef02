"""Mail servers to test against: aiosmtpd on loopback, and bare sockets that misbehave."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword

PASSWORD = "correct horse battery staple"


@dataclass
class Sink:
    """What an aiosmtpd server does and has got. `data` and `rcpt` are answers, used up one a command; None = accept."""

    envelopes: list[Envelope] = field(default_factory=list)
    data: list[str] = field(default_factory=list)
    rcpt: dict[str, list[str]] = field(default_factory=dict)
    before_data: Callable[[], None] = lambda: None
    sessions: int = 0
    port: int = 0

    # aiosmtpd finds these by name and passes arguments by position.

    async def handle_EHLO(self, _server: Any, session: Any, _envelope: Any, name: str, lines: list[str]) -> list[str]:  # noqa: N802 -- see above
        self.sessions += 1
        session.host_name = name
        return lines

    async def handle_RCPT(self, _server: Any, _session: Any, envelope: Any, address: str, _options: list[str]) -> str:  # noqa: N802 -- see above
        if answers := self.rcpt.get(address):
            return answers.pop(0)
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Envelope) -> str:  # noqa: N802 -- see above
        self.before_data()
        if self.data:
            return self.data.pop(0)
        self.envelopes.append(envelope)
        return "250 taken"

    @property
    def messages(self) -> list[EmailMessage]:
        return [parsed(envelope.content) for envelope in self.envelopes]


def parsed(content: str | bytes | None) -> EmailMessage:
    assert isinstance(content, bytes)
    message = message_from_bytes(content, policy=default)
    assert isinstance(message, EmailMessage)
    return message


def body(message: EmailMessage, kind: str = "plain") -> str:
    part = message.get_body((kind,))
    assert part is not None
    text = part.get_content()
    assert isinstance(text, str)
    return text.replace("\r\n", "\n")


def login(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
    right = isinstance(data, LoginPassword) and (data.login, data.password) == (b"guard", PASSWORD.encode())
    return AuthResult(success=right, handled=False)


@asynccontextmanager
async def smtp_server(
    sink: Sink,
    *,
    tls: ssl.SSLContext | None = None,
    starttls: ssl.SSLContext | None = None,
    auth: bool = False,
    port: int = 0,
) -> AsyncIterator[Sink]:
    """Run an aiosmtpd server on 127.0.0.1 until the end of the block."""
    loop = asyncio.get_running_loop()
    protocols: list[SMTP] = []

    def protocol() -> SMTP:
        made = SMTP(
            sink,
            hostname="mx.example.org",
            loop=loop,
            tls_context=starttls,
            require_starttls=starttls is not None,
            authenticator=login if auth else None,
            auth_required=auth and starttls is not None,  # aiosmtpd warns of it where TLS is not its own doing
            auth_require_tls=starttls is not None,
        )
        protocols.append(made)
        return made

    server = await loop.create_server(protocol, "127.0.0.1", port, ssl=tls)
    sink.port = server.sockets[0].getsockname()[1]
    try:
        yield sink
    finally:
        server.close()
        for one in protocols:
            if isinstance(one.transport, asyncio.WriteTransport) and not one.transport.is_closing():
                one.transport.abort()
        await server.wait_closed()


Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def raw_server(talk: Talk) -> AsyncIterator[int]:
    """Run `talk` for each connection; yield the port. What still talks at the end is cancelled."""
    tasks: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await talk(reader, writer)
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.transport.abort()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks)
        await server.wait_closed()


async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Never say a word."""
    await reader.read()


async def die_in_data(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Serve up to DATA, then read a little of the mail and vanish."""
    writer.write(b"220 mx.example.org\r\n")
    while line := await reader.readline():
        if line.startswith(b"DATA"):
            writer.write(b"354 go on\r\n")
            await reader.readline()
            return
        writer.write(b"250 OK\r\n")
