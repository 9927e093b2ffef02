"""SIP as far as REGISTER over UDP goes (RFC 3261, RFC 2617): messages, digests, and a user agent."""

from __future__ import annotations

import asyncio
import hashlib
import re
import secrets
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from amiguard.demo.namespaces import Namespace
from amiguard.demo.network import SERVER, SIP_PORT
from amiguard.demo.seeing import NotSeen, within

OK = 200
UNAUTHORIZED = 401
LARGEST = 65_536
ANSWER = 5.0
"""Seconds that an answer may take."""

URI = f"sip:{SERVER}"
FIRST_USE = "00000001"
PARAMETER = re.compile(r'(\w+)="?([^",]*)')


@dataclass(frozen=True, slots=True)
class Message:
    """A request or an answer: its first line and its headers, names in lower case."""

    start: str
    headers: Mapping[str, str]

    @property
    def status(self) -> int:
        """The status of an answer."""
        return int(self.start.split(" ", 2)[1])

    def digest(self, header: str) -> dict[str, str]:
        """Return the parameters of `www-authenticate` or `authorization`; none where there is no such header."""
        return dict(PARAMETER.findall(self.headers.get(header, "")))


def read(data: bytes) -> Message:
    """Read a message of one of the demo's parties."""
    start, *lines = data.decode(errors="replace").split("\r\n\r\n")[0].split("\r\n")
    pairs = (line.partition(":") for line in lines)
    return Message(start, {name.strip().lower(): value.strip() for name, _, value in pairs})


def answer_of(parameters: Mapping[str, str], password: str) -> str:
    """Return the digest that proves `password`, for an `Authorization` of these parameters with qop=auth."""
    secret = _md5(f"{parameters['username']}:{parameters['realm']}:{password}")
    what = _md5(f"REGISTER:{parameters['uri']}")
    return _md5(f"{secret}:{parameters['nonce']}:{parameters['nc']}:{parameters['cnonce']}:auth:{what}")


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


@contextmanager
def _reachable() -> Iterator[None]:
    try:
        yield
    except ConnectionRefusedError as error:
        raise NotSeen(f"somebody who listens for SIP at {SERVER}") from error


class Agent:
    """A user agent that registers `user` from the address `source`, with a port of its own. A context manager."""

    def __init__(self, outside: Namespace, source: str, user: str) -> None:
        self._user = user
        self._socket = outside.socket(socket.SOCK_DGRAM, (source, 0))
        self._socket.connect((SERVER, SIP_PORT))
        self._here = "{}:{}".format(*self._socket.getsockname())
        self._call_id = secrets.token_hex(8)
        self._tag = secrets.token_hex(4)
        self._sequence = 0
        self.sent_at = 0.0
        """When the latest request was sent, on the loop's clock."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    async def register(self, password: str) -> int:
        """Ask, answer the challenge with `password`, and return the final status.

        Raises:
            NotSeen: no answer came.
        """
        self.send()
        challenge = await self.answer()
        if challenge.status != UNAUTHORIZED:
            return challenge.status
        self.send(self._authorization(challenge.digest("www-authenticate"), password))
        return (await self.answer()).status

    def send(self, authorization: str = "") -> None:
        """Send a REGISTER, without waiting for anything. Raises NotSeen."""
        self._sequence += 1
        lines = [
            f"REGISTER {URI} SIP/2.0",
            f"Via: SIP/2.0/UDP {self._here};branch=z9hG4bK{secrets.token_hex(6)};rport",
            "Max-Forwards: 70",
            f"From: <sip:{self._user}@{SERVER}>;tag={self._tag}",
            f"To: <sip:{self._user}@{SERVER}>",
            f"Call-ID: {self._call_id}",
            f"CSeq: {self._sequence} REGISTER",
            f"Contact: <sip:{self._user}@{self._here}>",
            *([f"Authorization: {authorization}"] if authorization else []),
            "Expires: 120",
            "Content-Length: 0",
        ]
        self.sent_at = asyncio.get_running_loop().time()
        with _reachable():
            self._socket.send("\r\n".join([*lines, "", ""]).encode())

    async def answer(self, seconds: float = ANSWER) -> Message:
        """Return the answer to the latest request.

        Raises:
            NotSeen: none came.
        """
        loop = asyncio.get_running_loop()
        async with within(seconds, f"an answer to {self._here}"):
            while True:
                with _reachable():
                    message = read(await loop.sock_recv(self._socket, LARGEST))
                if message.headers.get("cseq", "").split(" ")[0] == str(self._sequence):
                    return message

    def heard(self) -> bool:
        """Whether anything at all has come back."""
        try:
            return bool(self._socket.recv(LARGEST, socket.MSG_PEEK))
        except BlockingIOError:
            return False

    def _authorization(self, challenge: Mapping[str, str], password: str) -> str:
        quoted = {
            "username": self._user,
            "realm": challenge["realm"],
            "nonce": challenge["nonce"],
            "opaque": challenge.get("opaque", ""),
            "uri": URI,
            "cnonce": secrets.token_hex(4),
        }
        proof = answer_of(quoted | {"nc": FIRST_USE}, password)
        parameters = [f'{name}="{value}"' for name, value in (quoted | {"response": proof}).items()]
        return f"Digest {', '.join(parameters)}, nc={FIRST_USE}, qop=auth, algorithm=MD5"
