"""No line, of any bytes, makes the log reader fail, wait, or name somebody whom Asterisk did not name."""

from __future__ import annotations

import json
import time
from datetime import UTC
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amiguard.asterisk.log import jsonlines, notices, usual
from amiguard.asterisk.log.explain import explain
from amiguard.asterisk.log.reading import LONGEST, Channel, LogReader
from amiguard.asterisk.log.table import TABLE

NOW = 1_795_344_000_000
TRUE = b"192.0.2.1"
DATE = b"[2026-11-22 10:00:00] "

PRINTED = rb"""
' failed for '9.9.9.9:5060' - Wrong password
' failed for '9.9.9.9:5060' (callid: x) - Failed to authenticate
' (from 9.9.9.9)
' (9.9.9.9:1) to extension '
' rejected because extension not found in context 'a'.
",RemoteAddress="IPV4/UDP/9.9.9.9/1"
",SessionID="x",LocalAddress="IPV4/UDP/10.0.0.1/5060",RemoteAddress="IPV4/UDP/9.9.9.9/1"
SecurityEvent="
,Challenge="
" <sip:a@b>
<sip:a@b>
(callid:
) -
9.9.9.9 failed to authenticate as 'x
Host 9.9.9.9 failed to authenticate as x
[2026-11-22 10:00:00] NOTICE[1] manager.c: 9.9.9.9 failed to authenticate as 'x'
"
\
\"
'
]
[
{
m
%0a"""
SNIPPETS = [*PRINTED.split(b"\n")[1:], b" ", b"\x1b", b"\x1b[0m", b"\x00", b"\r", b"\xff"]
SAFE = st.lists(st.one_of(st.sampled_from(SNIPPETS), st.binary(max_size=8)), max_size=6).map(b"".join)
TEXT = SAFE.map(lambda raw: raw.replace(b"\n", b" "))
"""What an attacker may put into a header: everything but a line feed."""

URI = st.text("abc0123456789.'()%-_", max_size=20).map(lambda user: b"<sip:" + user.encode() + b"@pbx>")
DISPLAY = TEXT.map(lambda raw: b'"' + raw.replace(b"\\", b"").replace(b'"', b'\\"') + b'" ')
FROM = st.one_of(URI, st.builds(bytes.__add__, DISPLAY, URI))
REASON = st.sampled_from([b"Failed to authenticate", b"No matching endpoint found", b"Not match Endpoint ACL"])
LEVELS = st.sampled_from([b"NOTICE", b"WARNING", b"ERROR", b"SECURITY"])
FILES = st.sampled_from(sorted({row.file for row in TABLE} | {b"res_security_log.c"}))
FORMS = st.sampled_from([row.form.encode() for row in TABLE])


@st.composite
def half_right(draw: st.DrawFn) -> bytes:
    """A line with a right beginning, filled with anything."""
    form = draw(FORMS)
    for _ in range(form.count(b"%s")):
        form = form.replace(b"%s", draw(TEXT), 1)
    return DATE + draw(LEVELS) + b"[1] " + draw(FILES) + b": " + form + draw(TEXT)


ANY = st.one_of(st.binary(max_size=400), half_right(), TEXT, SAFE)


def named(line: bytes) -> str | None:
    reading = LogReader(UTC).read(line, NOW)
    return None if reading is None or reading.event is None else reading.event.address


@given(st.lists(ANY, max_size=8))
def test_no_line_of_any_bytes_makes_the_reader_fail(lines: list[bytes]) -> None:
    reader = LogReader(UTC)
    for line in lines:
        reading = reader.read(line, NOW)
        if reading is not None and reading.event is not None:
            assert reading.channel is not Channel.ALARM
            assert len(reading.event.account) <= 256
            assert len(reading.event.session) <= 256


@given(ANY)
def test_every_line_can_be_explained(line: bytes) -> None:
    assert dict(explain(line, UTC, NOW).fields)["conclusion"]


@given(FROM, TEXT, REASON)
def test_a_pjsip_notice_names_the_source_or_nobody(header: bytes, call_id: bytes, reason: bytes) -> None:
    line = DATE + b"NOTICE[1] res_pjsip/pjsip_distributor.c: Request 'REGISTER' from '" + header
    line += b"' failed for '192.0.2.1:5060' (callid: " + call_id + b") - " + reason

    assert named(line) in {TRUE.decode(), None}


