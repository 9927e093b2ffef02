"""What is asked of the kernel over netlink, and what its answers amount to: no socket, no loop.

Source: Linux net/netfilter/nfnetlink.c (nfnetlink_rcv_batch) and include/uapi/linux/netlink.h."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence

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
    outcome,
    request,
)


class Refused(FirewallError):
    """The kernel rolled a transaction back, or refused a dump.

    `message` is the one that it did not take; None: it took none at all (privilege, or the whole subsystem missing)."""

    def __init__(self, code: int, message: Message | None, text: str) -> None:
        what = message.what if message else "any change"
        super().__init__(f"the kernel refused {what}: {os.strerror(code)}" + f" ({text})" * bool(text), code)
        self.message = message


class Transaction:
    """Messages that the kernel does all or none of.

    Only the last one asks for an acknowledgement: errors come unasked and, in their order, before it. A refusal of the
    whole transaction (no privilege, the commit itself failed) is reported against its first header."""

    def __init__(self, messages: Sequence[Message], begin: int) -> None:
        self._messages = messages
        self._begin = begin
        self._refused: Refused | None = None

    def take(self, told: Iterable[Answer]) -> bool:
        """Take some of the kernel's answers; True: it is done. Raises Refused."""
        begin, last = self._begin, self._begin + len(self._messages)
        for answer in told:
            if answer.kind != NLMSG_ERROR or not begin <= answer.sequence <= last + 1:
                continue
            code, text = outcome(answer)
            whole = answer.sequence in (begin, last + 1)
            if code and self._refused is None:
                self._refused = Refused(code, None if whole else self._messages[answer.sequence - begin - 1], text)
            if self._refused and (whole or answer.sequence == last):
                raise self._refused
            if answer.sequence == last:
                return True
        return False


class Questions:
    """Messages of which each is answered by itself."""

    def __init__(self, messages: Sequence[Message], first: int) -> None:
        self.data = b"".join(map(request, messages, range(first, first + len(messages))))
        self.answered: dict[int, list[bytes] | Refused] = {}
        self._messages = messages
        self._first = first
        self._bodies: dict[int, list[bytes]] = {first + number: [] for number in range(len(messages))}

    def take(self, told: Iterable[Answer]) -> bool:
        """Take some of the kernel's answers; True: those were all."""
        for answer in told:
            if answer.sequence not in self._bodies:
                continue
            if answer.kind != NLMSG_ERROR:
                self._bodies[answer.sequence].append(answer.body)
                continue
            code, text = outcome(answer)
            refused = Refused(code, self._messages[answer.sequence - self._first], text) if code else None
            self.answered[answer.sequence] = refused or self._bodies[answer.sequence]
        return len(self.answered) == len(self._messages)

    def answers(self) -> list[list[bytes] | Refused]:
        """Return what was answered to each message, in their order."""
        return [self.answered[sequence] for sequence in self._bodies]


class Listing:
    """A dump: `bodies` are those that are wanted; `interrupted`: it changed meanwhile, and is worthless."""

    def __init__(self, message: Message, sequence: int, wanted: Callable[[bytes], bool] | None) -> None:
        length = HEADER.size + len(message.body)
        self.data = HEADER.pack(length, message.kind, NLM_F_REQUEST | NLM_F_DUMP, sequence, 0) + message.body
        self.bodies: list[bytes] = []
        self.interrupted = False
        self._message = message
        self._sequence = sequence
        self._wanted = wanted

    def take(self, told: Iterable[Answer]) -> bool:
        """Take a part; True: it was the last one. Raises Refused."""
        for answer in told:
            if answer.sequence != self._sequence:
                continue
            self.interrupted = self.interrupted or bool(answer.flags & NLM_F_DUMP_INTR)
            if answer.kind == NLMSG_ERROR:
                code, text = outcome(answer)
                raise Refused(code, self._message, text)
            if answer.kind == NLMSG_DONE:
                return True
            if self._wanted is None or self._wanted(answer.body):
                self.bodies.append(answer.body)
        return False
