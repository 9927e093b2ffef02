"""The lines that nearly every failed attempt writes, each read in one step. It says what `notices.py` says of them, in
half the time; what holds any quote, bracket or escape that could be played with does not fit, and is left to it."""

from __future__ import annotations

import re
from collections.abc import Mapping

from amiguard.asterisk.log.fields import HIGHEST_PORT, address, text
from amiguard.asterisk.log.notices import Notice
from amiguard.asterisk.log.table import PJSIP_REASONS, SIP_REASONS, Outcome
from amiguard.asterisk.schema import SecurityEvent

Forms = Mapping[bytes, re.Pattern[bytes]]
"""The form of each of Asterisk's source files that has a usual one."""


def _forms(quote: bytes, end: bytes) -> Forms:
    header = (
        rb"'(?:" + quote + rb"[^'\"\\]*+" + quote + rb" )?<sips?:(?P<account>[^'\"\\@:<>\s]*+)@[^'\"\\@:<>\s]*+"
        rb"(?::\d{1,5})?>' failed for '(?P<at>[0-9.]{7,15}):(?P<port>\d{1,5})' "
    )
    return {
        b"pjsip_distributor.c": re.compile(
            rb"Request (?:'[A-Z]{1,32}' )?from " + header + rb"\(callid: (?P<session>[^'\"\\()\s]*+)\) - "
            rb"(?P<reason>" + b"|".join(map(re.escape, PJSIP_REASONS)) + rb")" + end
        ),
        b"chan_sip.c": re.compile(
            rb"Registration from " + header + rb"- (?P<session>)"
            rb"(?P<reason>" + b"|".join(map(re.escape, SIP_REASONS)) + rb")" + end
        ),
    }  # fmt: skip


LEVEL = b"NOTICE"

PLAIN = _forms(b'"', rb"\Z")
JSON = _forms(rb'\\"', rb'\\n"\}\}\Z')
"""The forms as they stand in a plain line, and escaped in a JSON object, up to its end."""

_SERVICES: dict[bytes, tuple[str, Mapping[bytes, Outcome]]] = {
    b"pjsip_distributor.c": ("PJSIP", PJSIP_REASONS),
    b"chan_sip.c": ("SIP", SIP_REASONS),
}


def read(forms: Forms, file: bytes, level: bytes, line: bytes, start: int) -> Notice | None:
    """Return what a line says, whose message begins at `start`; None = it has no usual form."""
    form = forms.get(file)
    found = None if form is None else form.match(line, start)
    if found is None or level != LEVEL:
        return None
    account, at, port, session, reason = found.groups()
    source, number = address(at), int(port)
    if source is None or number > HIGHEST_PORT:
        return None
    service, outcomes = _SERVICES[file]
    shape, name, acl = outcomes[reason]
    if not name:
        return shape, source, None
    event: SecurityEvent = tuple.__new__(  # what SecurityEvent(...) does, in half the time
        SecurityEvent, (name, service, source, number, "", text(account), text(session), acl, False, False)
    )
    return shape, source, event
