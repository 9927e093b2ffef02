"""Hears what other programs change in amiguard's table, on a socket of its own in the group NFNLGRP_NFTABLES.

A filter in the kernel throws away what our own socket causes. Of the rest the bytes of the table's name are looked for,
and only what has them is taken apart: others may change thousands of rules of theirs. A transaction's changes come
first, then its NEWGEN, always in a datagram of its own, which names the process.

While this socket is in the group, the kernel makes an event of each element that anybody adds, five times slower than
the addition itself. So it leaves while many bans are put in, and counts the generations meanwhile.

Source: Linux net/netfilter/nf_tables_api.c (nft_commit_notify, nf_tables_gen_notify)."""

from __future__ import annotations

import asyncio
import ctypes
import socket
import struct
from errno import ENOBUFS

from amiguard.errors import FirewallError
from amiguard.firewalls.elements import listed, target_at
from amiguard.firewalls.layout import kept_of
from amiguard.firewalls.netlink import NETLINK_NETFILTER, RECEIVE, SOL_NETLINK, Netlink
from amiguard.firewalls.netlinkcalls import Refused
from amiguard.firewalls.netlinkformat import NFGENMSG, Answer, answers, attributes
from amiguard.firewalls.nftmessages import (
    NFTA_GEN_ID,
    NFTA_GEN_PROC_NAME,
    NFTA_GEN_PROC_PID,
    NFTA_SET_NAME,
    Kind,
    get_generation,
    is_of,
    kind_of,
)
from amiguard.model import Target
from amiguard.ports import Interference

NFNLGRP_NFTABLES = 7
NETLINK_ADD_MEMBERSHIP = 1
NETLINK_DROP_MEMBERSHIP = 2
SO_ATTACH_FILTER = 26
SO_RCVBUFFORCE = 33
RECEIVE_BUFFER = 8 << 20
PORT_OFFSET = 12
"""Where a netlink header names the socket that caused a message."""

NAMED = 1_000
"""Elements that are repaired one by one; of more, everything is laid out anew."""

LOST = "more was changed than could be followed"

DAMAGE = {
    kind_of(Kind.DELTABLE): "the table was deleted",
    kind_of(Kind.DELCHAIN): "a chain was deleted",
    kind_of(Kind.DELSET): "a set was deleted",
    kind_of(Kind.DELRULE): "a rule was deleted or replaced",
    kind_of(Kind.DELOBJ): "an object was deleted",
    kind_of(Kind.NEWTABLE): "the table was changed",
    kind_of(Kind.NEWCHAIN): "a chain was changed",
}
"""What is undone, the worst first. What others add to the table is their business, until the next start."""

ELEMENTS_ADDED = kind_of(Kind.NEWSETELEM)
ELEMENTS_DELETED = kind_of(Kind.DELSETELEM)
NEW_GENERATION = kind_of(Kind.NEWGEN)


