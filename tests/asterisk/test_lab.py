"""What real Asterisks say. The design rests on it, and the tests beside this one on the lab being right."""

from __future__ import annotations

import pytest

from tests.lab.asterisk import VICTIM, Asterisk
from tests.lab.sip import Phone

pytestmark = pytest.mark.asterisk

WAYS = [
    ("10.99.130.1", "udp", "IPV4/UDP/"),
    ("10.99.130.2", "tcp", "IPV4/TCP/"),
    ("10.99.130.3", "tls", "IPV4/TLS/"),
    ("10.99.130.4", "ws", "IPV4/WS/"),
    ("10.99.130.5", "wss", "IPV4/WSS/"),
    ("fd99:1::1", "udp", "IPV6/UDP/"),
    ("fd99:1::2", "tcp", "IPV6/TCP/"),
    ("fd99:1::3", "tls", "IPV6/TLS/"),
    ("fd99:1::4", "ws", "IPV6/WS/"),
    ("fd99:1::5", "wss", "IPV6/WSS/"),
]
FAILURE = {"pjsip": "ChallengeResponseFailed", "sip": "InvalidPassword"}
FAILURES = {*FAILURE.values(), "InvalidAccountID", "FailedACL"}


@pytest.fixture(params=["asterisk22", "asterisk16", "asterisk16_pjsip"])
def asterisk(request: pytest.FixtureRequest) -> Asterisk:
    found: Asterisk = request.getfixturevalue(request.param)
    return found


@pytest.mark.parametrize(("source", "transport", "remote"), WAYS)
async def test_a_wrong_password_is_an_event_that_names_who_sent_it(
    asterisk: Asterisk, source: str, transport: str, remote: str
) -> None:
    async with asterisk.manager() as manager, asterisk.connect(source, transport) as connection:
        assert await Phone(connection, "6001", "wrong").register() in {401, 403}
        event = await manager.event(FAILURE[asterisk.driver])

        assert event["RemoteAddress"] == f"{remote}{source}/{connection.local[1]}"
        assert event["AccountID"] == "6001"


@pytest.mark.parametrize(("source", "transport", "remote"), WAYS)
async def test_the_right_password_is_a_success_and_no_failure(
    asterisk: Asterisk, source: str, transport: str, remote: str
) -> None:
    async with asterisk.manager() as manager, asterisk.connect(source, transport) as connection:
        assert await Phone(connection, "6001", "pw6001").register() == 200
        event = await manager.event("SuccessfulAuth", AccountID="6001")

        assert event["RemoteAddress"] == f"{remote}{source}/{connection.local[1]}"
        assert not FAILURES.intersection(event["Event"] for event in manager.events)


async def test_a_user_without_the_right_to_security_events_gets_none(asterisk: Asterisk) -> None:
    async with asterisk.manager("nosec") as blind, asterisk.manager() as manager:
        async with asterisk.connect("10.99.131.1") as connection:
            await Phone(connection, "6001", "wrong").register()
        await manager.event(FAILURE[asterisk.driver])
        blind.send(Action="Ping")
        while (await blind.block()).get("Ping") != "Pong":
            pass

        assert not FAILURES.intersection(event["Event"] for event in blind.events)


async def test_pjsip_tells_of_an_unknown_account_before_any_challenge_is_answered(asterisk22: Asterisk) -> None:
    async with asterisk22.manager() as manager, asterisk22.connect("10.99.131.2") as connection:
        assert await Phone(connection, "7777").register() == 401

        assert (await manager.event("InvalidAccountID"))["RemoteAddress"].startswith("IPV4/UDP/10.99.131.2/")


async def test_pjsip_blames_the_victim_for_one_forged_datagram(asterisk22: Asterisk) -> None:
    async with asterisk22.manager() as manager, asterisk22.connect(VICTIM) as connection:
        await Phone(connection, "6001", "x").register_blindly()

        assert (await manager.event("ChallengeResponseFailed"))["RemoteAddress"].startswith(f"IPV4/UDP/{VICTIM}/")


async def test_chan_sip_blames_whom_the_via_header_names_even_over_tcp(asterisk16: Asterisk) -> None:
    async with asterisk16.manager() as manager, asterisk16.connect("10.99.131.3", "tcp") as connection:
        await Phone(connection, "6001", "wrong", via=f";maddr={VICTIM}").register()

        assert (await manager.event("InvalidPassword"))["RemoteAddress"].startswith(f"IPV4/TCP/{VICTIM}/")


async def test_a_name_can_smuggle_a_header_into_an_event(asterisk22: Asterisk) -> None:
    async with asterisk22.manager() as manager, asterisk22.connect("10.99.131.4") as connection:
        await Phone(connection, f"%0d%0aX%3a%20{VICTIM}").register()

        assert (await manager.event("InvalidAccountID"))["X"] == VICTIM


async def test_a_phone_that_registers_often_keeps_its_nonce_and_never_fails(asterisk22: Asterisk) -> None:
    async with asterisk22.manager() as manager, asterisk22.connect("10.99.131.5") as connection:
        phone = Phone(connection, "6001", "pw6001")
        for _ in range(100):
            assert await phone.register() == 200
        nonce = phone.challenge

        assert await phone.register() == 200
        assert phone.challenge == nonce
        for _ in range(101):
            await manager.event("SuccessfulAuth", AccountID="6001")
        assert not FAILURES.intersection(event["Event"] for event in manager.events)


def test_the_command_line_reaches_the_running_server(asterisk: Asterisk) -> None:
    assert "System uptime" in asterisk.cli("core show uptime")
