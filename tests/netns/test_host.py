"""This host as the kernel tells it, in a namespace whose network changes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from amiguard.model import Address
from amiguard.surroundings import host
from amiguard.surroundings.host import Host
from tests.lab.journal import RecordingJournal
from tests.lab.netns import NetworkNamespace
from tests.lab.waiting import until

pytestmark = pytest.mark.netns


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[NetworkNamespace]:
    conf = tmp_path / "resolv.conf"
    conf.write_text(
        "# by DHCP\nnameserver 192.0.2.53\nnameserver fe80::53%eth0\nnameserver nonsense\nsearch example.org\n"
    )
    monkeypatch.setattr(host, "RESOLV_CONF", conf)
    with NetworkNamespace("host") as server:
        ip(server, "link add wan type veth peer name lan", "link set lan up", "link set wan up")
        ip(server, "address add 192.0.2.2/24 dev wan")
        ip(server, "route add default via 192.0.2.1", "address add 2001:db8::2/64 dev wan nodad")
        yield server


def ip(namespace: NetworkNamespace, *commands: str) -> None:
    for command in commands:
        namespace.run(["ip", *(["-6"] if "::" in command else []), *command.split()])


@asynccontextmanager
async def watched(namespace: NetworkNamespace) -> AsyncIterator[dict[str, set[str]]]:
    seen: dict[str, set[str]] = {}

    def told(what: str, addresses: frozenset[Address]) -> None:
        seen[what] = {address for address in addresses if not address.startswith("fe80:")}

    with namespace.entered():
        task = asyncio.create_task(Host(told, RecordingJournal()).run())
        await until(lambda: len(seen) == 3, what="the first look")
        try:
            yield seen
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def test_own_addresses_gateways_and_resolvers_are_told_at_once(server: NetworkNamespace) -> None:
    async with watched(server) as seen:
        assert seen == {
            "own address": {"127.0.0.1", "::1", "192.0.2.2", "2001:db8::2"},
            "gateway": {"192.0.2.1"},
            "resolver": {"192.0.2.53"},
        }


async def test_an_address_that_comes_or_goes_is_told(server: NetworkNamespace) -> None:
    async with watched(server) as seen:
        ip(server, "address add 198.51.100.2/24 dev wan", "address add 2001:db8::3/64 dev wan nodad")
        await until(lambda: {"198.51.100.2", "2001:db8::3"} <= seen["own address"])
        ip(server, "address del 192.0.2.2/24 dev wan")
        await until(lambda: "192.0.2.2" not in seen["own address"])
        assert seen["gateway"] == {"192.0.2.1"}


async def test_gateways_are_told_as_they_change_also_many_and_those_of_the_other_family(
    server: NetworkNamespace,
) -> None:
    async with watched(server) as seen:
        ip(server, "route add 10.0.0.0/8 via 192.0.2.99", "route add default via 2001:db8::1")
        await until(lambda: seen["gateway"] == {"192.0.2.1", "2001:db8::1"})
        many = "route replace default nexthop via 192.0.2.7 dev wan nexthop via 192.0.2.8 dev wan"
        ip(server, many)
        await until(lambda: seen["gateway"] == {"192.0.2.7", "192.0.2.8", "2001:db8::1"})
        server.run(["ip", "-4", "route", "replace", "0.0.0.0/0", "via", "inet6", "2001:db8::9", "dev", "wan"])
        await until(lambda: seen["gateway"] == {"2001:db8::9", "2001:db8::1"})
        ip(server, "route add default via 192.0.2.77 table 100")
        await until(lambda: "192.0.2.77" in seen["gateway"])


async def test_resolvers_are_read_again(server: NetworkNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "LOOK", 0.05)
    async with watched(server) as seen:
        host.RESOLV_CONF.write_text("nameserver 192.0.2.54")
        await until(lambda: seen["resolver"] == {"192.0.2.54"})
        host.RESOLV_CONF.unlink()
        await until(lambda: seen["resolver"] == set())


async def test_a_thousand_changes_of_other_routes_are_no_reason_to_look_again(
    server: NetworkNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = 0
    real = host.look

    async def counted() -> dict[str, frozenset[Address]]:
        nonlocal looks
        looks += 1
        return await real()

    monkeypatch.setattr(host, "look", counted)
    async with watched(server) as seen:
        batch = "\n".join(f"route add 10.{number >> 8}.{number & 255}.0/24 via 192.0.2.99" for number in range(1000))
        server.run(["ip", "-batch", "-"], stdin=batch)
        ip(server, "address add 198.51.100.2/24 dev wan")
        await until(lambda: "198.51.100.2" in seen["own address"])
        assert looks <= 3
