"""One netlink socket on the running loop: atomic transactions and small dumps, with a bound on every wait.

Whatever the kernel does (refuses, overruns the receive buffer, never answers), a call ends: with success only after the
kernel's acknowledgement of the whole transaction, else with a FirewallError. After a fault of the transport itself the
socket is thrown away, and the next call opens a new one, so that no late answer is ever taken for another call's.

Source: Linux net/netfilter/nfnetlink.c (nfnetlink_rcv_batch) and include/uapi/linux/netlink.h."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from errno import EINTR, ETIMEDOUT

from amiguard.errors import FirewallError
from amiguard.firewalls.netlinkcalls import Listing, Questions, Refused, Transaction
from amiguard.firewalls.netlinkformat import Answer, Message, answers, transaction

NETLINK_NETFILTER = 12
SOL_NETLINK = 270
NETLINK_CAP_ACK = 10
NETLINK_EXT_ACK = 11
SO_SNDBUFFORCE = 32

SEND_BUFFER = 8 << 20
RECEIVE = 1 << 16
SEQUENCE_LIMIT = 1 << 31
DUMP_ATTEMPTS = 10
LARGE = 1 << 17
"""Bytes on which the kernel works for longer than the loop may stand still: it does so inside send(). Bans have fewer;
an allowlist has as many with some 2,000 networks, on which the kernel works for 10 ms, and on 100,000 for 4 s."""

PATIENCE = 5.0
"""Seconds. The kernel answers inside send(); whoever waits longer than this waits for an answer that was lost."""


class Netlink:
    """A netfilter netlink socket, opened by the first call. One transaction at a time; callers queue."""

    def __init__(self, subsystem: int, patience: float = PATIENCE, *, aside: bool = False) -> None:
        """`aside`: send and receive in a thread, for the kernel takes its time inside of both to list much."""
        self._aside = aside
        self._subsystem = subsystem
        self._patience = patience
        self._socket: socket.socket | None = None
        self._sequence = 0
        self._lock = asyncio.Lock()
        self.commits = 0
        """Transactions that the kernel acknowledged."""
        self.lost = asyncio.Event()
        """Set when the socket is thrown away after a fault, and with it what the kernel ties to a socket."""

    @property
    def port(self) -> int:
        """By which number the kernel knows the socket; 0 = there is none now."""
        return self._socket.getsockname()[0] if self._socket else 0

    async def commit(self, messages: Sequence[Message]) -> None:
        """Have all of `messages` done by the kernel in one atomic transaction, or none.

        Raises:
            Refused: the kernel rolled it back.
            FirewallError: it could not be sent, or its answer was lost: it may or may not be done.
        """
        async with self._lock:
            begin = self._take_sequences(len(messages) + 2)
            used, call = await self._sent(transaction(self._subsystem, messages, begin)), Transaction(messages, begin)
            while not call.take(await self._receive(used)):
                pass
            self.commits += 1

    def commit_at_once(self, messages: Sequence[Message]) -> bool:
        """Do as `commit` in this very step; False: nothing was done, for another call is under way."""
        if self._lock.locked():
            return False
        begin = self._take_sequences(len(messages) + 2)
        used, call = self._send(transaction(self._subsystem, messages, begin)), Transaction(messages, begin)
        while not call.take(self._received(used)):
            pass
        self.commits += 1
        return True

    async def dump(
        self, message: Message, wanted: Callable[[bytes], bool] | None = None, attempts: int = DUMP_ATTEMPTS
    ) -> list[bytes]:
        """Return the bodies of everything that the kernel lists in answer to `message`, and that is `wanted`.

        Raises:
            FirewallError: as `commit`; EINTR if the list changed under every attempt.
        """
        async with self._lock:
            for _ in range(attempts):
                listing = Listing(message, self._take_sequences(1), wanted)
                used = await self._sent(listing.data)
                while not listing.take(await self._receive(used)):  # noqa: ASYNC110 -- the next part is ready when asked
                    await asyncio.sleep(0)
                if not listing.interrupted:
                    return listing.bodies
            raise FirewallError(f"{message.what} changed while it was being read", EINTR)

    async def ask(self, messages: Sequence[Message]) -> list[list[bytes] | Refused]:
        """Have each message done or answered by itself, outside of any transaction; meant for a hundred or so.

        Returns for each the bodies that the kernel answered with, or why it refused this one.

        Raises:
            FirewallError: they could not be sent, or answers were lost.
        """
        async with self._lock:
            call = Questions(messages, self._take_sequences(len(messages)))
            used = self._send(call.data)
            while not call.take(await self._receive(used)):
                pass
            return call.answers()

    def ask_at_once(self, messages: Sequence[Message]) -> list[list[bytes] | Refused] | None:
        """Do as `ask` in this very step; None: nothing was done, for another call is under way."""
        if self._lock.locked():
            return None
        call = Questions(messages, self._take_sequences(len(messages)))
        used = self._send(call.data)
        while not call.take(self._received(used)):
            pass
        return call.answers()

    async def close(self) -> None:
        """Free the socket once the calls that wait have their answers; the next call would open a new one."""
        async with self._lock:
            self._close()

    def _take_sequences(self, count: int) -> int:
        if self._sequence > SEQUENCE_LIMIT:
            self._sequence = 0
        first = self._sequence + 1
        self._sequence += count
        return first

    async def _sent(self, data: bytes) -> socket.socket:
        """Send, in a thread where the kernel may take its time. Who is cancelled waits for its end too, for nobody else
        may use the socket meanwhile."""
        if not self._aside and len(data) <= LARGE:
            return self._send(data)
        sending = asyncio.ensure_future(asyncio.to_thread(self._send, data))
        try:
            return await asyncio.shield(sending)
        except asyncio.CancelledError:
            await asyncio.wait({sending})
            self._lose()  # with the answer that nobody reads
            raise

    def _send(self, data: bytes) -> socket.socket:
        try:
            if self._socket is None:
                self._socket = _open()
            self._socket.send(data)
        except OSError as error:
            self._lose()
            text = f"{len(data)} bytes could not be sent to the kernel: {error.strerror}"
            raise FirewallError(text, error.errno or 0) from error
        return self._socket

    async def _receive(self, used: socket.socket) -> Iterator[Answer]:
        with self._losing():
            try:
                data = await asyncio.to_thread(used.recv, RECEIVE) if self._aside else used.recv(RECEIVE)
            except BlockingIOError:
                async with asyncio.timeout(self._patience):
                    data = await asyncio.get_running_loop().sock_recv(used, RECEIVE)
            return answers(data)

    def _received(self, used: socket.socket) -> Iterator[Answer]:
        """Return what the kernel has answered: it does so inside send()."""
        with self._losing():
            return answers(used.recv(RECEIVE))

    @contextmanager
    def _losing(self) -> Iterator[None]:
        """Throw the socket away after a fault."""
        try:
            yield
        except TimeoutError:
            self._lose()
            raise FirewallError(f"the kernel did not answer within {self._patience} s", ETIMEDOUT) from None
        except OSError as error:
            self._lose()
            raise FirewallError(f"the kernel's answer was lost: {error.strerror}", error.errno or 0) from error

    def _close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _lose(self) -> None:
        self._close()
        self.lost.set()


def _open() -> socket.socket:
    opened = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, NETLINK_NETFILTER)
    try:
        opened.setblocking(False)
        try:
            opened.setsockopt(socket.SOL_SOCKET, SO_SNDBUFFORCE, SEND_BUFFER)
        except PermissionError:  # a capability in a user namespace of its own does not reach this far
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        opened.setsockopt(SOL_NETLINK, NETLINK_CAP_ACK, 1)
        opened.setsockopt(SOL_NETLINK, NETLINK_EXT_ACK, 1)
        opened.connect((0, 0))  # from now on nobody but the kernel can send to it
    except BaseException:
        opened.close()
        raise
    return opened
