"""The security events of Asterisk: their headers, in the order in which Asterisk writes them.

Source: `main/security_events.c`, table `sec_events`, the same in Asterisk 16 to 23; the lines before it come from
`main/manager.c`. Asterisk escapes nothing in AMI, and some values are an attacker's text, so only the order tells a
real header from a forged one: each header exactly once, in its place."""

from __future__ import annotations

import re
from functools import cache, lru_cache
from typing import NamedTuple

from amiguard.errors import InvalidAddress
from amiguard.model import Address, parse_address

TEXT_LIMIT = 256
"""Characters of an attacker's text that are kept."""

COMMON = ("EventTV", "Severity", "Service", "EventVersion", "AccountID", "SessionID", "LocalAddress", "RemoteAddress")
NO_ACCOUNT = tuple(name for name in COMMON if name != "AccountID")
OPTIONAL = ("Module", "SessionTV")

HEADERS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    # event: (required headers, optional headers), both in the order of the wire
    "FailedACL": (COMMON, ("Module", "ACLName", "SessionTV")),
    "InvalidAccountID": (COMMON, OPTIONAL),
    "SessionLimit": (COMMON, OPTIONAL),
    "MemoryLimit": (COMMON, OPTIONAL),
    "LoadAverageLimit": (COMMON, OPTIONAL),
    "RequestNotSupported": ((*COMMON, "RequestType"), OPTIONAL),
    "RequestNotAllowed": ((*COMMON, "RequestType"), (*OPTIONAL, "RequestParams")),
    "AuthMethodNotAllowed": ((*COMMON, "AuthMethod"), OPTIONAL),
    "RequestBadFormat": ((*NO_ACCOUNT, "RequestType"), (*OPTIONAL, "AccountID", "RequestParams")),
    "SuccessfulAuth": ((*COMMON, "UsingPassword"), OPTIONAL),
    "UnexpectedAddress": ((*COMMON, "ExpectedAddress"), OPTIONAL),
    "ChallengeResponseFailed": ((*COMMON, "Challenge", "Response", "ExpectedResponse"), OPTIONAL),
    "InvalidPassword": (COMMON, (*OPTIONAL, "Challenge", "ReceivedChallenge", "ReceivedHash")),
    "ChallengeSent": ((*COMMON, "Challenge"), OPTIONAL),
    "InvalidTransport": ((*COMMON, "AttemptedTransport"), OPTIONAL),
}
INFORMATIONAL = frozenset({"SuccessfulAuth", "ChallengeSent"})


class SecurityEvent(NamedTuple):
    """One security event of Asterisk. A tuple, because a flood makes thousands of them a second.

    `account` and `session` (for SIP the Call-ID) are an attacker's text, cut to `TEXT_LIMIT`; `acl` is Asterisk's
    ACLName. `tampered`: somebody put header lines into the event; then only `name`, `service`, and the address with
    its port and transport are Asterisk's own words, and the other fields are empty."""

    name: str
    service: str
    address: Address
    port: int
    transport: str
    account: str = ""
    session: str = ""
    acl: str = ""
    using_password: bool = False
    tampered: bool = False


VALUE = rb".*+(?<=\r)\n"
"""The rest of a line up to its CR LF. A value may hold a bare CR, never LF, so this never steps back."""

PREAMBLE = (
    rb"Privilege: security,all\r\n"
    rb"(?:Timestamp: [0-9.]+\r\n)?"
    rb"(?:SequenceNumber: [0-9]+\r\nFile: " + VALUE + rb"Line: [0-9]+\r\nFunc: " + VALUE + rb")?"
    rb"(?:SystemName: " + VALUE + rb")?"
)
ADDRESS = rb"(?P<remote>IPV[46]/(?:UDP/|TCP/|TLS/|WSS/|WS/)?[0-9A-Fa-f.:]{2,45}(?:%[^/\r\n]{1,32})?/[0-9]{1,5})"
"""As `main/json.c` writes an address: no brackets, a zone behind a link-local one, no transport where it is unknown."""

CAPTURED = {
    "Service": rb"(?P<service>[A-Za-z0-9_]{1,32})\r\n",
    "AccountID": rb"(?P<account>.*+)(?<=\r)\n",
    "SessionID": rb"(?P<session>.*+)(?<=\r)\n",
    "RemoteAddress": ADDRESS + rb"\r\n",
    "ACLName": rb"(?P<acl>.*+)(?<=\r)\n",
    "UsingPassword": rb"(?P<password>[01])\r\n",
}
NAMES = b"|".join(name.encode() for name in HEADERS)
HEAD = re.compile(rb"Event: (?P<name>" + NAMES + rb")\r\n" + PREAMBLE + rb"EventTV: ")
"""How a real event starts: an attacker's text comes later."""

