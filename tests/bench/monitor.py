"""Hears what changes in nftables, as `nft monitor` does."""

from __future__ import annotations

import select
import socket
import struct
import time

from tests.lab.netns import NetworkNamespace

NETLINK_NETFILTER = 12
NFNLGRP_NFTABLES = 7
SO_RCVBUFFORCE = 33
ROOM = 16 << 20


class Monitor:
    """Listens in a namespace; the kernel tells of a transaction once it is committed."""

    def __init__(self, namespace: NetworkNamespace) -> None:
        with namespace.entered():
            self.socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER)
        self.socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, ROOM)
        self.socket.bind((0, 1 << NFNLGRP_NFTABLES - 1))

    def close(self) -> None:
        self.socket.close()

    def committed(self, address: str, timeout: float = 5) -> float:
        """Block until a transaction with this IPv4 address is told of; return when that was (`perf_counter`)."""
        element = struct.pack("=HH4s", 8, 1, socket.inet_aton(address))
        end = time.perf_counter() + timeout
        while select.select([self.socket], [], [], max(0, end - time.perf_counter()))[0]:
            told = self.socket.recv(1 << 17)
            now = time.perf_counter()
            if element in told:
                return now
        raise AssertionError(f"{address} was not banned within {timeout} s")
