"""The usual lines are read by one regex, and nothing else is."""

from __future__ import annotations

import json

import pytest

from amiguard.asterisk.log import notices, usual

SOURCE = b"192.0.2.1:5060"
PJSIP, SIP = b"pjsip_distributor.c", b"chan_sip.c"
USUAL = [
    (
        PJSIP,
        b"Request 'REGISTER' from '<sip:100@h>' failed for '192.0.2.1:5060' (callid: a-1@b) - Failed to authenticate",
    ),
    (
        PJSIP,
        b"Request 'INVITE' from '\"1\" <sip:1@h:1>' failed for '192.0.2.1:5060' (callid: 8) - Not match Endpoint ACL",
    ),
    (PJSIP, b"Request from '<sips:100@h>' failed for '192.0.2.1:5060' (callid: 1) - No matching endpoint found"),
    (SIP, b"Registration from '<sip:100@pbx>' failed for '192.0.2.1:5060' - Wrong password"),
    (SIP, b"Registration from '\"100\" <sip:100@pbx:5060>' failed for '192.0.2.1:5060' - RTP initialization failed"),
]
OTHER = [
    (PJSIP, USUAL[0][1].replace(b"sip:100", b"sip:1'0")),
    (PJSIP, USUAL[0][1].replace(b"sip:100", b"sip:100:secret")),
    (PJSIP, USUAL[0][1].replace(b"a-1@b", b"a(1)@b")),
    (PJSIP, USUAL[0][1].replace(SOURCE, b"[2001:db8::1]:5060")),
    (PJSIP, USUAL[1][1].replace(b'"1"', b'"1\\"0"')),
    (PJSIP, USUAL[1][1] + b" after 3 tries in 12.3 ms"),
    (SIP, USUAL[3][1].replace(SOURCE, b"192.0.2.1:65536")),
    (SIP, USUAL[3][1].replace(SOURCE, b"192.0.2.256:5060")),
    (SIP, USUAL[3][1] + b"\r"),
    (b"manager.c", b"192.0.2.1 failed to authenticate as 'admin'"),
]


def escaped(message: bytes) -> bytes:
    return json.dumps(message.decode() + "\n").encode()[1:] + b"}}"


@pytest.mark.parametrize(("file", "message"), USUAL)
def test_a_usual_line_is_read_at_once_and_says_what_the_table_says(file: bytes, message: bytes) -> None:
    said = notices.read(notices.BY_START[file][b"R"], b"NOTICE", message, proves=False)

    assert said is not None
    assert usual.read(usual.PLAIN, file, b"NOTICE", message, 0) == said
    assert usual.read(usual.JSON, file, b"NOTICE", escaped(message), 0) == said


@pytest.mark.parametrize(("file", "message"), OTHER)
def test_a_line_with_anything_unusual_is_left_to_the_table(file: bytes, message: bytes) -> None:
    assert usual.read(usual.PLAIN, file, b"NOTICE", message, 0) is None
    assert usual.read(usual.JSON, file, b"NOTICE", escaped(message), 0) is None


def test_a_line_of_another_level_is_left_to_the_table() -> None:
    file, message = USUAL[0]

    assert usual.read(usual.PLAIN, file, b"WARNING", message, 0) is None