class Monitor:
    """Tells who else changes a table; `netlink` is how amiguard itself does."""

    def __init__(self, table: str, netlink: Netlink) -> None:
        self._table = table
        self._needle = table.encode() + b"\0"
        self._netlink = netlink
        self._socket: socket.socket | None = None
        self._wake = asyncio.Event()
        self._damage: set[int] = set()
        self._targets: dict[Target, None] = {}

    async def leave(self) -> int:
        """Stop listening and forget what was heard; return what `rejoin` wants to know.

        Raises:
            FirewallError: as `Netlink.ask`.
        """
        if self._socket is not None:
            try:
                self._socket.setsockopt(SOL_NETLINK, NETLINK_DROP_MEMBERSHIP, NFNLGRP_NFTABLES)
            except OSError:  # somebody closed it underneath; `rejoin` opens another
                self.close()
        return await self._generation() - self._netlink.commits

    async def rejoin(self, since: int) -> bool:
        """Listen from now on; return whether nobody else changed anything since `leave`.

        Raises:
            FirewallError: there is no listening.
        """
        try:
            if self._socket is None:
                self._socket = _open()
            self._drain(self._socket)
            ignore(self._socket, self._netlink.port)
            self._socket.setsockopt(SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, NFNLGRP_NFTABLES)
        except OSError as error:
            self.close()
            raise FirewallError(f"the kernel lets nobody listen: {error.strerror}", error.errno or 0) from error
        return await self._generation() - self._netlink.commits == since

    async def interference(self) -> Interference:
        """Wait until somebody else takes something from the table.

        Raises:
            FirewallError: the socket is broken; `leave` and `rejoin` make another one.
        """
        while self._socket is not None:
            try:
                data = self._socket.recv(RECEIVE)
            except BlockingIOError:
                data = b""
            except OSError as error:
                self._forget()
                if error.errno == ENOBUFS:
                    return Interference(LOST)
                self.close()
                raise FirewallError(f"the kernel can't be heard: {error.strerror}", error.errno or 0) from error
            if not data:
                await self._readable(self._socket)
            for message in answers(data):
                if message.port == self._netlink.port:
                    continue
                if message.kind != NEW_GENERATION:
                    self._take(message)
                elif self._damage or self._targets:
                    return self._told(message)
        raise FirewallError("the kernel is not listened to: the last layout failed")

    def close(self) -> None:
        """Free the socket."""
        if self._socket is not None:
            if self._socket.fileno() >= 0:
                asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()
            self._socket = None
        self._wake.set()

    async def _readable(self, used: socket.socket) -> None:
        """Wait until there is something to read, or the socket is closed."""
        self._wake.clear()
        asyncio.get_running_loop().add_reader(used, self._wake.set)
        try:
            await self._wake.wait()
        finally:
            if used.fileno() >= 0:
                asyncio.get_running_loop().remove_reader(used)

    def _take(self, event: Answer) -> None:
        """Remember what one event did to the table."""
        if self._needle not in event.body or not is_of(self._table, event.body):
            return
        if event.kind in DAMAGE:
            self._damage.add(event.kind)
        elif event.kind in {ELEMENTS_ADDED, ELEMENTS_DELETED}:
            name = dict(attributes(event.body, NFGENMSG.size)).get(NFTA_SET_NAME, b"")
            kept = kept_of(name.rstrip(b"\0").decode(errors="replace"))
            if kept is not None and len(self._targets) <= NAMED:
                self._targets |= dict.fromkeys(target_at(kept, one.key) for one in listed(event.body))
            elif kept is None and event.kind == ELEMENTS_DELETED:
                self._damage.add(event.kind)

    def _told(self, generation: Answer) -> Interference:
        parts = dict(attributes(generation.body, NFGENMSG.size))
        process = parts.get(NFTA_GEN_PROC_NAME, b"").rstrip(b"\0").decode(errors="replace")
        pid = int.from_bytes(parts.get(NFTA_GEN_PROC_PID, b""), "big")
        what = next((what for kind, what in DAMAGE.items() if kind in self._damage), "elements were changed")
        targets = None if self._damage or len(self._targets) > NAMED else list(self._targets)
        self._forget()
        return Interference(what, targets, process, pid)

    def _forget(self) -> None:
        self._damage, self._targets = set(), {}

    def _drain(self, used: socket.socket) -> None:
        self._forget()
        while True:
            try:
                used.recv(RECEIVE)
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno != ENOBUFS:
                    raise

    async def _generation(self) -> int:
        (answer,) = await self._netlink.ask([get_generation()])
        if isinstance(answer, Refused):
            raise answer
        (body,) = answer
        return int.from_bytes(dict(attributes(body, NFGENMSG.size))[NFTA_GEN_ID], "big")


def ignore(used: socket.socket, port: int) -> None:
    """Have the kernel throw away what the socket of this number causes."""
    number = int.from_bytes(struct.pack("=I", port), "big")  # a filter reads numbers in network order
    load, equal, answer = 0x20, 0x15, 0x06
    program = [(load, 0, 0, PORT_OFFSET), (equal, 0, 1, number), (answer, 0, 0, 0), (answer, 0, 0, RECEIVE)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *one) for one in program))
    used.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HL", len(program), ctypes.addressof(code)))


def _open() -> socket.socket:
    opened = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, NETLINK_NETFILTER)
    try:
        opened.setblocking(False)
        try:
            opened.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_BUFFER)
        except PermissionError:  # a capability in a user namespace of its own does not reach this far
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        opened.bind((0, 0))
    except BaseException:
        opened.close()
        raise
    return opened
