"""The demo's network: a server, a cable, and the world outside with an attacker and a phone.

Nothing in it can reach the machine's network, nor the other way round."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import TracebackType
from typing import NamedTuple, Protocol, Self, cast

from pyroute2.iproute import linux
from pyroute2.netlink.exceptions import NetlinkError

from amiguard.demo.namespaces import Namespace
from amiguard.demo.seeing import NotSeen

SERVER = "10.99.0.1"
ATTACKER = "10.99.130.5"
PHONE = "10.99.131.7"
PREFIX = 16
SIP_PORT = 5060
MANAGER = ("127.0.0.1", 5038)
SMTP = ("127.0.0.1", 25)

CABLE = "cable"
LOOPBACK = 1
"""The index of `lo` in every network namespace."""


class Network(NamedTuple):
    """The two ends of the cable."""

    server: Namespace
    outside: Namespace


class _Links(Protocol):
    """What is used of pyroute2.IPRoute, which carries no types."""

    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
    def link(self, command: str, **fields: object) -> object: ...
    def link_lookup(self, **fields: str) -> list[int]: ...
    def addr(self, command: str, **fields: object) -> object: ...


_open_links = cast("Callable[[], _Links]", linux.IPRoute)


@contextmanager
def network() -> Iterator[Network]:
    """Make the network. No event loop may run in this thread yet, for pyroute2 brings its own.

    Raises:
        NotSeen: this process may not, or the kernel can't.
    """
    with ExitStack() as stack:
        try:
            made = Network(stack.enter_context(Namespace()), stack.enter_context(Namespace()))
            _connect(made)
        except OSError as error:
            raise NotSeen(
                f"private network namespaces can't be made ({error.strerror}): "
                "that takes CAP_SYS_ADMIN and CAP_NET_ADMIN, which some containers lack"
            ) from error
        yield made


def _connect(made: Network) -> None:
    with _links(made.server) as links:
        peer = {"ifname": CABLE, "net_ns_fd": made.outside.descriptor}
        links.link("add", ifname=CABLE, kind="veth", peer=peer)
    for namespace, addresses in ((made.server, [SERVER]), (made.outside, [ATTACKER, PHONE])):
        with _links(namespace) as links:
            (cable,) = links.link_lookup(ifname=CABLE)
            for address in addresses:
                links.addr("add", index=cable, address=address, prefixlen=PREFIX)
            for device in (LOOPBACK, cable):
                links.link("set", index=device, state="up")


@contextmanager
def _links(namespace: Namespace) -> Iterator[_Links]:
    """Open a route socket in `namespace`; pyroute2's errors become OSError."""
    try:
        with namespace.entered(), _open_links() as links:
            yield links
    except NetlinkError as error:
        raise OSError(error.code, os.strerror(error.code)) from error
