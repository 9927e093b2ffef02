"""The administrator's mail server: takes every mail and keeps it. The only import of aiosmtpd (extra `demo`)."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import cast

from aiosmtpd import smtp

from amiguard.demo.namespaces import Namespace
from amiguard.demo.network import SMTP

Mailbox = asyncio.Queue[EmailMessage]


class _Taker:
    """What aiosmtpd calls for each mail; it finds the method by its name."""

    def __init__(self, mailbox: Mailbox) -> None:
        self._mailbox = mailbox

    async def handle_DATA(self, _server: object, _session: object, envelope: smtp.Envelope) -> str:  # noqa: N802 -- see above
        content = cast("bytes", envelope.content)
        self._mailbox.put_nowait(message_from_bytes(content, policy=default))
        return "250 taken"


@asynccontextmanager
async def mail_server(namespace: Namespace) -> AsyncIterator[Mailbox]:
    """Serve in `namespace` until the end of the block; what comes is in the mailbox."""
    loop = asyncio.get_running_loop()
    mailbox = Mailbox()
    sessions: list[smtp.SMTP] = []

    def session() -> smtp.SMTP:
        sessions.append(smtp.SMTP(_Taker(mailbox), hostname="mail.example.org", loop=loop))
        return sessions[-1]

    listening = await loop.create_server(session, sock=namespace.socket(socket.SOCK_STREAM, SMTP))
    try:
        yield mailbox
    finally:
        listening.close()
        for one in sessions:
            if isinstance(one.transport, asyncio.WriteTransport):
                one.transport.abort()
        await listening.wait_closed()


def text_of(mail: EmailMessage) -> str:
    """Return the plain text of a mail."""
    part = mail.get_body(("plain",))
    return "" if part is None else cast("str", part.get_content()).replace("\r\n", "\n").rstrip()
