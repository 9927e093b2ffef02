"""Where the whole daemon is tried: a namespace with attackers' addresses, a manager interface, and the daemon."""

from __future__ import annotations

import socket
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from tests.lab.daemon import Site
from tests.lab.fakeami import FakeAmi, Script
from tests.lab.guessing import attempts
from tests.lab.netns import NetworkNamespace
from tests.lab.waiting import until

ATTACKERS = "198.18.0.0/15"
SERVER = ("198.19.255.254", 5060)
WITNESS = "198.19.255.253"
SECRET = "Canary-4711-of-the-manager"


@dataclass
class Stage:
    """Every address of `ATTACKERS` exists in the namespace, so that anybody may send a packet to `SERVER`."""

    namespace: NetworkNamespace
    server: FakeAmi
    site: Site
    phone: socket.socket
    """What hears at `SERVER`; it never blocks."""
    _numbers: count[int] = field(default_factory=count)

    async def guess(self, *addresses: str, times: int = 1) -> None:
        """Let Asterisk tell that each of these tried so many wrong passwords."""
        await self.server.play(b"".join(attempts(addresses, times)))

    async def arrives(self, address: str) -> bool:
        """Send a datagram from `address`, then one from a witness; once that is there, tell whether the first is."""
        sent, seen = self._send(address), set[bytes]()
        witness = self._send(WITNESS)
        await until(lambda: witness in self._received(seen), what="the witness's packet")
        return sent in seen

    def _send(self, address: str) -> bytes:
        with self.namespace.entered():
            sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        payload = str(next(self._numbers)).encode()
        with sender:
            sender.bind((address, 0))
            sender.sendto(payload, SERVER)
        return payload

    def _received(self, seen: set[bytes]) -> set[bytes]:
        while True:
            try:
                seen.add(self.phone.recv(64))
            except BlockingIOError:
                return seen


@asynccontextmanager
async def stage(**settings: str) -> AsyncIterator[Stage]:
    """Set up all but the daemon; on the way out nothing is left."""
    with tempfile.TemporaryDirectory(prefix="amiguard-") as folder, NetworkNamespace("stage") as namespace:
        namespace.run(["ip", "route", "add", "local", ATTACKERS, "dev", "lo"])
        with namespace.entered():
            phone = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        phone.setblocking(False)
        phone.bind(SERVER)
        server = FakeAmi(Script(secret=SECRET))
        with phone:
            with namespace.entered():
                await server.__aenter__()
            try:
                own = {"AMI_PORT": str(server.port), "AMI_USERNAME": "amiguard", "AMI_SECRET": SECRET}
                yield Stage(namespace, server, Site(namespace, Path(folder), own | settings), phone)
            finally:
                await server.__aexit__(None, None, None)