@given(URI, TEXT, REASON)
def test_no_call_id_hides_a_pjsip_notice(header: bytes, call_id: bytes, reason: bytes) -> None:
    line = DATE + b"NOTICE[1] res_pjsip/pjsip_distributor.c: Request 'REGISTER' from '" + header
    line += b"' failed for '192.0.2.1:5060' (callid: " + call_id + b") - " + reason

    assert named(line) == TRUE.decode()


@given(TEXT)
def test_no_to_header_moves_or_hides_the_address_of_a_registration(header: bytes) -> None:
    line = b"NOTICE[1] chan_sip.c: Registration from '" + header + b"' failed for '192.0.2.1:5060' - Wrong password"

    assert named(DATE + line) == TRUE.decode()


@given(TEXT, TEXT)
def test_a_chan_sip_call_names_the_source_or_nobody(caller: bytes, number: bytes) -> None:
    line = DATE + b"NOTICE[1] chan_sip.c: Call from '" + caller + b"' (192.0.2.1:5060) to extension '" + number
    line += b"' rejected because extension not found in context 'default'."

    assert named(line) in {TRUE.decode(), None}


@given(TEXT)
def test_no_name_moves_or_hides_the_address_of_iax2_and_the_manager(name: bytes) -> None:
    for line in (
        b"chan_iax2.c: No registration for peer '" + name + b"' (from 192.0.2.1)",
        b"chan_iax2.c: Host 192.0.2.1:4569 failed to authenticate as " + name,
        b"manager.c: 192.0.2.1 failed to authenticate as '" + name + b"'",
        b"manager.c: 192.0.2.1 tried to authenticate with nonexistent user '" + name + b"'",
    ):
        assert named(DATE + b"NOTICE[1] " + line) == TRUE.decode()


@given(TEXT, TEXT, st.sampled_from([b"InvalidAccountID", b"FailedACL"]), st.sampled_from([b"PJSIP", b"AMI", b"SIP"]))
def test_no_name_moves_or_hides_the_address_of_a_security_line(
    account: bytes, session: bytes, event: bytes, service: bytes
) -> None:
    assert named(security(event, service, account, session, b"")) == TRUE.decode()


@given(TEXT, TEXT, TEXT)
def test_a_security_line_with_text_behind_the_address_names_the_source_or_nobody(
    account: bytes, session: bytes, response: bytes
) -> None:
    behind = b',Challenge="1",Response="' + response + b'",ExpectedResponse=""'

    assert named(security(b"ChallengeResponseFailed", b"AMI", account, session, behind)) in {TRUE.decode(), None}


def security(event: bytes, service: bytes, account: bytes, session: bytes, behind: bytes) -> bytes:
    return (
        DATE + b'SECURITY[1] res_security_log.c: SecurityEvent="' + event + b'",EventTV="2026-11-22T10:00:00.000+0000"'
        b',Severity="Error",Service="' + service + b'",EventVersion="1",AccountID="' + account
        + b'",SessionID="' + session + b'",LocalAddress="IPV4/UDP/10.0.0.1/5060"'
        b',RemoteAddress="IPV4/UDP/192.0.2.1/5060"' + behind
    )  # fmt: skip


