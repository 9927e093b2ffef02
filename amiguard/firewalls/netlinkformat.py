"""The format of netlink and of netfilter's transactions in it: messages, attributes, answers. Pure.

Source: Linux include/uapi/linux/netlink.h, nfnetlink.h."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import NamedTuple

AF_UNSPEC = 0

NLM_F_REQUEST = 0x1
NLM_F_ACK = 0x4
NLM_F_DUMP_INTR = 0x10
NLM_F_ACK_TLVS = 0x200
NLM_F_DUMP = 0x300
NLMSG_ERROR = 2
NLMSG_DONE = 3
NLMSGERR_ATTR_MSG = 1
NFNL_MSG_BATCH_BEGIN = 0x10
NFNL_MSG_BATCH_END = 0x11
NLA_F_NESTED = 0x8000
NLA_TYPE_MASK = 0x3FFF

HEADER = struct.Struct("=IHHII")
ATTRIBUTE = struct.Struct("=HH")
ERROR_CODE = struct.Struct("=i")
NFGENMSG = struct.Struct(">BBH")
ERROR_LENGTH = ERROR_CODE.size + HEADER.size
"""Under NETLINK_CAP_ACK an error echoes the failed message's header only; the extended acknowledgement follows it."""


class Message(NamedTuple):
    """One netlink message, its header left to the transport. `what` completes "the kernel refused ..."."""

    what: str
    kind: int
    flags: int
    body: bytes


class Answer(NamedTuple):
    """One message from the kernel."""

    kind: int
    flags: int
    sequence: int
    port: int
    """Of the socket that asked for it, or caused it."""
    body: bytes


def attribute(kind: int, payload: bytes) -> bytes:
    """Pack one netlink attribute."""
    return ATTRIBUTE.pack(ATTRIBUTE.size + len(payload), kind) + payload + bytes(-len(payload) % 4)


def attributes(data: bytes, offset: int = 0) -> Iterator[tuple[int, bytes]]:
    """Yield type and payload of each netlink attribute from `offset` on; a broken one ends it."""
    while offset + ATTRIBUTE.size <= len(data):
        length, kind = ATTRIBUTE.unpack_from(data, offset)
        if length < ATTRIBUTE.size:
            return
        yield kind & NLA_TYPE_MASK, data[offset + ATTRIBUTE.size : offset + length]
        offset += (length + 3) & ~3


def transaction(subsystem: int, messages: Sequence[Message], begin: int) -> bytes:
    """Pack messages between the marks of a transaction, numbered from `begin` on; the last asks to be acknowledged."""
    bound = NFGENMSG.pack(AF_UNSPEC, 0, subsystem)
    length = HEADER.size + len(bound)
    end = begin + len(messages) + 1
    parts = [HEADER.pack(length, NFNL_MSG_BATCH_BEGIN, NLM_F_REQUEST, begin, 0), bound]
    for sequence, message in enumerate(messages, begin + 1):
        flags = message.flags | NLM_F_REQUEST | (NLM_F_ACK if sequence == end - 1 else 0)
        parts.append(HEADER.pack(HEADER.size + len(message.body), message.kind, flags, sequence, 0))
        parts.append(message.body)
    parts += HEADER.pack(length, NFNL_MSG_BATCH_END, NLM_F_REQUEST, end, 0), bound
    return b"".join(parts)


def request(message: Message, sequence: int) -> bytes:
    """Pack a message by itself, which asks for an acknowledgement."""
    flags = message.flags | NLM_F_REQUEST | NLM_F_ACK
    return HEADER.pack(HEADER.size + len(message.body), message.kind, flags, sequence, 0) + message.body


def answers(data: bytes) -> Iterator[Answer]:
    """Yield the messages in one datagram from the kernel; a broken one ends it."""
    offset = 0
    while offset + HEADER.size <= len(data):
        length, kind, flags, sequence, port = HEADER.unpack_from(data, offset)
        if length < HEADER.size:
            return
        yield Answer(kind, flags, sequence, port, data[offset + HEADER.size : offset + length])
        offset += (length + 3) & ~3


def outcome(answer: Answer) -> tuple[int, str]:
    """Return the error number (0: done) and the kernel's extended text."""
    code = -ERROR_CODE.unpack_from(answer.body)[0]
    text = ""
    if answer.flags & NLM_F_ACK_TLVS:
        for kind, payload in attributes(answer.body, ERROR_LENGTH):
            if kind == NLMSGERR_ATTR_MSG:
                text = payload.rstrip(b"\0").decode(errors="replace")
    return code, text
