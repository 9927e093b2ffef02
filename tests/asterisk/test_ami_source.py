"""The AMI source at a real Asterisk."""

from __future__ import annotations

from functools import partial

import pytest

from amiguard.asterisk.schema import SecurityEvent
from amiguard.errors import LoginRefused, SourceError
from amiguard.journal import Action
from amiguard.sources.ami import AmiSettings, probe
from tests.lab.asterisk import Asterisk
from tests.lab.sip import Phone
from tests.lab.waiting import until
from tests.unit.sources.ami.support import Running, running

pytestmark = pytest.mark.asterisk

ATTACKER = "10.99.130.5"
FORGERIES = (
    "%0d%0aRemoteAddress%3a%20IPV4/UDP/9.9.9.9/1",
    "%0d%0a%0d%0aEvent%3a%20Shutdown%0d%0a",
    "%0d%0aEvent%3a%20X",
    "%0d%0a%0d%0aResponse%3a%20Goodbye%0d%0a",
)


def secmon(**changes: object) -> AmiSettings:
    values: dict[str, object] = {"username": "secmon", "secret": "secmon-secret", "ping_interval": 0.2}
    return AmiSettings(**(values | changes))  # type: ignore[arg-type]  # the names and types are AmiSettings' own


def refused(work: Running) -> list[SecurityEvent]:
    return [event for event in work.events if event.name == "InvalidAccountID"]


def has_refused(work: Running, count: int) -> bool:
    return len(refused(work)) >= count


async def test_an_attack_is_heard_and_forged_events_name_their_sender(asterisk22: Asterisk) -> None:
    with asterisk22.server.entered():
        async with running(secmon()) as work:
            await work.connected()
            for number, user in enumerate(("nobody", *FORGERIES), 1):
                async with asterisk22.connect(ATTACKER) as connection:
                    await Phone(connection, user).register()
                await until(partial(has_refused, work, number), what=f"the event of {user}")
            assert [event.tampered for event in refused(work)] == [False, True, True, True, True]
            assert {event.address for event in work.events} == {ATTACKER}
            assert work.reconnects == 0
            assert [line.action for line in work.journal.lines] == [Action.AMI_CONNECTED]


async def test_tls_is_verified(asterisk22: Asterisk) -> None:
    with asterisk22.server.entered():
        line = await probe(secmon(port=5039, tls=True, tls_ca=asterisk22.ca))
        assert "'secmon' gets security events" in line
        with pytest.raises(SourceError, match="not trusted"):
            await probe(secmon(port=5039, tls=True, tls_ca=asterisk22.ca, tls_server_name="pbx.example.org"))
        with pytest.raises(SourceError, match="not trusted"):
            await probe(secmon(port=5039, tls=True))


async def test_a_user_without_read_security_is_found_out(asterisk22: Asterisk) -> None:
    with asterisk22.server.entered(), pytest.raises(SourceError, match="read = security"):
        await probe(secmon(username="nosec", secret="nosec-secret", canary_timeout=1))


async def test_a_wrong_secret_is_refused_and_never_told_as_an_attack(asterisk22: Asterisk) -> None:
    with asterisk22.server.entered():
        async with running(secmon()) as work:
            await work.connected()
            with pytest.raises(LoginRefused, match="Authentication failed"):
                await probe(secmon(secret="wrong"))
            await until(lambda: b"failed to authenticate as 'secmon'" in asterisk22.full_log.read_bytes())
            async with asterisk22.connect(ATTACKER) as connection:
                await Phone(connection, "nobody").register()
            await work.heard(1)
            assert {event.service for event in work.events} == {"PJSIP"}
