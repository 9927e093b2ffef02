"""What tests of the kernel see: real packets between two namespaces, and the ruleset as `nft` prints it."""

from __future__ import annotations

import itertools
import json
import socket
import time
from collections.abc import Iterable
from typing import Any

from amiguard.model import Ban, Reason, Target, Timestamp
from tests.lab.netns import NetworkNamespace
from tests.lab.waiting import until

SERVERS = ("192.0.2.1", "2001:db8::1")
V4, V4_NEIGHBOUR = "192.0.2.10", "192.0.2.11"
V6, V6_NEIGHBOUR = "2001:db8::10", "2001:db8::11"
FAR_V4, FAR_V4_NEIGHBOUR = "198.51.100.200", "198.51.101.1"
FAR_V6, FAR_V6_NEIGHBOUR = "2001:db8:1:2:3::4", "2001:db8:1:3::1"
ATTACKERS = [
    *(f"{one}/24" for one in (V4, V4_NEIGHBOUR, FAR_V4, FAR_V4_NEIGHBOUR)),
    *(f"{one}/64" for one in (V6, V6_NEIGHBOUR, FAR_V6, FAR_V6_NEIGHBOUR)),
]
PORT = 5060
AGAIN = 1.0
"""Seconds after which a datagram that should pass is sent once more."""


def ban(target: str, until: Timestamp | None = None, *, absolute: bool = True) -> Ban:
    """A ban as the firewall sees it, permanent unless it has an end."""
    return Ban(Target(target), 0, until, Reason.MANUAL, absolute=absolute)


def targets(*texts: str) -> list[Target]:
    return [Target(text) for text in texts]


class Wire:
    """The cable between `server` and `attacker`. Datagrams to the server's port are kept until asked for."""

    def __init__(
        self, server: NetworkNamespace, attacker: NetworkNamespace, device: str, attackers_device: str
    ) -> None:
        self.server, self.attacker, self.device, self.attackers_device = server, attacker, device, attackers_device
        self._numbers = itertools.count()
        self._seen: set[bytes] = set()
        self._senders: dict[str, socket.socket] = {}
        self._listener = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        self._listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        self._listener.bind(("::", PORT))
        self._listener.setblocking(False)

    def close(self) -> None:
        self._listener.close()
        for sender in self._senders.values():
            sender.close()

    def send(self, source: str) -> bytes:
        """Send one datagram from this address of the attacker to the server, and return what is in it."""
        family, server = (socket.AF_INET6, SERVERS[1]) if ":" in source else (socket.AF_INET, SERVERS[0])
        if source not in self._senders:
            with self.attacker.entered():
                self._senders[source] = socket.socket(family, socket.SOCK_DGRAM)
            self._senders[source].bind((source, 0))
        payload = f"{source} {next(self._numbers)}".encode()
        self._senders[source].sendto(payload, (server, PORT))
        return payload

    def received(self) -> set[bytes]:
        """Return all that has reached the server so far."""
        while True:
            try:
                self._seen.add(self._listener.recv(2048))
            except BlockingIOError:
                return self._seen

    def forget(self) -> None:
        """Forget what has reached the server so far."""
        self.received()
        self._seen.clear()

    async def passes(self, *sources: str) -> None:
        """Assert that a datagram from each of these arrives."""
        for source in sources:
            await self._passes(source)

    async def dropped(self, *sources: str) -> None:
        """Assert that a datagram from each of these is counted by a rule that drops, and does not arrive."""
        for source in sources:
            await self._dropped(source)

    async def _passes(self, source: str) -> None:
        sent = {self.send(source): time.monotonic()}

        def arrived() -> bool:
            if time.monotonic() - max(sent.values()) > AGAIN:  # a busy machine may lose one before its link is up
                sent[self.send(source)] = time.monotonic()
            return not self.received().isdisjoint(sent)

        await until(arrived, what=f"{source} reaches the server")

    async def _dropped(self, source: str) -> None:
        before = self.drops()
        payload = self.send(source)
        await until(lambda: self.drops() > before, what=f"{source} is dropped")
        assert payload not in self.received()

    async def passes_at_last(self, source: str) -> None:
        """Assert that datagrams from `source`, sent again and again, arrive after a while."""
        await until(lambda: self.send(source) in self.received(), what=f"{source} reaches the server again")

    def nft(self, *command: str) -> list[dict[str, Any]]:
        """Return what `nft -j` says to a command."""
        listed: list[dict[str, Any]] = json.loads(self.server.run(["nft", "-j", *command]).stdout)["nftables"]
        return listed

    def tables(self) -> list[str]:
        """Return the names of all tables, without the empty ones that only tell of a running firewall."""
        # without -j: nft 1.0.6 crashes on a table with just one flag, as a table has whose owner is gone
        names = [line.split()[-1] for line in self.server.run(["nft", "list", "tables"]).stdout.splitlines()]
        return [name for name in names if not name.endswith("_lock")]

    def elements(self, name: str, table: str = "amiguard") -> dict[str, dict[str, Any]]:
        """Return the elements of a set with their `timeout` and `expires` (seconds), as nft prints them."""
        (found,) = (one["set"] for one in self.nft("list", "set", "inet", table, name) if "set" in one)
        return dict(map(_element, found.get("elem", [])))

    def rules(self, chain: str = "banned4") -> list[list[dict[str, Any]]]:
        """Return the expressions of each rule of the chain."""
        return [one["rule"]["expr"] for one in self.nft("list", "chain", "inet", "amiguard", chain) if "rule" in one]

    def drops(self) -> int:
        """Return how many packets the firewall has dropped or rejected."""
        return self.counters()["dropped"]

    def counters(self) -> dict[str, int]:
        """Return how many packets each named counter has counted."""
        listed = self.nft("list", "counters", "table", "inet", "amiguard")
        return {one["counter"]["name"]: one["counter"]["packets"] for one in listed if "counter" in one}


def _element(printed: Any) -> tuple[str, dict[str, Any]]:
    if isinstance(printed, dict) and "elem" in printed:
        return _text(printed["elem"]["val"]), printed["elem"]
    return _text(printed), {}


def _text(value: Any) -> str:
    if isinstance(value, dict) and "prefix" in value:
        return f"{value['prefix']['addr']}/{value['prefix']['len']}"
    if isinstance(value, dict) and "range" in value:
        return "-".join(value["range"])
    return str(value)


def sources_of(payloads: Iterable[bytes]) -> set[str]:
    """Return who sent these datagrams."""
    return {payload.decode().split()[0] for payload in payloads}
