"""One netlink socket on the running loop: atomic transactions and small dumps, with a bound on every wait.

Whatever the kernel does (refuses, overruns the receive buffer, never answers), a call ends: with success only after the
kernel's acknowledgement of the whole transaction, else with a FirewallError. After a fault of the transport itself the
socket is thrown away, and the next call opens a new one, so that no late answer is ever taken for another call's.

Source: Linux net/netfilter/nfnetlink.c (nfnetlink_rcv_batch) and include/uapi/linux/netlink.h."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Iterator, Sequence
from errno import EINTR, ETIMEDOUT

from amiguard.errors import FirewallError
from amiguard.firewalls.netlinkformat import (
    HEADER,
    NLM_F_DUMP,
    NLM_F_DUMP_INTR,
    NLM_F_REQUEST,
    NLMSG_DONE,
    NLMSG_ERROR,
    Answer,
    Message,
    answers,
    outcome,
    request,
    transaction,
)

NETLINK_NETFILTER = 12
SOL_NETLINK = 270
NETLINK_CAP_ACK = 10
NETLINK_EXT_ACK = 11
SO_SNDBUFFORCE = 32

SEND_BUFFER = 8 << 20
RECEIVE = 1 << 16
SEQUENCE_LIMIT = 1 << 31
DUMP_ATTEMPTS = 10
PATIENCE = 5.0
"""Seconds. The kernel answers inside send(); whoever waits longer than this waits for an answer that was lost."""


class Refused(FirewallError):
    """The kernel rolled a transaction back, or refused a dump.

    `message` is the one that it did not take; None: it took none at all (privilege, or the whole subsystem missing)."""

    def __init__(self, code: int, message: Message | None, text: str) -> None:
        what = message.what if message else "any change"
        super().__init__(f"the kernel refused {what}: {os.strerror(code)}" + f" ({text})" * bool(text), code)
        self.message = message


class Netlink:
    """A netfilter netlink socket, opened by the first call. One transaction at a time; callers queue."""

    def __init__(self, subsystem: int, patience: float = PATIENCE, *, aside: bool = False) -> None:
        """`aside`: receive in a thread, for the kernel takes its time inside of the call to list a large set."""
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
            used = self._send(transaction(self._subsystem, messages, begin))
            await self._acknowledged(used, messages, begin)
            self.commits += 1

    async def dump(
        self, message: Message, wanted: Callable[[bytes], bool] | None = None, attempts: int = DUMP_ATTEMPTS
    ) -> list[bytes]:
        """Return the bodies of everything that the kernel lists in answer to `message`, and that is `wanted`.

        Raises:
            FirewallError: as `commit`; EINTR if the list changed under every attempt.
        """
        async with self._lock:
            for _ in range(attempts):
                sequence = self._take_sequences(1)
                length = HEADER.size + len(message.body)
                flags = NLM_F_REQUEST | NLM_F_DUMP
                used = self._send(HEADER.pack(length, message.kind, flags, sequence, 0) + message.body)
                listed = await self._listed(used, message, sequence, wanted)
                if listed is not None:
                    return listed
            raise FirewallError(f"{message.what} changed while it was being read", EINTR)

    async def ask(self, messages: Sequence[Message]) -> list[list[bytes] | Refused]:
        """Have each message done or answered by itself, outside of any transaction; meant for a hundred or so.

        Returns for each the bodies that the kernel answered with, or why it refused this one.

        Raises:
            FirewallError: they could not be sent, or answers were lost.
        """
        async with self._lock:
            first = self._take_sequences(len(messages))
            answered: dict[int, list[bytes] | Refused] = {}
            bodies: dict[int, list[bytes]] = {first + number: [] for number in range(len(messages))}
            used = self._send(b"".join(map(request, messages, bodies)))
            while len(answered) < len(messages):
                for answer in await self._receive(used):
                    if answer.sequence not in bodies:
                        continue
                    if answer.kind != NLMSG_ERROR:
                        bodies[answer.sequence].append(answer.body)
                        continue
                    code, text = outcome(answer)
                    refused = Refused(code, messages[answer.sequence - first], text) if code else None
                    answered[answer.sequence] = refused or bodies[answer.sequence]
            return [answered[sequence] for sequence in bodies]

    async def close(self) -> None:
        """Free the socket once the calls that wait have their answers; the next call would open a new one."""
        async with self._lock:
            self._close()

    async def _acknowledged(self, used: socket.socket, messages: Sequence[Message], begin: int) -> None:
        """Wait for the outcome of the transaction that started at sequence number `begin`.

        Only the last message asks for an acknowledgement: errors come unasked and, in their order, before it. A refusal
        of the whole transaction (no privilege, the commit itself failed) is reported against its first header."""
        last, end = begin + len(messages), begin + len(messages) + 1
        refused: Refused | None = None
        while True:
            for answer in await self._receive(used):
                if answer.kind != NLMSG_ERROR or not begin <= answer.sequence <= end:
                    continue
                code, text = outcome(answer)
                whole = answer.sequence in (begin, end)
                if code and refused is None:
                    refused = Refused(code, None if whole else messages[answer.sequence - begin - 1], text)
                if refused and (whole or answer.sequence == last):
                    raise refused
                if answer.sequence == last:
                    return

    async def _listed(
        self, used: socket.socket, message: Message, sequence: int, wanted: Callable[[bytes], bool] | None
    ) -> list[bytes] | None:
        """Collect one dump; None: it was interrupted by a change and is worthless."""
        bodies: list[bytes] = []
        interrupted = False
        while True:
            for answer in await self._receive(used):
                if answer.sequence != sequence:
                    continue
                interrupted = interrupted or bool(answer.flags & NLM_F_DUMP_INTR)
                if answer.kind == NLMSG_ERROR:
                    code, text = outcome(answer)
                    raise Refused(code, message, text)
                if answer.kind == NLMSG_DONE:
                    return None if interrupted else bodies
                if wanted is None or wanted(answer.body):
                    bodies.append(answer.body)
            await asyncio.sleep(0)  # the kernel has the next part ready whenever it is asked

    def _take_sequences(self, count: int) -> int:
        if self._sequence > SEQUENCE_LIMIT:
            self._sequence = 0
        first = self._sequence + 1
        self._sequence += count
        return first

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
        try:
            try:
                data = await asyncio.to_thread(used.recv, RECEIVE) if self._aside else used.recv(RECEIVE)
            except BlockingIOError:
                async with asyncio.timeout(self._patience):
                    data = await asyncio.get_running_loop().sock_recv(used, RECEIVE)
        except TimeoutError:
            self._lose()
            raise FirewallError(f"the kernel did not answer within {self._patience} s", ETIMEDOUT) from None
        except OSError as error:
            self._lose()
            raise FirewallError(f"the kernel's answer was lost: {error.strerror}", error.errno or 0) from error
        return answers(data)

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
