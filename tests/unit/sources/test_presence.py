"""Registrations are asked for over the connection that is there; of the answers only what is needed is ever kept."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from amiguard.clock import steady_clock
from amiguard.journal import Action
from amiguard.model import Phone, Timestamp
from amiguard.sources.ami import AmiSource
from amiguard.sources.ami.answers import ListAnswer
from amiguard.sources.presence import LONGEST, Registrations, host_of
from tests.lab.fakeami import FakeAmi, Script, security_event
from tests.lab.journal import RecordingJournal
from tests.lab.waiting import until
from tests.unit.sources.ami.support import SECRET, quick
from tests.unit.sources.working import at_work

PASSWORD = "trunkpw-4711"

REGISTERED = """Event: ContactList
ObjectType: contact
ObjectName: 6001;@466501d9909217a0
ViaAddr: 192.168.1.2
Endpoint: 6001
Uri: sip:6001@192.0.2.1:51224;transport=udp
UserAgent: x
ExpirationTime: 9999999999
Status: NonQualified"""
CONTACTS = [
    REGISTERED,
    "Event: ContactList\nObjectName: 6002;@1\nEndpoint: \nUri: sips:x@[2001:db8::1]:5061\nExpirationTime: 9999999999",
    "Event: ContactList\nObjectName: 6003;@1\nEndpoint: 6003\nUri: sip:6003@a.example.org\nExpirationTime: 9999999999",
    "Event: ContactList\nObjectName: 6004;@1\nEndpoint: 6004\nUri: sip:6004@192.0.2.4\nExpirationTime: soon",
    "Event: ContactList\nObjectName: 6005;@1\nEndpoint: 6005\nUri: \nExpirationTime: 1",
    "Event: ContactList\nUri: sip:a@192.0.2.66",
]
TRUNKS = [
    "Event: OutboundRegistrationDetail\nServerUri: sip:sip.example.org:5070\nOutboundProxy: sip:192.0.2.99;lr",
    f"Event: AuthDetail\nObjectName: a-auth\nUsername: me\nPassword: {PASSWORD}",
    "Event: OutboundRegistrationDetail\nObjectName: b\nServerUri: sip:[2001:db8::5]\nOutboundProxy: ",
]
AORS = [
    "Event: InboundRegistrationDetail\nMaxContacts: 0\nContacts: static/sip:10.0.0.77:5062,other/sip:b.example.org,",
    "Event: InboundRegistrationDetail\nMaxContacts: 1\nContacts: 6001/sip:6001@192.0.2.1:51224,",
]
LISTS = {
    "PJSIPShowContacts": CONTACTS,
    "PJSIPShowRegistrationsOutbound": TRUNKS,
    "PJSIPShowRegistrationsInbound": AORS,
}


class Asked:
    def __init__(self) -> None:
        self.phones: dict[str, Phone] = {}
        self.trunks: list[frozenset[str]] = []
        self.events: list[Any] = []
        self.journal = RecordingJournal()

    def learn(self, phone: Phone, now: Timestamp) -> None:
        assert phone.until <= now + LONGEST
        self.phones[phone.account] = phone


@asynccontextmanager
async def asking(
    lists: Mapping[str, Sequence[str]], *, write_system: bool = True, every: float = 0.02
) -> AsyncIterator[tuple[FakeAmi, Asked]]:
    asked = Asked()
    async with FakeAmi(Script(secret=SECRET, write_system=write_system, lists=lists)) as server:
        clock = steady_clock()
        registrations = Registrations(asked.learn, asked.trunks.append, asked.journal, clock, every)
        source = AmiSource(quick(server), asked.events.append, asked.journal, clock, registrations.ask)
        async with at_work(source):
            await until(lambda: source.connected)
            yield server, asked


async def test_contacts_and_trunks_are_learned() -> None:
    async with asking(LISTS) as (_, asked):
        await until(lambda: bool(asked.trunks))

        assert asked.phones["6001"].address == "192.0.2.1"
        assert asked.phones["6002"].address == "2001:db8::1"
        assert asked.phones.keys() == {"6001", "6002"}
        assert asked.trunks[0] == {
            "sip.example.org", "192.0.2.99", "2001:db8::5", "10.0.0.77", "b.example.org",
        }  # fmt: skip


async def test_a_trunks_password_is_neither_kept_nor_logged() -> None:
    async with asking(LISTS) as (_, asked):
        await until(lambda: len(asked.trunks) > 2)

        assert PASSWORD not in str(asked.journal.lines)
    trunks = ListAnswer("OutboundRegistrationDetail", ("ServerUri", "OutboundProxy"))
    read = [trunks.read(text.replace("\n", "\r\n").encode()) for text in TRUNKS]
    assert read[1] is None
    assert read[2] == {
        "Event": "OutboundRegistrationDetail", "ServerUri": "sip:[2001:db8::5]", "OutboundProxy": "",
    }  # fmt: skip


async def test_they_are_asked_for_again_and_again_and_after_each_login() -> None:
    async with asking(LISTS) as (server, asked):
        await until(lambda: len(asked.trunks) > 3)
        server.kick()
        before = len(asked.trunks)
        await until(lambda: len(asked.trunks) > before + 1)


async def test_where_it_is_denied_it_is_asked_once_a_connection_and_said_once() -> None:
    async with asking({}, write_system=False) as (server, asked):
        await until(lambda: asked.journal.count(Action.PRESENCE_LIMITED) == 1)
        server.kick()
        await until(lambda: server.connections == 2 and len(_asked_for(server)) == 2)
        await asyncio.sleep(0.1)

        assert _asked_for(server) == ["PJSIPShowContacts"] * 2
        assert asked.journal.count(Action.PRESENCE_LIMITED) == 1
        assert not asked.trunks


def _asked_for(server: FakeAmi) -> list[str]:
    return [action["Action"] for action in server.actions if action["Action"].startswith("PJSIP")]


async def test_an_asterisk_without_pjsip_is_no_fault() -> None:
    async with asking({}) as (_, asked):
        await until(lambda: bool(asked.trunks))

        assert asked.trunks[0] == frozenset()
        assert asked.journal.count(Action.PRESENCE_LIMITED) == 0
        assert asked.journal.count(Action.AMI_LOST) == 0


async def test_events_go_on_while_lists_are_read_and_none_is_taken_for_the_other() -> None:
    many = [REGISTERED.replace("6001", f"6{number:03}") for number in range(2000)]
    async with asking({**LISTS, "PJSIPShowContacts": many}) as (server, asked):
        forged = security_event(account="x\r\nEvent: ContactList\r\nActionID: 1\r\nEndpoint: 9666")
        for _ in range(20):
            await server.play(security_event("SuccessfulAuth", more=[("UsingPassword", "1")]) + forged)
        await until(lambda: len(asked.events) >= 20 and len(asked.phones) == 2000)

        assert "9666" not in asked.phones
        assert asked.journal.count(Action.AMI_LOST) == 0


@pytest.mark.parametrize(
    ("uri", "host"),
    [
        ("sip:192.0.2.1", "192.0.2.1"),
        ("sip:a:b@192.0.2.1:5060;transport=tcp?x=y", "192.0.2.1"),
        ("sips:[2001:DB8::1]:5061", "2001:db8::1"),
        ("sip:Sip.Example.org.", "sip.example.org"),
        ("tel:123", None),
        ("sip:", None),
        ("sip:a@b@192.0.2.1", None),
        ("sip:192.0.2.1 x", None),
        ("x sip:192.0.2.1", None),
    ],
)
def test_the_host_of_a_uri(uri: str, host: str | None) -> None:
    assert host_of(uri) == host
