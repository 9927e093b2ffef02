"""IAX2 registrations (RFC 5456): as much of the protocol as a password guesser needs."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import socket
import struct

from tests.lab.netns import NetworkNamespace
from tests.lab.transports import LARGEST, bound

PORT = 4569
PATIENCE = 5
HEADER = struct.Struct("!HHIBBBB")
FULL = 0x8000
CONTROL = 6
NEW, REJECT, AUTHREQ, REGREQ, REGAUTH, REGREJ, CALLTOKEN = 1, 6, 8, 13, 14, 16, 40
CALLED, USERNAME, CAPABILITY, FORMAT, VERSION, CHALLENGE, MD5_RESULT, REFRESH, TOKEN = 1, 6, 8, 9, 11, 15, 16, 19, 54
ANSWERS = {REJECT, AUTHREQ, REGAUTH, REGREJ, CALLTOKEN}

Elements = dict[int, bytes]


class Call:
    """One call number of ours at the server."""

    def __init__(self, opened: socket.socket) -> None:
        self._opened = opened
        self._number = FULL | secrets.randbelow(FULL - 2) + 1
        self._peer = self._sent = self._received = 0

    async def ask(self, kind: int, elements: Elements) -> tuple[int, Elements]:
        """Send one control frame and return the next of any kind but an ACK."""
        loop = asyncio.get_running_loop()
        header = HEADER.pack(self._number, self._peer, self._sent + 3, self._sent, self._received, CONTROL, kind)
        self._sent += 1
        body = b"".join(bytes([key, len(value)]) + value for key, value in elements.items())
        await loop.sock_sendall(self._opened, header + body)
        while True:
            answer = await loop.sock_recv(self._opened, LARGEST)
            peer, number, _, sequence, _, frame, kind = HEADER.unpack_from(answer)
            if number | FULL == self._number and frame == CONTROL and kind in ANSWERS:
                self._peer, self._received = peer & ~FULL, sequence + 1
                return kind, _elements(answer[HEADER.size :])


async def register(
    attackers: NetworkNamespace, source: str, server: str, user: bytes, password: bytes = b"wrong"
) -> bool:
    """Try to register `user` from the address `source`; tell whether it was refused after a challenge.

    Raises:
        TimeoutError: the server did not answer within `PATIENCE` seconds.
    """
    name = {USERNAME: user, REFRESH: struct.pack("!H", 60)}
    with bound(attackers, source, socket.SOCK_DGRAM) as opened:
        opened.connect((server, PORT))
        async with asyncio.timeout(PATIENCE):
            kind, told = await Call(opened).ask(REGREQ, name | {TOKEN: b""})
            assert kind == CALLTOKEN, kind
            call = Call(opened)
            kind, told = await call.ask(REGREQ, name | {TOKEN: told[TOKEN]})
            if kind != REGAUTH:
                return False
            digest = hashlib.md5(told[CHALLENGE] + password).hexdigest().encode()
            kind, _ = await call.ask(REGREQ, name | {MD5_RESULT: digest})
            return kind == REGREJ


async def call(attackers: NetworkNamespace, source: str, server: str, user: bytes, extension: bytes) -> bool:
    """Try to call `extension` as `user` from the address `source`; tell whether it was refused at once.

    Raises:
        TimeoutError: the server did not answer within `PATIENCE` seconds.
    """
    codec = struct.pack("!I", 4)
    wanted = {VERSION: b"\0\2", CALLED: extension, USERNAME: user, FORMAT: codec, CAPABILITY: codec}
    with bound(attackers, source, socket.SOCK_DGRAM) as opened:
        opened.connect((server, PORT))
        async with asyncio.timeout(PATIENCE):
            kind, told = await Call(opened).ask(NEW, wanted | {TOKEN: b""})
            assert kind == CALLTOKEN, kind
            kind, _ = await Call(opened).ask(NEW, wanted | {TOKEN: told[TOKEN]})
            return kind == REJECT


def _elements(body: bytes) -> Elements:
    found: Elements = {}
    while len(body) >= 2:
        kind, length = body[:2]
        found[kind] = body[2 : 2 + length]
        body = body[2 + length :]
    return found
