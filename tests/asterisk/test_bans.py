"""The whole way: a real attack on a real Asterisk ends in the kernel of the server it attacked."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.lab.asterisk import Asterisk
from tests.lab.daemon import Daemon, Site
from tests.lab.sip import Challenge, Phone
from tests.lab.waiting import until

pytestmark = pytest.mark.asterisk

WAYS = [
    ("10.99.140.1", "udp"),
    ("10.99.140.2", "tcp"),
    ("10.99.140.3", "tls"),
    ("10.99.140.4", "ws"),
    ("10.99.140.5", "wss"),
    ("fd99:1::41", "udp"),
    ("fd99:1::42", "tcp"),
    ("fd99:1::43", "ws"),
]
BYSTANDERS = ("10.99.140.200", "fd99:1::200")


@pytest.fixture
async def site(asterisk22: Asterisk, tmp_path: Path) -> AsyncIterator[Site]:
    async with guarded(asterisk22, tmp_path) as made:
        yield made


@pytest.fixture
async def chan_sip_site(asterisk16: Asterisk, tmp_path: Path) -> AsyncIterator[Site]:
    async with guarded(asterisk16, tmp_path) as made:
        yield made


@asynccontextmanager
async def guarded(asterisk: Asterisk, folder: Path) -> AsyncIterator[Site]:
    site = Site(asterisk.server, folder, {"AMI_USERNAME": "secmon", "AMI_SECRET": "secmon-secret"})
    daemon = await site.up()
    try:
        yield site
        assert await daemon.stop() == 0
        assert daemon.errors == ""
    finally:
        asterisk.server.run(["nft", "flush", "ruleset"])


async def attack(asterisk: Asterisk, source: str, transport: str, guesses: int) -> None:
    for number in range(guesses):
        async with asterisk.connect(source, transport) as connection:
            assert await Phone(connection, "6001", f"guess{number}").register() in {401, 403}


async def answered(asterisk: Asterisk, source: str) -> bool:
    """Tell whether a packet from `source` reaches Asterisk and is answered."""
    async with asterisk.connect(source) as connection:
        try:
            return (await Phone(connection, "6001").request("REGISTER", patience=0.5)).status == 401
        except TimeoutError:
            return False


def failures(daemon: Daemon, source: str) -> int:
    return sum(line["source.ip"] == source for line in daemon.lines("failure"))


@pytest.mark.parametrize(("source", "transport"), WAYS)
async def test_five_wrong_passwords_end_in_a_ban_of_their_sender_alone(
    site: Site, asterisk22: Asterisk, source: str, transport: str
) -> None:
    await attack(asterisk22, source, transport, 5)
    daemon = site.lives[0]
    (line,) = await daemon.told("ban")

    assert line["source.ip"] == source
    assert line["amiguard.failures"] == 5
    assert list(site.kernel(6 if ":" in source else 4)) == [source]
    assert not await answered(asterisk22, source)
    for bystander in BYSTANDERS:
        assert await answered(asterisk22, bystander)


@pytest.mark.parametrize(("source", "transport"), WAYS)
async def test_four_wrong_passwords_are_forgiven(site: Site, asterisk22: Asterisk, source: str, transport: str) -> None:
    await attack(asterisk22, source, transport, 4)
    daemon = site.lives[0]
    await until(lambda: failures(daemon, source) == 4, what="four failures in the log")

    assert await answered(asterisk22, source)
    assert daemon.banned() == []
    assert site.kernel(4) == site.kernel(6) == {}


async def test_a_phone_that_registers_a_thousand_times_is_never_banned(site: Site, asterisk22: Asterisk) -> None:
    times = 0
    nonces: set[Challenge | None] = set()
    async with asterisk22.connect("10.99.140.50") as connection:
        phone = Phone(connection, "6004", "pw6004")
        while times < 1000 or len(nonces) < 3:  # a correct phone meets stale nonces too
            assert await phone.register() == 200
            nonces.add(phone.challenge)
            times += 1
    await attack(asterisk22, "10.99.140.51", "udp", 1)
    daemon = site.lives[0]
    await until(lambda: failures(daemon, "10.99.140.51") == 1, what="the failure that came after the phone's requests")

    assert failures(daemon, "10.99.140.50") == 0
    assert daemon.banned() == []


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls", "ws"])
async def test_five_wrong_passwords_for_chan_sip_end_in_a_ban(
    chan_sip_site: Site, asterisk16: Asterisk, transport: str
) -> None:
    await attack(asterisk16, "10.99.140.60", transport, 5)
    (line,) = await chan_sip_site.lives[0].told("ban")

    assert line["source.ip"] == "10.99.140.60"
    assert list(chan_sip_site.kernel()) == ["10.99.140.60"]
    assert not await answered(asterisk16, "10.99.140.60")
