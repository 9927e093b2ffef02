"""One connection to Asterisk's manager interface. The only module that knows panoramisk.

panoramisk is the client for what we ask: it writes actions and matches responses to them. It never sees an event, nor
the end of a connection: on its own way one forged event ends the link or raises in its parser, a forged `Shutdown`
disconnects it, and it reconnects for ever. So bytes are cut here, and only a `Response:` that bears the random ActionID
of an action still waiting reaches it, and the events of a list that we asked for, which bear it too."""

from __future__ import annotations

import asyncio
import fcntl
import logging
import socket
import struct
import termios
from collections.abc import Callable, Collection, Iterable
from typing import Protocol, cast
from uuid import uuid4

from panoramisk.ami_protocol import AMIProtocol
from panoramisk.manager import Manager
from panoramisk.message import Message

from amiguard.asterisk.framing import FrameError, Framer
from amiguard.asterisk.schema import match
from amiguard.errors import ActionDenied, ActionRefused, SourceError
from amiguard.model import Address, parse_address
from amiguard.override import override
from amiguard.sources.ami.answers import ListAnswer, action_of, headers_of

STEP = 64 << 10
"""Bytes handled in one step of the event loop, about 160 events: the kernel's answers and everybody else come in
between. What waits longer waits in the kernel's socket buffer; there is no queue of ours that could grow."""

DENIED = "Permission denied"
"""What `main/manager.c` answers whoever lacks the permission for an action."""

LONGEST_VALUE = 1024
"""Characters of a header that are kept."""

_SILENT = logging.getLogger("amiguard.panoramisk")
_SILENT.disabled = True  # it would log whole actions, and with them the secret


class _Client(Protocol):
    """The part of panoramisk's AMIProtocol that we use, typed."""

    factory: object
    log: logging.Logger
    encoding: str
    responses: dict[str, _Pending]

    def connection_made(self, transport: asyncio.BaseTransport) -> None: ...
    def handle_message(self, message: object) -> None: ...


class _Pending(Protocol):
    future: asyncio.Future[_Headers | list[_Headers]]


class _Headers(Protocol):
    def get(self, name: str, default: str, /) -> str: ...


class _Manager(Protocol):
    protocol: _Client

    def send_action(self, action: dict[str, str]) -> asyncio.Future[_Headers | list[_Headers]]: ...


_new_manager = cast("Callable[..., _Manager]", Manager)
_new_message = cast("Callable[[dict[str, str]], object]", Message)


class Hidden(str):
    """A text whose repr does not show it: panoramisk's actions hold the secret, and tracebacks may show them."""

    __slots__ = ()

    @override
    def __repr__(self) -> str:
        return "'***'"


def _some(message: _Headers, names: Iterable[str]) -> dict[str, str]:
    return {name: message.get(name, "")[:LONGEST_VALUE] for name in names}


def _ignore(*_: object) -> None:
    pass


def _printable(banner: bytes) -> str:
    return "".join(filter(str.isprintable, banner[:80].decode("ascii", "replace")))


