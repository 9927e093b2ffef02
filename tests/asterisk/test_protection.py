"""Phones and trunks of a real Asterisk: an office is not locked out for one phone, and nobody bans its trunk."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from operator import itemgetter
from pathlib import Path

import pytest

from amiguard.demo.registrar import Registrar
from tests.lab.asterisk import Asterisk, running
from tests.lab.daemon import Daemon
from tests.lab.guarding import guarded, guesses
from tests.lab.office import accounts
from tests.lab.past import Past, written
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


@pytest.mark.parametrize(
    ("settings", "transport"), [(WAITS, "udp"), ({}, "tcp")], ids=["ami, and a guesser over UDP", "json log alone, TCP"]
)
async def test_an_office_is_not_banned_for_phones_with_wrong_passwords_but_for_a_guesser(
    asterisk: Asterisk, tmp_path: Path, settings: dict[str, str], transport: str
) -> None:
    changed, *others, new = PHONES
    settings = settings | {"FINDTIME": "1s"}  # which stands for ten minutes, and so 0.04 s for 24
    async with guarded(asterisk, tmp_path, [asterisk.json_log, asterisk.full_log], settings) as daemon:
        for account in (changed, *others):
            assert await registered(asterisk, OFFICE, account, f"pw{account}") == 200
        for _ in range(80):
            again = time.monotonic() + 0.04
            assert await registered(asterisk, OFFICE, new, "wrong from the start") == 401
            assert await registered(asterisk, OFFICE, changed, "changed") == 401
            await until(partial(passed, again), what="the time after which phones try again")
        await until(lambda: failures(daemon, new) == failures(daemon, changed) == 80, 20, "every failure in the log")

        alerts = await daemon.told("phone-failing", 2)
        assert sorted((line["source.ip"], line["user.name"]) for line in alerts) == [(OFFICE, changed), (OFFICE, new)]
        assert addresses(daemon, "ban") == []
        assert await registered(asterisk, OFFICE, others[0], f"pw{others[0]}") == 200

        await guesses(asterisk, OFFICE, 40, transport)
        await daemon.told("ban")
        assert addresses(daemon, "ban") == [OFFICE]
        assert failures(daemon, "6001") <= 25, "20, and what was on its way"


async def test_for_days_an_office_is_not_banned_for_a_phone_that_never_could_log_in(
    asterisk: Asterisk, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    *others, new = PHONES
    begin = asterisk.json_log.stat().st_size
    for account in others:
        assert await registered(asterisk, OFFICE, account, f"pw{account}") == 200
    registering = await lines(asterisk, begin, b'SecurityEvent=\\"SuccessfulAuth', len(others))
    begin = asterisk.json_log.stat().st_size
    assert await registered(asterisk, OFFICE, new, "wrong from the start") == 401
    failing = await lines(asterisk, begin, b"Failed to authenticate", 1)

    start = datetime(2026, 1, 1, tzinfo=UTC)
    hourly = [(start + timedelta(hours=hour), registering) for hour in range(48)]
    retries = [(start + timedelta(seconds=21) * number, failing) for number in range(48 * 3600 // 21)]
    days = sorted([*hourly, *retries], key=itemgetter(0))
    log = written(tmp_path / "days.json", *(line for when, what in days for line in at(when, what)))
    past = Past(lambda: capsys.readouterr().out)(log)

    assert past.banned == []
    assert past.totals["failures"] == len(retries)
    assert past.totals["alerts"] == {"phone-failing": 2}


async def lines(asterisk: Asterisk, begin: int, last: bytes, times: int) -> list[bytes]:
    """Return what the JSON log tells of the office from `begin` on, as soon as `last` stands there so often."""
    await until(lambda: asterisk.json_log.read_bytes()[begin:].count(last) >= times, what="the log's last line")
    return [line for line in asterisk.json_log.read_bytes()[begin:].splitlines(True) if OFFICE.encode() in line]


def at(when: datetime, told: list[bytes]) -> Iterator[bytes]:
    """Yield these lines of a JSON log as if they were written then."""
    stamp = b'"timestamp":"%s"' % f"{when:%F %T}.000+0000".encode()
    event = rb"EventTV=\"%s\"" % f"{when:%FT%T}.000+0000".encode()
    for line in told:
        yield re.sub(rb'EventTV=\\"[^"]*"', lambda _: event, re.sub(rb'"timestamp":"[^"]*"', lambda _: stamp, line))


def passed(moment: float) -> bool:
    return time.monotonic() > moment


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
