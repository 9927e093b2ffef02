"""What real Asterisk servers said under attack, and what amiguard makes of it."""

from __future__ import annotations

import pytest

from amiguard.asterisk.events import EventParser
from amiguard.model import Address, Target
from tests.lab.captures import VICTIM, Capture, capture, captures
from tests.lab.judge import chunked, failures, judge, parse

SIZES = (1, 2, 7, 64, 389, 1460, 1 << 20)

RELIABLE = [c for c in captures() if not c.name.startswith("16-sip/") or c.group == "ami"]
"""PJSIP and the manager; chan_sip lets the sender choose the address that AMI reports."""

ORDINARY = [c for c in RELIABLE if c.group not in {"hostile", "spoof"}]
CORRECT_PHONES = [c for c in captures() if c.conclude in {"success", "neutral"} and c.group == "base"]
CHOSEN_ADDRESS = [c for c in captures() if c.name.startswith("16-sip/h-via-maddr")]


def named(cases: list[Capture]) -> list[object]:
    return [pytest.param(case, id=case.name) for case in cases]


@pytest.mark.parametrize("case", named(RELIABLE))
def test_who_attacked_is_counted_at_every_chunking_and_nobody_else(case: Capture) -> None:
    results = {tuple(sorted(judge(case.raw, size).items())) for size in SIZES}

    assert len(results) == 1, "the count depends on how the bytes arrive"
    counted = dict(results.pop())
    assert set(counted) <= {case.packet_source}
    if case.ami_failures:  # some attacks leave nothing in AMI; the log tells of them
        assert counted.get(Address(Target(case.packet_source)), 0) >= case.count


@pytest.mark.parametrize("case", named(ORDINARY))
def test_ordinary_attempts_are_counted_exactly(case: Capture) -> None:
    expected = case.count if case.ami_failures else 0

    assert sum(judge(case.raw, 1460).values()) == expected


@pytest.mark.parametrize("case", named(CORRECT_PHONES))
def test_a_correct_phone_never_counts(case: Capture) -> None:
    assert not judge(case.raw, 1460)


@pytest.mark.parametrize(
    "case", named([c for c in captures() if c.packet_source != VICTIM and c not in CHOSEN_ADDRESS])
)
def test_the_victim_is_never_blamed_for_what_others_send(case: Capture) -> None:
    for size in SIZES:
        assert VICTIM not in judge(case.raw, size)


def test_every_capture_is_read_without_a_remainder_that_nobody_understands() -> None:
    parser = EventParser()
    for case in captures():
        parse(chunked(case.raw, 1460), parser)

    assert parser.unreadable == 0


@pytest.mark.parametrize("case", named(CHOSEN_ADDRESS))
def test_an_address_that_chan_sip_reports_is_no_proof(case: Capture) -> None:
    found = failures(parse(chunked(case.raw, 1460), EventParser()))

    assert {failure.evidence for failure in found} <= {"datagram"}


def test_twelve_guesses_under_one_call_id_count_twelve() -> None:
    raw = capture("22-pjsip/reg-wrong-udp").raw
    challenge, guess = (block + b"\r\n\r\n" for block in raw.split(b"\r\n\r\n")[:2])
    assert guess.startswith(b"Event: ChallengeResponseFailed")

    assert sum(judge(challenge + guess * 12, 1460).values()) == 12
