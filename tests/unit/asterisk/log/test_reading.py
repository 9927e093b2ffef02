"""What kind of log a file is, and how far its lines are believed."""

from __future__ import annotations

import json
from datetime import UTC

import pytest

from amiguard.asterisk.log.pairs import REMEMBERED
from amiguard.asterisk.log.reading import Kind, LogReader, Reading, kind_of
from amiguard.asterisk.weights import evidence_of

NOW = 1_795_344_000_000
BANNER = (
    b"[2026-11-22 10:00:00] Asterisk 22.10.1 built by nobody @ pbx on a x86_64 running Linux on 2026-10-01 00:00:00 UTC"
)
PLAIN = b"[2026-11-22 10:00:00] NOTICE[1] manager.c: 192.0.2.1 failed to authenticate as 'admin'"
SYSLOG = b"Nov 22 10:00:00 pbx asterisk[1]: NOTICE[1]: manager.c:1 in f: 192.0.2.1 failed to authenticate as 'x'"


def as_json(message: str, *, file: str = "manager.c", level: str = "NOTICE") -> bytes:
    location = {"filename": file, "function": "f", "line": 1}
    found = {
        "hostname": "",
        "timestamp": "2026-11-22 10:00:00",
        "identifiers": {"lwp": 1, "callid": ""},
        "logmsg": {"location": location, "level": level, "message": message},
    }
    return json.dumps(found, separators=(",", ":")).encode()


JSON = as_json("192.0.2.1 failed to authenticate as 'admin'\n")


def transport(reading: Reading | None) -> str:
    assert reading is not None
    assert reading.event is not None
    return reading.event.transport


@pytest.mark.parametrize(
    ("lines", "kind"),
    [
        ([], Kind.UNKNOWN),
        ([BANNER, b""], Kind.UNKNOWN),
        ([BANNER, JSON], Kind.JSON),
        ([JSON, BANNER, JSON], Kind.JSON),
        ([BANNER, PLAIN], Kind.PLAIN),
        ([b"OPTIONS sip:10.99.0.1 SIP/2.0", JSON], Kind.PLAIN),
        ([JSON, PLAIN, JSON], Kind.PLAIN),
        ([SYSLOG], Kind.SYSLOG),
        ([b"[2026-11-22 10:00:00] VERBOSE[1] pbx.c: x"], Kind.PLAIN),
    ],
)
def test_a_file_is_of_the_kind_that_its_lines_say(lines: list[bytes], kind: Kind) -> None:
    assert kind_of(b"".join(line + b"\n" for line in lines) + b"an incomplete li") is kind


def test_a_json_log_proves_what_came_over_a_connection() -> None:
    reader = LogReader(UTC)

    reading = reader.read(JSON, NOW)

    assert transport(reading) == "TCP"
    assert reading is not None
    assert reading.event is not None
    assert evidence_of(reading.event) == "connected"


def test_one_line_that_is_no_object_takes_the_proof_from_all_that_follow() -> None:
    reader = LogReader(UTC)
    assert transport(reader.read(JSON, NOW)) == "TCP"

    reader.read(b"OPTIONS sip:10.99.0.1 SIP/2.0", NOW)

    assert reader.kind is Kind.PLAIN
    assert transport(reader.read(JSON, NOW)) == ""


def test_a_reader_can_be_told_that_its_file_is_plain() -> None:
    assert transport(LogReader(UTC, Kind.PLAIN).read(JSON, NOW)) == ""


def test_a_datagram_in_a_json_log_stays_one() -> None:
    security = (
        'SecurityEvent="InvalidAccountID",EventTV="2026-11-22T10:00:00.000+0000",Severity="Error",Service="PJSIP",'
        'EventVersion="1",AccountID="1",SessionID="x",LocalAddress="IPV4/UDP/10.0.0.1/5060",'
        'RemoteAddress="IPV4/UDP/192.0.2.1/5060"\n'
    )

    reading = LogReader(UTC).read(as_json(security, file="res_security_log.c", level="SECURITY"), NOW)

    assert transport(reading) == "UDP"
    assert reading is not None
    assert reading.event is not None
    assert evidence_of(reading.event) == "datagram"


def test_a_security_line_is_timed_by_asterisks_event_and_not_by_the_prefix() -> None:
    line = (
        b'[1 Jan 1999] SECURITY[1] res_security_log.c: SecurityEvent="InvalidAccountID",'
        b'EventTV="2026-11-22T11:00:00.125+0100",Severity="Error",Service="PJSIP",EventVersion="1",AccountID="1",'
        b'SessionID="x",LocalAddress="IPV4/UDP/10.0.0.1/5060",RemoteAddress="IPV4/UDP/192.0.2.1/5060"'
    )

    reading = LogReader(UTC).read(line, NOW)

    assert reading is not None
    assert reading.at == 1_795_341_600_125


def test_a_line_without_a_time_has_none() -> None:
    reading = LogReader(UTC).read(PLAIN.replace(b"2026-11-22 10:00:00", b"some time"), NOW)

    assert reading is not None
    assert reading.at is None
    assert reading.event is not None


def test_what_is_remembered_of_halves_is_bounded() -> None:
    reader = LogReader(UTC)
    for number in range(3 * REMEMBERED):
        reader.read(
            PLAIN.replace(b"failed to authenticate as", b"failed to pass IP ACL as").replace(b"[1]", b"[%d]" % number),
            NOW,
        )

    assert len(reader._pairs._seen) == REMEMBERED


def test_decoding_survives_what_json_can_hold() -> None:
    for line in (
        b'{"filename":"manager.c","level":"NOTICE"' + b"[" * 5000,
        b'{"filename":"manager.c","level":"NOTICE","x":' + b"9" * 6000 + b"}",
        b'{"filename":"manager.c","level":"NOTICE","x":NaN}',
        JSON.replace(b"admin", b"\\ud800"),
        JSON.replace(b"admin", b"\\q"),
        JSON.replace(b"admin", b"\xff"),
    ):
        LogReader(UTC).read(line, NOW)


def test_a_quoted_display_name_costs_no_call_id() -> None:
    line = (
        b"[2026-11-22 10:07:55] NOTICE[1] res_pjsip/pjsip_distributor.c: Request 'REGISTER' from "
        b"'\"100\" <sip:100@10.99.0.1>' failed for '192.0.2.1:47233' (callid: 1de54e2ef25f-0) - Failed to authenticate"
    )
    reading = LogReader(UTC).read(line, 1_795_344_000_000)

    assert reading is not None
    assert reading.event is not None
    assert reading.event.session == "1de54e2ef25f-0"
