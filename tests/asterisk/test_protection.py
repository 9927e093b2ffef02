"""Phones and trunks of a real Asterisk: an office is not locked out for one phone, and nobody bans its trunk."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from amiguard.demo.registrar import Registrar
from tests.lab.asterisk import Asterisk, running
from tests.lab.daemon import Daemon
from tests.lab.guarding import guarded
from tests.lab.sip import Challenge, Phone
from tests.lab.waiting import until

pytestmark = pytest.mark.asterisk

OFFICE, HOME, STRANGER = "10.99.170.1", "10.99.170.2", "10.99.170.3"
PROVIDER = "10.99.171.1"
PHONES = [str(number) for number in range(7001, 7051)]
WAITS = {"AMI_USERNAME": "guard", "AMI_SECRET": "guard-secret"}

MANAGER = """
[guard]
secret = guard-secret
read = security
write = system
"""
MODULES = """
load = res_pjsip_outbound_authenticator_digest.so
load = res_pjsip_outbound_registration.so
"""
TRUNK = f"""
[trunk]
type = registration
transport = udp4
outbound_auth = trunk-auth
server_uri = sip:{PROVIDER}
client_uri = sip:me@{PROVIDER}
retry_interval = 1
[trunk-auth](password)
username = me
password = trunk-password
"""


def accounts(names: list[str]) -> str:
    return "".join(
        f"[{name}](phone)\nauth = {name}\naors = {name}\n"
        f"[{name}](password)\nusername = {name}\npassword = pw{name}\n"
        f"[{name}]\ntype = aor\nmax_contacts = 1\nremove_existing = yes\n"
        for name in names
    )


@pytest.fixture(scope="module")
def asterisk(asterisk22_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asterisk]:
    also = {"manager.conf": MANAGER, "modules.conf": MODULES, "pjsip.conf": TRUNK + accounts(PHONES)}
    with running(asterisk22_root, "pjsip", tmp_path_factory.mktemp("office"), also) as made:
        yield made


@asynccontextmanager
async def provider(asterisk: Asterisk) -> AsyncIterator[Registrar]:
    """Take this server's registrations."""
    registrar = Registrar({"me": "trunk-password"}, lambda *_: None)
    with asterisk.attackers.entered():
        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: registrar, local_addr=(PROVIDER, 5060)
        )
    try:
        yield registrar
    finally:
        transport.close()


async def registered(asterisk: Asterisk, source: str, account: str, password: str) -> int:
    async with asterisk.connect(source) as connection:
        return await Phone(connection, account, password).register()


async def trunk_known(daemon: Daemon) -> None:
    await until(
        lambda: any(PROVIDER in line["message"] for line in daemon.lines("allowlist-changed")), 20, "the trunk is known"
    )


def failures(daemon: Daemon, account: str) -> int:
    return sum(line["user.name"] == account for line in daemon.lines("failure"))


def addresses(daemon: Daemon, action: str) -> list[str]:
    return [line["source.ip"] for line in daemon.lines(action)]


@pytest.mark.parametrize("settings", [WAITS, {}], ids=["ami", "json log alone"])
async def test_an_office_is_not_banned_for_one_phone_but_for_a_guesser(
    asterisk: Asterisk, tmp_path: Path, settings: dict[str, str]
) -> None:
    async with guarded(asterisk, tmp_path, [asterisk.json_log, asterisk.full_log], settings) as daemon:
        for account in PHONES:
            assert await registered(asterisk, OFFICE, account, f"pw{account}") == 200
        wrong = PHONES[-1]
        for _ in range(30):
            assert await registered(asterisk, OFFICE, wrong, "changed") == 401
        await until(lambda: failures(daemon, wrong) == 30, 20, "every failure of the phone in the log")

        (alert,) = await daemon.told("phone-failing")
        assert (alert["source.ip"], alert["user.name"]) == (OFFICE, wrong)
        assert addresses(daemon, "ban") == []
        assert await registered(asterisk, OFFICE, PHONES[0], f"pw{PHONES[0]}") == 200

        for _ in range(5):
            assert await registered(asterisk, OFFICE, "6001", "guess") == 401
        await daemon.told("ban")
        assert addresses(daemon, "ban") == [OFFICE]


async def test_a_phone_that_registered_before_amiguard_started_is_known(asterisk: Asterisk, tmp_path: Path) -> None:
    assert await registered(asterisk, HOME, PHONES[0], f"pw{PHONES[0]}") == 200
    async with guarded(asterisk, tmp_path, [], WAITS) as daemon:
        await trunk_known(daemon)  # it is asked for after the phones
        for _ in range(10):
            assert await registered(asterisk, HOME, PHONES[0], "changed") == 401
        for _ in range(5):
            assert await registered(asterisk, STRANGER, PHONES[0], "guess") == 401
        await daemon.told("ban")

        assert addresses(daemon, "ban") == [STRANGER]
        assert addresses(daemon, "phone-failing") == [HOME]


async def test_forged_packets_can_not_ban_the_trunk_that_this_server_registers_with(
    asterisk: Asterisk, tmp_path: Path
) -> None:
    async with provider(asterisk) as registrar, guarded(asterisk, tmp_path, [asterisk.full_log], WAITS) as daemon:
        await until(lambda: "Registered" in asterisk.cli("pjsip show registrations"), 30, "the trunk is registered")
        await trunk_known(daemon)
        for source in (PROVIDER, STRANGER):
            async with asterisk.connect(source) as connection:
                for _ in range(20):
                    await connection.send(forged(Phone(connection, "6001", "guess")))
        await daemon.told("ban")
        (skipped, *_) = await daemon.told("ban-skipped")

        assert addresses(daemon, "ban") == [STRANGER]
        assert (skipped["source.ip"], skipped["amiguard.evidence"]) == (PROVIDER, "datagram")
        arrived = registrar.arrived.total()
        asterisk.cli("pjsip send register trunk")
        await until(lambda: registrar.arrived.total() > arrived, what="the trunk registers again")
        await until(lambda: "Registered" in asterisk.cli("pjsip show registrations"), 10, "and is answered")
        assert "trunk-password" not in daemon.log.read_text()


def forged(phone: Phone) -> bytes:
    """Return a REGISTER with a digest for a nonce that no server ever gave: one packet that needs no answer."""
    phone.use(Challenge())
    return phone.message("REGISTER")
