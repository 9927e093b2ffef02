"""SECURITY lines: the security events of AMI, in the order of the same table, but quoted (`res/res_security_log.c`).

Quotes are not escaped, and AccountID, SessionID and some of what follows the address are an attacker's text. A line
with every field in its place and no other quote is clear (`_STRICT`). In any other all places are sought that look like
Asterisk's own pair of addresses. One: that is it. Several: it is the last, if nothing behind it can hold a bare quote,
else the line names nobody.

A line feed in a name tears a line in two. Of PJSIP, which keeps 36 bytes of a name, the second half can't be forged:
its own end alone is longer than that."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from operator import methodcaller
from typing import NamedTuple

from amiguard.asterisk.log.fields import address, lacking, text, word
from amiguard.asterisk.schema import COMMON, HEADERS, SecurityEvent

ADDRESS = (
    rb"IPV[46]/(?:(?P<transport>UDP|TCP|TLS|WSS|WS)/)?"
    rb"(?P<address>[0-9A-Fa-f.:]{2,45})(?:%[0-9A-Za-z_.-]{1,32})?/(?P<port>[0-9]{1,5})"
)
"""As `main/json.c` writes an address: no brackets, a zone behind a link-local one, no transport where it is unknown."""

CAPTURED = {
    "EventTV": rb"(?P<at>[0-9T:.+-]{1,40})",
    "Severity": rb"(?:Informational|Error)",
    "Service": rb"(?P<service>[A-Za-z0-9_]{1,32})",
    "EventVersion": rb"[0-9]{1,4}",
    "AccountID": rb'(?P<account>[^"]*+)',
    "SessionID": rb'(?P<session>[^"]*+)',
    "RemoteAddress": ADDRESS,
    "ACLName": rb'(?P<acl>[^"]*+)',
    "UsingPassword": rb"(?P<password>[01])",
}
GROUPS = ("at", "service", "account", "session", "transport", "address", "port", "acl", "password")
START = b'SecurityEvent="'
HEAD = re.compile(
    rb'SecurityEvent="(?P<name>[A-Za-z]{1,32})"'
    + b"".join(rb"," + key.encode() + rb'="' + CAPTURED[key] + rb'"' for key in COMMON[:4])
    + rb","
)
NAMED = re.compile(rb'(?:AccountID="(?P<account>.*?)",)?SessionID="(?P<session>.*)\Z', re.DOTALL)
PAIR = re.compile(rb'",LocalAddress="(?:IPV[46]/[0-9A-Za-z:.%/_-]{1,90}|\(null\))",RemoteAddress="' + ADDRESS + rb'"')

MANAGER_TEXT_BEHIND = frozenset(
    {b"ChallengeResponseFailed", b"RequestNotAllowed", b"RequestBadFormat", b"RequestNotSupported"}
)
"""Events of the manager with an attacker's raw text behind the address. SIP's digest parameters hold no bare quote:
`pjsip_parse_param_imp` keeps the backslash before it, chan_sip's parser ends at it."""

SHORT_NAMES = b"PJSIP"
CONTINUED = re.compile(rb'[^"]{0,36}",SessionID="(?P<session>[^\n]*)')


def _fields(keys: tuple[str, ...], *, optional: bool = False) -> bytes:
    fields = (rb"," + key.encode() + rb'="' + CAPTURED.get(key, rb'[^"]*+') + rb'"' for key in keys)
    return b"".join(rb"(?:" + field + rb")?" if optional else field for field in fields)


class _Form(NamedTuple):
    """An event's name, the pattern of a line of it with every field in its place, and what fetches `GROUPS` from it."""

    name: str
    strict: re.Pattern[bytes]
    groups: Callable[[re.Match[bytes]], tuple[bytes, ...]]


@cache
def _form(name: bytes) -> _Form:
    required, optional = HEADERS[name.decode()]
    pattern = START + name + rb'"' + _fields(required)
    more = _fields(optional, optional=True)
    strict = re.compile(pattern + rb"(?:\Z|" + more + rb"\Z|" + lacking(GROUPS, pattern + more) + rb")", re.DOTALL)
    places = [strict.groupindex[group] for group in GROUPS]
    in_order = places == sorted(places)
    return _Form(name.decode(), strict, re.Match.groups if in_order else methodcaller("group", *places))