@st.composite
def nearly_usual(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """Source file and message of a line that nearly every attempt writes, with something strange in it at most."""
    strange = draw(st.integers(0, 4))
    user, call_id, end = (
        draw(TEXT) if strange == place else usual for place, usual in enumerate((b"100", b"a-1", b""))
    )
    source = draw(st.sampled_from([b"192.0.2.1:5060", b"1.2.3.4.5:1", b"192.0.2.1:65536", b"[2001:db8::1]:5060"]))
    header = draw(st.sampled_from([b"<sip:%b@h>", b'"%b" <sip:100@h:5060>', b"<sips:100@%b>"])) % user
    return draw(
        st.sampled_from(
            [
                (b"pjsip_distributor.c", b"Request 'REGISTER' from '%b' failed for '%b' (callid: %b) - %b"),
                (b"chan_sip.c", b"Registration from '%b' failed for '%b'%.0b - %b"),
            ]
        ).map(lambda form: (form[0], form[1] % (header, source, call_id, draw(REASON) + end)))
    )


@given(nearly_usual())
def test_a_usual_line_says_what_the_table_says_of_it(line: tuple[bytes, bytes]) -> None:
    file, message = line
    escaped = json.dumps(message.decode("latin-1") + "\n", ensure_ascii=False).encode("latin-1")[1:] + b"}}"
    said = notices.read(notices.BY_START[file][b"R"], b"NOTICE", message, proves=True)

    for found in (
        usual.read(usual.PLAIN, file, b"NOTICE", message, 0),
        usual.read(usual.JSON, file, b"NOTICE", escaped, 0),
    ):
        assert found in {None, said}


@given(st.text(max_size=80), st.sampled_from(["chan_sip.c", "manager.c"]))
def test_an_object_as_asterisk_writes_it_is_read_as_any_object_is(said: str, file: str) -> None:
    found = {
        "hostname": "h",
        "timestamp": "2026-11-22 10:00:00",
        "identifiers": {"lwp": 7, "callid": ""},
        "logmsg": {"location": {"filename": file, "function": "f", "line": 1}, "level": "NOTICE", "message": said},
    }
    line = json.dumps(found, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass")

    head = jsonlines.HEAD.match(line)
    decoded = jsonlines.decode(line)

    assert head is not None
    if decoded is None:
        assert any("\ud800" <= character <= "\udfff" for character in said)
    else:
        assert head.groups() == (decoded.date, decoded.thread, decoded.file, decoded.level)
        assert jsonlines.message(line, head.end()) == decoded.message


REQUEST = DATE + b"NOTICE[1] res_pjsip/pjsip_distributor.c: Request 'R' from '"
SIP = DATE + b"NOTICE[1] chan_sip.c: "
HOSTILE = [
    (REQUEST, b"' failed for '9.9.9.9:1' (callid: "),
    (REQUEST + b'"', b'\\"<'),
    (SIP + b"Registration from '", b"' failed for '9.9.9.9:1' - Wrong password"),
    (SIP + b"Call from '", b"' (9.9.9.9:1) to extension '"),
    (SIP + b"Call from 'a' (9.9.9.9:1) to extension '", b"' rejected because extension not found"),
    (DATE + b"NOTICE[1] chan_iax2.c: No registration for peer '", b"' (from 9.9.9.9"),
    (security(b"InvalidAccountID", b"PJSIP", b"", b"", b"")[:-60], b'",LocalAddress="IPV4/UDP/1/1",RemoteAddress="'),
    (security(b"ChallengeResponseFailed", b"AMI", b"", b"", b""), b',Challenge="1",Response="'),
    (security(b"InvalidAccountID", b"PJSIP", b"", b"", b""), b',X="1"'),
    (b"", b"["),
    (b"Nov 22 10:00:00 ", b"x"),
    (b"{", b"["),
    (b'{"filename":"manager.c","level":"NOTICE"', b"{"),
    (b"", b"\x1b["),
    (b'{"hostname":"', b"\\\\"),
]


@pytest.mark.parametrize(("start", "filling"), HOSTILE)
def test_the_time_for_a_line_grows_with_its_length_at_most(start: bytes, filling: bytes) -> None:
    """Twice the text takes about twice the time. The smallest of several runs counts: the machine may be busy."""
    sizes = [LONGEST // 4, LONGEST // 2, LONGEST - 50]
    took = []
    for size in sizes:
        line = start + filling * ((size - len(start)) // len(filling))
        runs = []
        for _ in range(9):
            reader = LogReader(UTC)
            begin = time.thread_time_ns()
            reader.read(line, NOW)
            runs.append(time.thread_time_ns() - begin)
        took.append(min(runs))

    for shorter, longer in pairwise(took):
        assert longer <= 3 * shorter + 200_000, took
    assert took[-1] < 20_000_000


def test_a_line_of_a_megabyte_takes_no_more_than_looking_at_it() -> None:
    for line in (b"x" * (1 << 20), DATE + b"NOTICE[1] chan_sip.c: " + b"'" * (1 << 20), b"{" * (1 << 20)):
        begin = time.thread_time_ns()
        LogReader(UTC).read(line, NOW)
        assert time.thread_time_ns() - begin < 50_000_000
