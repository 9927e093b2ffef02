"""A kernel of another age, behind a socket: it answers as nfnetlink does, and refuses what it is told to."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from errno import ENOENT
from typing import Any

from typing_extensions import override

from amiguard.firewalls.netlinkformat import (
    ERROR_CODE,
    HEADER,
    NFGENMSG,
    NFNL_MSG_BATCH_BEGIN,
    NFNL_MSG_BATCH_END,
    NLM_F_ACK,
    NLM_F_DUMP,
    NLMSG_DONE,
    NLMSG_ERROR,
    Answer,
    answers,
    attribute,
)
from amiguard.firewalls.nftmessages import NFTA_GEN_ID, Kind, kind_of

Refusal = Callable[[Kind, bytes], int]
"""The error number for a message of this kind with this body; 0: it is done."""


def takes_all(_kind: Kind, _body: bytes) -> int:
    """Refuse nothing."""
    return 0


class FakeSocket(socket.socket):
    """A netlink socket to whoever opened it."""

    @override
    def getsockname(self) -> tuple[int, int]:
        return 4711, 0

    @override
    def setsockopt(self, *_: Any) -> None:
        pass


class FakeKernel:
    """`open` takes the place of what opens a netlink socket; `done` are the messages of all that was committed."""

    def __init__(self, refuses: Refusal = takes_all) -> None:
        self.refuses = refuses
        self.silent = False
        self.lists_nothing = 0
        """With which error number it refuses to list anything; 0: it does not."""
        self.asked: list[bytes] = []
        """The requests for lists."""
        self.done: list[tuple[Kind, bytes]] = []
        self._generation = 1
        self._ends: list[socket.socket] = []

    def open(self) -> socket.socket:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        opened = FakeSocket(fileno=theirs.detach())
        for one in (ours, opened):
            one.setblocking(False)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        asyncio.get_running_loop().add_reader(ours, self._serve, ours)
        self._ends.append(ours)
        return opened

    def close(self) -> None:
        for end in self._ends:
            asyncio.get_running_loop().remove_reader(end)
            end.close()

    def _serve(self, end: socket.socket) -> None:
        data = end.recv(1 << 20)
        if not data:
            asyncio.get_running_loop().remove_reader(end)
        elif not self.silent:
            messages = list(answers(data))
            if messages[0].kind == NFNL_MSG_BATCH_BEGIN:
                self._transaction(end, [one for one in messages[1:] if one.kind != NFNL_MSG_BATCH_END])
            else:
                for one in messages:
                    self._question(end, one)

    def _transaction(self, end: socket.socket, messages: list[Answer]) -> None:
        told = [(one, self.refuses(Kind(one.kind & 0xFF), one.body)) for one in messages]
        for one, code in told:
            if code or one.flags & NLM_F_ACK:
                end.send(_error(one, code))
        if not any(code for _, code in told):
            self._generation += 1
            self.done += [(Kind(one.kind & 0xFF), one.body) for one in messages]

    def _question(self, end: socket.socket, asked: Answer) -> None:
        if asked.kind == kind_of(Kind.GETGEN):
            number = attribute(NFTA_GEN_ID, self._generation.to_bytes(4, "big"))
            end.send(_message(asked, kind_of(Kind.NEWGEN), NFGENMSG.pack(0, 0, 0) + number))
            end.send(_error(asked, 0))
        elif asked.flags & NLM_F_DUMP:
            self._list(end, asked)

    def _list(self, end: socket.socket, asked: Answer) -> None:
        """Answer with what was made: in netlink, that looks like what is told."""
        self.asked.append(asked.body)
        if self.lists_nothing or not self.done:
            end.send(_error(asked, self.lists_nothing or ENOENT))
            return
        made = Kind((asked.kind & 0xFF) - 1)
        for kind, body in self.done:
            if kind is made:
                end.send(_message(asked, kind_of(made), body))
        end.send(_message(asked, NLMSG_DONE, bytes(4)))


def _message(to: Answer, kind: int, body: bytes) -> bytes:
    return HEADER.pack(HEADER.size + len(body), kind, 0, to.sequence, 0) + body


def _error(to: Answer, code: int) -> bytes:
    body = ERROR_CODE.pack(-code) + HEADER.pack(HEADER.size + len(to.body), to.kind, to.flags, to.sequence, 0)
    return _message(to, NLMSG_ERROR, body)
