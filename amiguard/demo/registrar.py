"""The SIP side of the stand-in: challenges each REGISTER and judges the password, as Asterisk does."""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from collections.abc import Callable, Mapping
from typing import cast

from amiguard.demo.sip import OK, UNAUTHORIZED, Message, answer_of, read
from amiguard.override import override

WORDS = {OK: "OK", UNAUTHORIZED: "Unauthorized"}
ECHOED = ("Via", "From", "To", "Call-ID", "CSeq")


class Registrar(asyncio.DatagramProtocol):
    """Answers over one UDP socket. `refused` is called with the source of each REGISTER that it refuses, and with
    whether a password was judged."""

    def __init__(self, passwords: Mapping[str, str], refused: Callable[[str, bool], None]) -> None:
        self.arrived: Counter[str] = Counter()
        """Datagrams by source address."""
        self._passwords = passwords
        self._refused = refused
        self._nonce = secrets.token_hex(16)
        self._transport: asyncio.DatagramTransport

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    @override
    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.arrived[addr[0]] += 1
        request = read(data)
        offered = request.digest("authorization")
        status = OK if self._right(offered) else UNAUTHORIZED
        self._transport.sendto(self._answer(request, status), addr)
        if status != OK:
            self._refused(addr[0], bool(offered))

    def _right(self, offered: Mapping[str, str]) -> bool:
        password = self._passwords.get(offered.get("username", ""))
        return password is not None and offered["response"] == answer_of(offered, password)

    def _answer(self, request: Message, status: int) -> bytes:
        lines = [f"SIP/2.0 {status} {WORDS[status]}", *(f"{name}: {request.headers[name.lower()]}" for name in ECHOED)]
        if status == UNAUTHORIZED:
            lines.append(f'WWW-Authenticate: Digest realm="asterisk",nonce="{self._nonce}",algorithm=MD5,qop="auth"')
        return "\r\n".join([*lines, "Content-Length: 0", "", ""]).encode()
