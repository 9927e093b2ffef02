"""Builds AMI event blocks as Asterisk's `security_events.c` writes them: raw, without any escaping."""

from __future__ import annotations

from amiguard.asterisk.schema import HEADERS, INFORMATIONAL, NO_ACCOUNT

ATTACKER = "IPV4/UDP/10.99.130.5/5062"
VICTIM = "IPV4/TCP/9.9.9.9/5060"


def block(name: str, *, remote: str = ATTACKER, **values: str) -> bytes:
    """Return one whole block with its CR LF CR LF. `values` are headers by name; optional ones appear only if given."""
    required, optional = HEADERS[name]
    given = {
        "EventTV": "2026-11-22T10:12:39.766+0000",
        "Severity": "Informational" if name in INFORMATIONAL else "Error",
        "Service": "PJSIP",
        "EventVersion": "1",
        "AccountID": "6001" if required[: len(NO_ACCOUNT)] != NO_ACCOUNT else "",
        "SessionID": "call-1",
        "LocalAddress": "IPV4/UDP/10.99.0.1/5060",
        "RemoteAddress": remote,
        "UsingPassword": "1",
    } | values
    lines = [f"Event: {name}", "Privilege: security,all"]
    lines += [f"{header}: {given.get(header, '')}" for header in required]
    lines += [f"{header}: {values[header]}" for header in optional if header in values]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8", "surrogateescape")