@cache
def _tail(name: bytes) -> re.Pattern[bytes]:
    """Return what may follow the pair of addresses: the event's own fields, then those of a newer Asterisk."""
    required, optional = HEADERS[name.decode()]
    own = tuple(key for key in required if key not in COMMON)
    newer = rb'(?:,[A-Za-z]{1,32}="[^"]*+")*+'
    loose = rb"," + (own + optional)[0].encode() + rb'=".*"'
    pattern = rb"(?:" + _fields(own) + _fields(optional, optional=True) + newer + rb"\Z|" + loose + rb")"
    return re.compile(pattern + rb"(?:\Z|" + lacking(GROUPS, pattern) + rb")", re.DOTALL)


_NAMES = frozenset(name.encode() for name in HEADERS)
_TRANSPORTS = {None: ""} | {name.encode(): name for name in ("UDP", "TCP", "TLS", "WS", "WSS")}


Said = tuple[bytes, SecurityEvent | None, bool]
"""What a SECURITY line says: when, which event, and whether it is ambiguous. No event: it is torn, or nobody knows whom
it names."""


class Security:
    """Reads the SECURITY lines of one log. `torn`: the last one was torn, and its second half may follow."""

    def __init__(self) -> None:
        self.torn: re.Match[bytes] | None = None

    def read(self, line: bytes, start: int, *, proves: bool) -> Said | None:
        """Return what the message from `start` on says; None = it is no security event that we know.

        `proves`: whether the transport that the line names is to be believed."""
        self.torn = None
        name = line[start + len(START) : line.find(b'"', start + len(START))]
        if name not in _NAMES:
            return None
        event_name, strict, groups = _form(name)
        found = strict.match(line, start)
        if found is None:
            return self._read_unclear(line, start, proves=proves)
        at, service, account, session, transport, host, port, acl, password = groups(found)
        source = address(host)
        if source is None:
            return None
        event: SecurityEvent = tuple.__new__(  # what SecurityEvent(...) does, in half the time
            SecurityEvent,
            (
                event_name, word(service), source, int(port), _TRANSPORTS[transport] if proves else "",
                text(account), text(session), text(acl) if acl else "", password == b"1", False,
            ),
        )  # fmt: skip
        return at, event, False

    def _read_unclear(self, line: bytes, start: int, *, proves: bool) -> Said | None:
        head = HEAD.match(line, start)
        if head is None:
            return None
        places = list(PAIR.finditer(line, head.end()))
        if not places:
            if head["service"] == SHORT_NAMES:
                self.torn = head
            return head["at"], None, False
        several = len({(place["address"], place["port"]) for place in places}) > 1
        if several and head["service"] == b"AMI" and head["name"] in MANAGER_TEXT_BEHIND:
            return head["at"], None, True
        return _said(head, places[-1], line[head.end() : places[-1].start()], proves=proves)

    def join(self, line: bytes, *, proves: bool) -> Said | None:
        """Return what the torn line says, if `line` is its second half."""
        head, found = self.torn, CONTINUED.match(line)
        if head is None or found is None:
            return None
        places = list(PAIR.finditer(line, found.start("session")))
        if not places:
            return None
        self.torn = None
        named = b'SessionID="' + line[found.start("session") : places[-1].start()]
        return _said(head, places[-1], named, proves=proves)


def _said(head: re.Match[bytes], place: re.Match[bytes], named: bytes, *, proves: bool) -> Said | None:
    tail = _tail(head["name"]).match(place.string, place.end())
    source = address(place["address"])
    if source is None or tail is None:
        return None
    who = NAMED.match(named)
    account, session = who.groups() if who is not None else (None, None)
    event = SecurityEvent(
        word(head["name"]), word(head["service"]), source, int(place["port"]),
        _TRANSPORTS[place["transport"]] if proves else "",
        text(account), text(session), text(tail["acl"]), tail["password"] == b"1",
    )  # fmt: skip
    return head["at"], event, False
