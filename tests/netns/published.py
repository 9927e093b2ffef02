"""A service in a namespace of its own behind the server, published there by DNAT as Docker does it."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.lab.netns import NetworkNamespace, veth
from tests.netns.wire import PORT, SERVERS, Wire

PUBLISHED = 15060
CONTAINERS = ("172.31.0.2", "fd00:31::2")


@dataclass
class Container:
    """A service behind DNAT, as Docker publishes one: `PUBLISHED` of the server is `PORT` of the container."""

    listener: socket.socket
    address: tuple[str, int]

    def received(self) -> bytes:
        try:
            return self.listener.recv(100)
        except BlockingIOError:
            return b""


@contextmanager
def container(wire: Wire, version: int) -> Iterator[Container]:
    inside, name = CONTAINERS[version], ("ip", "ip6")[version]
    prefix = (24, 64)[version]
    with NetworkNamespace("container") as box:
        host = inside[:-1] + "1"
        veth(wire.server, box, [f"{host}/{prefix}"], [f"{inside}/{prefix}"])
        box.run(["ip", f"-{'46'[version]}", "route", "add", "default", "via", host])
        forwarding = ("ipv4/ip_forward", "ipv6/conf/all/forwarding")[version]
        with wire.server.entered():
            Path("/proc/sys/net", forwarding).write_text("1", encoding="ascii")
        rule = f"udp dport {PUBLISHED} dnat to {f'[{inside}]' if version else inside}:{PORT}"
        ruleset = f"table {name} docker {{ chain pre {{ type nat hook prerouting priority dstnat; {rule}\n}}\n}}\n"
        wire.server.run(["nft", "-f", "-"], stdin=ruleset)
        with box.entered():
            listener = socket.socket((socket.AF_INET, socket.AF_INET6)[version], socket.SOCK_DGRAM)
        with listener:
            listener.bind((inside, PORT))
            listener.setblocking(False)
            yield Container(listener, (SERVERS[version], PUBLISHED))
