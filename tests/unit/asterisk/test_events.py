"""Forgeries that go beyond what the captures hold."""

from __future__ import annotations

import pytest

from amiguard.asterisk.events import HOLD, REACH, EventParser
from amiguard.asterisk.schema import SecurityEvent
from tests.lab.blocks import ATTACKER, VICTIM, block
from tests.lab.judge import chunked, failures, parse

HTTP = "IPV4/TCP/10.99.130.5/41000"
FORGED_TAIL = f"SessionID: 0x1\r\nLocalAddress: IPV4/TCP/0.0.0.0/8088\r\nRemoteAddress: {VICTIM}"
GUESS = block("ChallengeResponseFailed", Challenge="c", Response="r", ExpectedResponse="")
FORGED_GUESSES = (GUESS * 3).replace(ATTACKER.encode(), VICTIM.encode()).decode()

HOSTILE = {
    "a second address before the true one": f"x\r\nRemoteAddress: {VICTIM}",
    "a whole tail": f"x\r\n{FORGED_TAIL}\r\nX: ",
    "an event cut in two": "x\r\n\r\nEvent: FailedACL\r\nX: ",
    "a shutdown": "x\r\n\r\nEvent: Shutdown\r\nPrivilege: system,all\r\nX: ",
    "a complete event, and complete ones behind it": f"x\r\n{FORGED_TAIL}\r\n\r\n{FORGED_GUESSES}Event: X\r\nX: ",
    "complete ones, but the first is cut": f"x\r\n\r\n{FORGED_GUESSES}X: ",
    "a success in the name of the victim": f"x\r\n{FORGED_TAIL}\r\n\r\n"
    + block("SuccessfulAuth", remote=VICTIM).decode()
    + "X: ",
    "a forged manager login": f"x\r\n{FORGED_TAIL}\r\n\r\n"
    + block("InvalidAccountID", remote=VICTIM, Service="AMI").decode()
    + "X: ",
}


def events_of(raw: bytes, size: int) -> list[SecurityEvent]:
    return parse(chunked(raw, size), EventParser())


@pytest.mark.parametrize("size", [1, 3, 100, 1 << 20])
@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_long_forgery_blames_its_sender_only(text: str, size: int) -> None:
    raw = GUESS + block("InvalidAccountID", remote=HTTP, Service="AMI", AccountID=text, SessionTV="x") + GUESS

    found = events_of(raw, size)

    assert {event.address for event in found} == {"10.99.130.5"}
    assert sum(event.tampered for event in found) == 1
    assert sum(event.name == "ChallengeResponseFailed" for event in found) >= 2, "honest events around it are kept"


@pytest.mark.parametrize("size", [1, 100, 1 << 20])
@pytest.mark.parametrize(
    "text",
    [
        "\r\nRemoteAddress: IPV4/UDP/9.9.9.9/1",
        "\r\n\r\nEvent: Shutdown\r\nX: ",
        "\r\n\r\n\r\n\r\n",
        "\n",
        "\r\n",
        "x\r\n",
    ],
)
def test_a_short_forgery_delays_nothing(text: str, size: int) -> None:
    assert len(text) <= 36
    parser = EventParser()
    raw = block("InvalidAccountID", AccountID=text) + GUESS

    found = parse(chunked(raw, size), parser)

    assert [(event.address, event.tampered) for event in found] == [("10.99.130.5", True), ("10.99.130.5", False)]
    assert parser.disbelieved == 0


@pytest.mark.parametrize("size", [1, 100, 1 << 20])
def test_nothing_is_believed_that_follows_a_managers_challenge_response(size: int) -> None:
    forged = block("InvalidPassword", remote=VICTIM).decode()
    smuggled = f"r\r\nExpectedResponse: e\r\n\r\n{forged}" + block("ChallengeResponseFailed", remote=VICTIM).decode()
    text = smuggled.removesuffix("ExpectedResponse: \r\n\r\n").removesuffix("\r\n")
    raw = block("ChallengeResponseFailed", remote=HTTP, Service="AMI", Response=text, ExpectedResponse="e")

    found = events_of(raw, size)

    assert {event.address for event in found} == {"10.99.130.5"}


def test_what_follows_out_of_reach_of_a_forgery_is_believed() -> None:
    parser = EventParser()
    raw = block("ChallengeResponseFailed", remote=HTTP, Service="AMI", Response="r")
    disbelieved = REACH // (len(GUESS) - len(b"\r\n\r\n"))

    found = parse([raw + GUESS * 2 * disbelieved], parser)

    assert parser.disbelieved == disbelieved
    assert len(found) == 1 + disbelieved


def test_a_manager_event_is_held_for_a_quarter_of_a_second_and_then_let_go() -> None:
    parser = EventParser()
    held = block("InvalidAccountID", remote=HTTP, Service="AMI").removesuffix(b"\r\n\r\n")

    assert parser.feed(held, 1000) == []
    assert parser.idle() == []
    assert parser.deadline == 1000 + HOLD
    assert parser.release(1000 + HOLD - 1) == []
    assert [event.name for event in parser.release(1000 + HOLD)] == ["InvalidAccountID"]
    assert parser.deadline is None


def test_events_of_pjsip_are_certain_at_once() -> None:
    parser = EventParser()

    assert [event.name for event in parser.feed(GUESS.removesuffix(b"\r\n\r\n"), 0)] == ["ChallengeResponseFailed"]
    assert parser.deadline is None


def test_events_of_chan_sip_wait_for_the_end_of_what_was_read() -> None:
    parser = EventParser()

    assert parser.feed(block("InvalidPassword", Service="SIP").removesuffix(b"\r\n\r\n"), 0) == []
    assert [event.name for event in parser.idle()] == ["InvalidPassword"]
    assert parser.deadline is None


def test_what_is_held_is_bounded() -> None:
    parser = EventParser()
    login = block("InvalidAccountID", remote=HTTP, Service="AMI").removesuffix(b"\r\n\r\n")
    out = sum(len(parser.feed(login, 0)) for _ in range(50_000))

    assert out > 30_000
    assert out + len(parser.close()) == 50_000


def test_an_event_of_a_newer_asterisk_blames_nobody() -> None:
    parser = EventParser()
    newer = block("SuccessfulAuth").replace(b"EventVersion: 1\r\n", b"")

    assert parse([newer, newer, GUESS], parser) == parse([GUESS], EventParser())
    assert parser.unreadable == 2


def test_other_classes_of_events_are_passed_over() -> None:
    parser = EventParser()
    other = b"Event: FullyBooted\r\nPrivilege: system,all\r\n\r\n" + b"Event: PeerStatus\r\nPeer: SIP/1\r\n\r\n"

    assert len(failures(parse([GUESS + other + GUESS], parser))) == 2
    assert parser.unknown == 2
