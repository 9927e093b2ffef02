"""Where fuzzing begins: what real Asterisk servers wrote under attack, and what the other parsers are meant to read."""

from __future__ import annotations

import json
from collections.abc import Iterator

from amiguard.fleet import messages
from amiguard.model import Ban, Evidence, Origin, Reason, Target
from amiguard.nodes import Lifted
from amiguard.settings import Settings
from amiguard.stores.rows import row_of
from tests.fuzz.targets import FIELDS, INSTANCE, NOW
from tests.lab.captures import BANNER, captures
from tests.lab.doc_tables import default

LONGEST = 4096
"""Bytes of a seed: small ones are mutated faster."""

EVERY = 12
"""Of the captures, one in so many."""

BAN = Ban(
    Target("192.0.2.77"),
    NOW,
    NOW + 3_600_000,
    Reason.WRONG_PASSWORD,
    Origin.LOCAL,
    Evidence.CONNECTED,
    failures=5,
    accounts=("6001", 'x"\u2028'),
    service="PJSIP",
    transport="TLS",
    comment="scans us",
)
NETWORK = {
    "name": "TEST-NET-2",
    "country": "ZZ",
    "startAddress": "198.51.100.0",
    "endAddress": "198.51.100.255",
    "entities": [
        {
            "roles": ["registrant", "abuse"],
            "vcardArray": ["vcard", [["fn", {}, "text", "Example"], ["email", {}, "text", "abuse@example.org"]]],
        }
    ],
}
BODIES = (
    {"address": "192.0.2.77"},
    {"address": "2001:db8::/64", "time": 3600, "reason": "scans us", "force": True},
    {"address": "::ffff:192.0.2.1", "comment": "the office"},
)


def seeds(name: str) -> list[bytes]:
    """Return the inputs that a target begins with."""
    return list({"ami-stream": _streams, "log-lines": _plain, "json-log": _objects}.get(name, lambda: _texts(name))())


def _streams() -> Iterator[bytes]:
    for found in captures()[::EVERY]:
        yield b"\x20\x55\x80\xc0" + found.raw.removeprefix(BANNER)[:LONGEST]


def _plain() -> Iterator[bytes]:
    for found in captures()[::EVERY]:
        yield found.full_log[:LONGEST]
        yield found.security_log[:LONGEST]


def _objects() -> Iterator[bytes]:
    """What Asterisk 22 makes of such lines with `[json]`, as `logger.c:format_log_json` writes it."""
    for found in captures()[:: EVERY * 2]:
        for line in found.full_log.splitlines()[:3]:
            place = {"filename": "res_pjsip/pjsip_distributor.c", "function": "log_failed_request", "line": 1}
            said = line.decode(errors="replace").partition(": ")[2]
            message = {"location": place, "level": "NOTICE", "message": said}
            told = {
                "hostname": "pbx",
                "timestamp": "2026-11-22 10:00:00.000",
                "identifiers": {"lwp": 7, "callid": ""},
                "logmsg": message,
            }
            yield json.dumps(told, separators=(",", ":"), ensure_ascii=False).encode()


def _texts(name: str) -> Iterator[bytes]:
    match name:
        case "fleet-message":
            for change in (BAN, Lifted(BAN.target, NOW)):
                yield messages.encode(change, "node-1", INSTANCE, NOW)
        case "control-body":
            yield from (json.dumps(body).encode() for body in BODIES)
            yield b"address=192.0.2.1&limit=100&cursor=x"
        case "settings":
            for number, field in enumerate(FIELDS):
                yield bytes([number]) + default(Settings.model_fields[field]).strip("`").encode()
        case "whois-answer":
            yield json.dumps(NETWORK).encode()
        case "feed-list":
            yield b"\x80# a list\n8.8.8.0/30 ; remark\n1.1.1.1,x\n2606:4700::/48\r\n10.0.0.1\n// end\n9.9.9.9"
            yield b"\x10<html>no list</html>"
        case "store-rows":
            yield json.dumps(row_of(BAN)).encode()
