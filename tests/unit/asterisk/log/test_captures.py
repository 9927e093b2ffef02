"""What real Asterisk servers logged under attack, and what amiguard makes of it: by the NOTICE lines, by the SECURITY
lines, and by both together."""

from __future__ import annotations

from collections import Counter
from datetime import UTC

import pytest

from amiguard.asterisk.log.reading import Channel, LogReader
from amiguard.asterisk.weights import Signal, failure_of, row_of
from amiguard.attempts import Attempts, key_of
from amiguard.model import Address, Evidence, Failure, Target
from tests.lab.captures import VICTIM, Capture, captures

NOW = 1_795_350_000_000
REPEATED = dict.fromkeys(("16-sip/h-callid-cr", "16-sip/h-callid-fold", "16-sip/h-callid-notice"), 1)
"""chan_sip ends the dialog of a repeated Call-ID: one of eight attempts reaches the password."""

ONE_REQUEST = dict.fromkeys(
    (
        "16-sip/h-pct-forged-noauth",
        "22-pjsip/h-pct-compact-invite",
        "22-pjsip/h-pct-compact-noauth",
        "22-pjsip/h-pct-forged-noauth",
    ),
    1,
)
"""A single request that holds a forged event. The index calls it neutral; we call it what Asterisk does, a failure."""

NOTICE = REPEATED | ONE_REQUEST | dict.fromkeys(("16-sip/h-iax-user-lf", "22-pjsip/h-iax-user-lf"), 0)
"""What NOTICE lines tell, where it is not what the index says. A line feed in an IAX2 name tears its only line."""

TORN = (
    "16-sip/h-from-pct-crlf",
    "16-sip/h-from-pct-lf",
    "16-sip/h-http-user-crlf",
    "16-sip/h-pct-addr",
    "16-sip/h-pct-lf",
    "16-sip/h-pct-lf-log",
    "16-sip/h-to-known-pct",
    "22-pjsip/h-http-user-crlf",
)
SECURITY = REPEATED | ONE_REQUEST | dict.fromkeys(TORN, 0)
"""What SECURITY lines tell. A line feed in a name tears those of chan_sip and of the manager over HTTP."""

EMBEDDED = {
    "16-sip/h-iax-user-crlf": {VICTIM},
    "22-pjsip/h-iax-user-crlf": {VICTIM},
    "16-sip/h-pct-lf-log": {VICTIM},
    "22-pjsip/spoof-packet-dump": {"10.99.0.77"},
}
"""Whole lines inside of others, which a plain log can't tell from Asterisk's own: see docs/security.md."""


def counted(log: bytes) -> dict[Channel, list[Failure]]:
    reader = LogReader(UTC)
    found: dict[Channel, list[Failure]] = {channel: [] for channel in Channel}
    each = {channel: Attempts() for channel in Channel}
    for line in log.split(b"\n"):
        reading = reader.read(line, NOW)
        if reading is None or (event := reading.event) is None or reading.at is None:
            continue
        row, source = row_of(event), reading.channel.value
        attempts, failure = each[reading.channel], None
        if row.signal is Signal.CHALLENGE:
            failure = attempts.challenged(key_of(event.service, event.address, event.port, event.session), source)
        elif row.signal is Signal.PROBE:
            failure = attempts.probe(failure_of(event, row, reading.at, source))
        elif row.signal is Signal.GUESS:
            failure = attempts.guess(failure_of(event, row, reading.at, source))
        if failure is not None:
            found[reading.channel].append(failure)
    return found


def by_address(failures: list[Failure]) -> Counter[Address]:
    return Counter(failure.address for failure in failures)


CASES = [pytest.param(case, id=case.name) for case in captures()]


@pytest.mark.parametrize("case", CASES)
def test_notice_lines_tell_what_the_index_says(case: Capture) -> None:
    expected = NOTICE.get(case.name, case.count if case.log_failures else 0)

    found = by_address(counted(case.full_log)[Channel.NOTICE])

    assert found[Address(Target(case.packet_source))] == expected
    assert set(found) <= {case.packet_source} | EMBEDDED.get(case.name, set())


@pytest.mark.parametrize("case", CASES)
def test_security_lines_tell_what_the_index_says(case: Capture) -> None:
    expected = SECURITY.get(case.name, case.count if case.ami_failures else 0)

    found = by_address(counted(case.security_log)[Channel.SECURITY])

    assert found[Address(Target(case.packet_source))] == expected
    assert found == by_address(counted(case.full_log)[Channel.SECURITY])
    maddr = {VICTIM} if case.name.startswith("16-sip/h-via-maddr") else set()
    assert set(found) <= {case.packet_source} | maddr


@pytest.mark.parametrize("case", CASES)
def test_nothing_in_a_plain_log_is_more_than_a_datagram(case: Capture) -> None:
    found = counted(case.full_log)

    assert {failure.evidence for channel in Channel for failure in found[channel]} <= {Evidence.DATAGRAM}


def test_a_correct_phone_never_counts() -> None:
    for case in captures():
        if case.group == "base" and case.conclude in {"success", "neutral"}:
            assert not any(counted(case.full_log).values()), case.name


def test_the_log_tells_of_attempts_that_the_manager_interface_keeps_silent_about() -> None:
    silent = {case.name for case in captures() if not case.ami_failures and case.count}
    told = {case.name for case in captures() if counted(case.full_log)[Channel.NOTICE]}

    for name in ("iax-reg-unknown", "iax-new-acl", "h-callid-badutf8", "h-ami-user-badutf8", "h-ami-user-5k"):
        assert f"22-pjsip/{name}" in silent & told


def test_events_that_asterisk_could_not_emit_raise_an_alarm() -> None:
    lost = {case.name for case in captures() if b"Failed to issue security event" in case.full_log}
    assert lost

    for case in captures():
        reader = LogReader(UTC)
        shapes = {reading.shape for line in case.full_log.split(b"\n") if (reading := reader.read(line, NOW))}
        assert ("event-lost" in shapes) == (case.name in lost)
