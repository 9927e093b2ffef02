"""Tells smuggled header lines from a newer Asterisk, and finds who sent them."""

from __future__ import annotations

import re

from amiguard.asterisk.schema import HEAD, REQUIRED_LINE, SERVICE, TAIL, SecurityEvent, sender

_BARE_LF = re.compile(rb"(?<!\r)\n")
_AFTER_ACCOUNT = re.compile(rb"\r\nAccountID: [^\n]*\r\n(?!SessionID: )")


def is_possible(event: SecurityEvent) -> bool:
    """Whether an event that fits the schema may still be an attacker's text, or hold some behind it.

    A manager's user name over HTTP is raw and long (InvalidAccountID), and so is the response to its MD5 challenge
    (ChallengeResponseFailed). The names in all other manager events are those of configured users."""
    return event.service == "AMI" and event.name in {"InvalidAccountID", "ChallengeResponseFailed"}


def is_short(block: bytes) -> bool:
    """Whether the attacker's text in this event is too short for a second event: PJSIP keeps 36 bytes of a name."""
    service = SERVICE.search(block)
    return service is not None and service["service"] == b"PJSIP"


def follows_address(block: bytes) -> bool:
    """Whether the attacker's text of this event stands behind the address (a manager's `Response:`)."""
    service = SERVICE.search(block)
    return (
        block.startswith(b"Event: ChallengeResponseFailed\r\n") and service is not None and service["service"] == b"AMI"
    )


def is_evident(block: bytes) -> bool:
    """Whether a broken event shows smuggled lines, and not just headers that this amiguard does not know yet.

    Evident is a line feed of its own, a required header that stands twice, or a foreign line right behind a name that a
    stranger may choose."""
    if _BARE_LF.search(block):
        return True
    headers = REQUIRED_LINE.findall(block)
    if len(headers) != len(set(headers)):
        return True
    service = SERVICE.search(block)
    stranger = block.startswith(b"Event: InvalidAccountID\r\n") or (
        service is not None and service["service"] == b"SIP"
    )
    return stranger and _AFTER_ACCOUNT.search(block) is not None


def blame(pieces: list[bytes]) -> SecurityEvent | None:
    """Return the tampered event that arrived in these pieces, with its true sender; None where no sender stands in it.

    The first piece is the head. The sender stands in the last tail, for Asterisk writes it behind the attacker's text;
    in the first, where the text comes behind it."""
    head = HEAD.match(pieces[0])
    service = SERVICE.search(pieces[0])
    tails = list(TAIL.finditer(b"\r\n\r\n".join(pieces)))
    if head is None or service is None or not tails:
        return None
    true = sender(tails[0] if follows_address(pieces[0]) else tails[-1])
    if true is None:
        return None
    address, port, transport = true
    return SecurityEvent(head["name"].decode(), service["service"].decode(), address, port, transport, tampered=True)