TAIL = re.compile(
    rb"(?:\A|\r\n)SessionID: " + VALUE + rb"LocalAddress: " + VALUE + rb"RemoteAddress: " + ADDRESS + rb"(?=\r\n|\Z)"
)
"""What Asterisk writes after AccountID, and so after whatever was smuggled into it."""

SERVICE = re.compile(rb"\r\nService: (?P<service>[A-Za-z0-9_]{1,32})\r\n")
REQUIRED_LINE = re.compile(rb"(?:\A|\r\n)(" + b"|".join(name.encode() for name in COMMON) + rb"): ")


def _header(name: str, severity: bytes) -> bytes:
    value = rb"(?:" + severity + rb")\r\n" if name == "Severity" else CAPTURED.get(name, VALUE)
    return name.encode() + rb": " + value


@cache
def _compile(name: str, *, newer: bool) -> re.Pattern[bytes]:
    """Return the pattern of an event, or of one with more headers: compiling takes long, and few need the second."""
    required, optional = HEADERS[name]
    severity = b"Informational" if name in INFORMATIONAL else b"Error"
    pattern = rb"Event: " + name.encode() + rb"\r\n" + PREAMBLE
    pattern += b"".join(_header(header, severity) for header in required)
    pattern += b"".join(rb"(?:" + _header(header, severity) + rb")?" for header in optional)
    if newer:
        pattern += rb"(?P<more>(?:[A-Za-z]{1,32}: " + VALUE + rb")*)"
    return re.compile(pattern + rb"\Z")


class _Form(NamedTuple):
    """How one event is read: the pattern of its schema, where that captures service, account, session and remote
    address, and what it captures beside them."""

    name: str
    strict: re.Pattern[bytes]
    common: tuple[int, ...]
    extra: str


_EXTRA = {"FailedACL": "acl", "SuccessfulAuth": "password"}
_COMMON = ("service", "account", "session", "remote")


def _form(name: str) -> _Form:
    strict = _compile(name, newer=False)
    return _Form(name, strict, tuple(strict.groupindex[group] for group in _COMMON), _EXTRA.get(name, ""))


_FORMS = {name.encode(): _form(name) for name in HEADERS}
_START = len(b"Event: ")
_LONGEST = _START + max(map(len, _FORMS)) + 1


@lru_cache(8192)
def _sender(remote: bytes) -> tuple[Address, int, str] | None:
    """Return address, port and transport ("" = unknown) that Asterisk wrote as one text; None: there is no address."""
    _, *transport, address, port = remote.decode("latin-1").split("/")
    known = _address(address)
    return None if known is None else (known, int(port), transport[0] if transport else "")


@lru_cache(65536)
def _address(text: str) -> Address | None:
    try:
        return parse_address(text)
    except InvalidAddress:
        return None


@lru_cache(64)
def _service(name: bytes) -> str:
    return name.decode("ascii")


def _text(captured: bytes | None) -> str:
    """Return a captured value without its CR, and cut; a character takes four bytes at most."""
    if not captured:
        return ""
    if len(captured) <= TEXT_LIMIT:
        return captured[:-1].decode("utf-8", "replace")
    return captured[: 4 * TEXT_LIMIT + 1][:-1].decode("utf-8", "replace")[:TEXT_LIMIT]


def match(block: bytes) -> SecurityEvent | None:
    """Return the event that a block is, if every header stands in its place and once; else None.

    Headers that this version of amiguard does not know may follow the known ones: a newer Asterisk may add some, and
    what comes after RemoteAddress can't change it."""
    form = _FORMS.get(block[_START : block.find(b"\r", _START, _LONGEST)])
    if form is None:
        return None
    name, strict, common, kind = form
    line_ended = block + b"\r\n"
    found = strict.match(line_ended) or _match_newer(form, line_ended)
    if found is None:
        return None
    service, account, session, remote = found.group(*common)
    origin = _sender(remote)
    if origin is None:
        return None
    address, port, transport = origin
    extra = found[kind] if kind else None
    return tuple.__new__(  # what SecurityEvent(...) does, in half the time
        SecurityEvent,
        (
            name,
            _service(service),
            address,
            port,
            transport,
            _text(account),
            _text(session),
            _text(extra) if kind == "acl" else "",
            kind == "password" and extra == b"1",
            False,
        ),
    )


def _match_newer(form: _Form, block: bytes) -> re.Match[bytes] | None:
    found = _compile(form.name, newer=True).match(block)
    if found is None or REQUIRED_LINE.search(b"\r\n" + found["more"]):
        return None
    return found


def sender(tail: re.Match[bytes]) -> tuple[Address, int, str] | None:
    """Return address, port and transport of a `TAIL`, or None where the address is no address."""
    return _sender(tail["remote"])
