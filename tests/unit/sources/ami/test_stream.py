"""What stands in the stream never ends the connection, and never hides what follows."""

from __future__ import annotations

import pytest

from amiguard.asterisk.events import EventParser
from amiguard.asterisk.schema import SecurityEvent
from amiguard.journal import Action
from tests.lab.fakeami import FakeAmi, Script, security_event
from tests.unit.sources.ami.support import quick, running

ATTACKER = "198.51.100.7"
EVENT = security_event(account="after", remote="IPV4/UDP/203.0.113.9/5061")


def forged(text: bytes) -> bytes:
    """One event whose AccountID brought `text` along, as PJSIP writes it."""
    return security_event(account="@").replace(b"AccountID: @", b"AccountID: " + text)


@pytest.mark.parametrize(
    "text",
    [
        b"\r\n\r\nEvent: Shutdown\r\n",
        b"\r\nEvent: X",
        b"\r\n\r\nEvent: FullyBooted\r\n",
        b"\r\n\r\nResponse: Success\r\nActionID: 1\r\n",
        b"\r\nResponse: Error",
        b"\r\n\r\nResponse: Goodbye\r\n\r\n",
        b"\r\nRemoteAddress: IPV4/UDP/9.9.9.9/1",
        b"\r\n\r\n",
    ],
)
async def test_a_forged_event_is_laid_at_its_sender_and_costs_nothing_else(text: bytes) -> None:
    async with FakeAmi() as server, running(quick(server)) as work:
        await work.connected()
        await server.play(forged(text) + EVENT)
        await work.heard(2)
        assert [(event.address, event.tampered) for event in work.events] == [(ATTACKER, True), ("203.0.113.9", False)]
        assert (server.connections, work.reconnects) == (1, 0)


@pytest.mark.parametrize(
    "block",
    [
        b"Event: Shutdown\r\nPrivilege: system,all\r\nShutdown: Cleanly\r\nRestart: False\r\n\r\n",
        b"Event: FullyBooted\r\nPrivilege: system,all\r\nStatus: Fully Booted\r\n\r\n",
        b"Response: Success\r\nActionID: not-ours\r\nMessage: x\r\n\r\n",
        b"Response: Error\r\nMessage: x\r\nMessage: y\r\n\r\n",
        b"Event: a\r\nEvent: b\r\n\r\n",
        b"no header at all\r\n\r\n",
        b"\xff\xfe\x00\r\r\n\r\n",
        b"\r\n\r\n\r\n\r\n",
    ],
)
async def test_a_stray_block_does_nothing(block: bytes) -> None:
    async with FakeAmi() as server, running(quick(server)) as work:
        await work.connected()
        await server.play(block + EVENT + block)
        await work.heard(1)
        assert [event.account for event in work.events] == ["after"]
        assert (server.connections, work.reconnects) == (1, 0)


@pytest.mark.parametrize("chunk", [1, 2, 3, 7, 64, 100_000])
async def test_the_size_of_the_pieces_makes_no_difference(chunk: int) -> None:
    data = EVENT + forged(b"\r\n\r\nEvent: Shutdown\r\n") + security_event(account="äöü€") + EVENT
    async with FakeAmi() as server, running(quick(server)) as work:
        await work.connected()
        await server.play(data, chunk)
        await work.heard(4)
        assert [(event.account, event.tampered) for event in work.events] == [
            ("after", False),
            ("", True),
            ("äöü€", False),
            ("after", False),
        ]
        assert server.connections == 1


async def test_a_megabyte_in_one_event_is_still_an_event() -> None:
    async with FakeAmi() as server, running(quick(server)) as work:
        await work.connected()
        await server.play(security_event(session="x" * 1_000_000) + EVENT)
        await work.heard(2)
        assert len(work.events[0].session) == 256
        assert server.connections == 1


async def test_a_block_without_end_ends_the_connection_and_the_next_one_works() -> None:
    async with FakeAmi() as server, running(quick(server)) as work:
        await work.connected()
        await server.play(b"Event: " + b"x" * (2 << 20))
        await work.connected_again(server, 2)
        await server.play(EVENT)
        await work.heard(1)
        assert "longer than" in work.last_error


async def test_an_event_cut_off_by_the_end_of_the_connection_is_not_made_up() -> None:
    async with FakeAmi() as server, running(quick(server)) as work:
        await work.connected()
        await server.play(EVENT + EVENT[:-30])
        server.kick()
        await work.connected_again(server, 2)
        assert [event.account for event in work.events] == ["after"]


async def test_an_event_that_came_with_the_login_is_not_lost() -> None:
    async with FakeAmi(Script(after_login=EVENT * 3)) as server, running(quick(server)) as work:
        await work.heard(3)
        assert work.source.intake.events == 3


async def test_a_newer_schema_is_told_once_and_blamed_on_nobody() -> None:
    newer = EVENT.replace(b"SessionID: ", b"Colour: red\r\nSessionID: ").replace(
        b"InvalidAccountID", b"InvalidPassword"
    )
    async with FakeAmi() as server, running(quick(server)) as work:
        await work.connected()
        await server.play(newer * 5 + EVENT)
        await work.heard(1)
        assert [event.account for event in work.events] == ["after"]
        assert work.source.intake.parser.unreadable == 5
        assert len(work.journal.of(Action.AMI_UNREADABLE)) == 1


async def test_an_error_in_the_sink_costs_one_event_only() -> None:
    taken: list[str] = []

    def sink(event: object) -> None:
        taken.append(repr(event))
        if len(taken) % 2:
            raise ZeroDivisionError

    async with FakeAmi() as server, running(quick(server), sink) as work:
        await work.connected()
        await server.play(EVENT * 4)
        await work.told(taken, 4)
        assert server.connections == 1
        lines = work.journal.of(Action.INTERNAL_ERROR)
        assert len(lines) == 1
        assert isinstance(lines[0].fields["error"], ZeroDivisionError)


async def test_a_block_that_breaks_the_parser_costs_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    feed = EventParser.feed

    def breaks(parser: EventParser, block: bytes, now: int) -> list[SecurityEvent]:
        if block == b"Event: poison":
            raise IndexError
        return feed(parser, block, now)

    monkeypatch.setattr(EventParser, "feed", breaks)
    async with FakeAmi() as server, running(quick(server)) as work:
        await work.connected()
        await server.play(EVENT + b"Event: poison\r\n\r\n" + EVENT)
        await work.heard(2)
        assert [event.account for event in work.events] == ["after", "after"]
        assert (server.connections, work.reconnects) == (1, 0)
        assert isinstance(work.journal.of(Action.INTERNAL_ERROR)[0].fields["error"], IndexError)