class AmiProtocol(asyncio.BufferedProtocol):
    """Cuts what Asterisk sends into blocks and hands on those that answer no action of ours.

    After each read, `receive(blocks, complete)` gets the blocks that it completed and whether no part of another one is
    left. `behind(bytes)` is called when Asterisk writes faster than we read: so many bytes wait in the kernel. Neither
    may raise.

    `greeted` is done with the banner, `heard` with the first security event, `closed` with the reason of the end."""

    def __init__(
        self,
        receive: Callable[[list[bytes], bool], None] = _ignore,
        behind: Callable[[int], None] = _ignore,
    ) -> None:
        loop = asyncio.get_running_loop()
        self.greeted: asyncio.Future[str] = loop.create_future()
        self.heard: asyncio.Future[None] = loop.create_future()
        self.closed: asyncio.Future[SourceError] = loop.create_future()
        self.received = 0
        self.local: tuple[Address, int]
        self._receive = receive
        self._behind = behind
        self._framer = Framer()
        self._buffer = memoryview(bytearray(STEP))
        self._error: SourceError | None = None
        self._lists: dict[str, ListAnswer] = {}
        self._transport: asyncio.Transport
        self._socket: socket.socket
        self._manager = _new_manager(log=_SILENT)
        self._client = cast("_Client", AMIProtocol())

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Give panoramisk the transport to write to."""
        self._transport = cast("asyncio.Transport", transport)
        self._socket = transport.get_extra_info("socket")
        name = transport.get_extra_info("sockname")
        self.local = parse_address(name[0]), name[1]
        client, manager = self._client, self._manager
        client.connection_made(transport)
        client.factory, client.log, client.encoding = manager, _SILENT, "utf-8"
        manager.protocol = client

    @override
    def get_buffer(self, _sizehint: int) -> memoryview:
        """Return where the loop may put the next bytes."""
        return self._buffer

    @override
    def buffer_updated(self, nbytes: int) -> None:
        """Take the bytes that came, in one step."""
        self.received += nbytes
        try:
            blocks = self._framer.feed(bytes(self._buffer[:nbytes]))
        except FrameError as error:
            self._error = error
            self._transport.abort()
            return
        if self._framer.banner is not None and not self.greeted.done():
            self.greeted.set_result(_printable(self._framer.banner))
        if self._client.responses:
            blocks = [block for block in blocks if not self._answer(block)]
        if not self.heard.done() and any(match(block) for block in blocks):
            self.heard.set_result(None)
        self._receive(blocks, self._framer.idle)
        if nbytes == STEP:
            self._look_behind()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        """Fail whatever still waits for Asterisk."""
        reason = self._error or SourceError(f"Asterisk closed the connection{f' ({exc})' if exc else ''}")
        self.closed.set_result(reason)
        for action in self._client.responses.values():
            if not action.future.done():
                action.future.set_exception(reason)
        self._client.responses.clear()

    def abort(self) -> None:
        """End the connection at once; `closed` is done soon after."""
        self._transport.abort()

    async def request(self, seconds: float, **headers: str) -> dict[str, str]:
        """Send an action and return `Response` and `Message` of what Asterisk answers.

        Raises:
            SourceError: no answer within `seconds`, or the connection ended.
        """
        [message, *_] = await self._ask(seconds, str(uuid4()), headers)
        return _some(message, ("Response", "Message"))

    async def ask_for(self, seconds: float, action: str, event: str, fields: Collection[str]) -> list[dict[str, str]]:
        """Send an action that is answered by a list, and return these fields of each `event` in it.

        Raises:
            ActionDenied: the permission is missing.
            ActionRefused: Asterisk does not know the action, or has nothing to list.
            SourceError: no answer within `seconds`, or the connection ended.
        """
        action_id = str(uuid4())
        self._lists[action_id] = ListAnswer(event, fields)
        try:
            [response, *items] = await self._ask(seconds, action_id, {"Action": action})
        finally:
            del self._lists[action_id]
        answer = _some(response, ("Response", "Message"))
        if answer["Response"] != "Success":
            raise ActionDenied(DENIED) if answer["Message"] == DENIED else ActionRefused(answer["Message"])
        return [_some(item, fields) for item in items[:-1]]

    async def _ask(self, seconds: float, action_id: str, headers: dict[str, str]) -> list[_Headers]:
        """Send an action and return what panoramisk collects for it: a response, and the events of a list."""
        if self.closed.done():
            raise self.closed.result()
        answer = self._manager.send_action({**headers, "ActionID": action_id})
        try:
            async with asyncio.timeout(seconds):
                collected = await answer
        except TimeoutError as error:
            raise SourceError(f"Asterisk did not answer {headers['Action']} within {seconds} s") from error
        finally:
            self._client.responses.pop(action_id, None)
        return collected if isinstance(collected, list) else [collected]

    def _answer(self, block: bytes) -> bool:
        """Hand an answer of ours to panoramisk. The ActionID is random, so nobody else can have written it."""
        if block.startswith(b"Response: "):
            found: dict[str, str] | None = headers_of(block.split(b"\r\n"))
            action_id = found.get("ActionID", "") if found else ""
        elif self._lists and (listing := self._lists.get(action_id := action_of(block))):
            found = listing.read(block)
        else:
            return False
        if action_id not in self._client.responses:
            return False
        if found is not None:
            self._client.handle_message(_new_message({**found, "ActionID": action_id}))
        return True

    def _look_behind(self) -> None:
        waiting: int = struct.unpack("i", fcntl.ioctl(self._socket.fileno(), termios.FIONREAD, b"\0\0\0\0"))[0]
        if waiting > self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) // 4:
            self._behind(waiting)
