"""Whose password was guessed: a login right after failures, or from a strange address while its account is attacked.

Pure. It only raises an alarm: who has the right password may be the customer, and only a human can tell."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from amiguard.asterisk.schema import SecurityEvent
from amiguard.journal import Action
from amiguard.model import Address
from amiguard.rules.verdict import Alarm

SHOWN = 10


class Background(NamedTuple):
    """What is known when an account logs in from an address where it was never seen."""

    failures: int
    """How often this account failed from this address lately."""
    names: Sequence[str]
    """The names that failed from this address lately."""
    attackers: Sequence[Address]
    """From where this account fails just now, if it is under attack."""
    homes: Sequence[Address]
    """From where this account is known to log in."""
    settled: bool
    """Whether phones had time to log in since we began to listen, so that "never seen" says something."""


def authentic(event: SecurityEvent) -> bool:
    """Whether a login happened as the event says: with a password, from that address.

    PJSIP binds its nonce to the address, and a manager comes over TCP. chan_sip names an address that the sender chose,
    and a plain log line, which knows no transport, may be forged."""
    return event.using_password and event.service != "SIP" and event.transport != "" and not event.tampered


def suspicion(event: SecurityEvent, known: Background, threshold: int) -> Alarm | None:
    """Return an alarm if this login looks as if its password was guessed."""
    account, address = event.account, event.address
    if known.failures >= threshold:
        why = f"after {known.failures} failures on it from there"
    elif known.settled and len(known.names) >= threshold:
        why = f"where {len(known.names)} accounts failed"
    elif known.attackers and (known.settled or known.homes):
        why = "where it was never seen, while it is under attack"
    else:
        return None
    return Alarm(
        Action.SUSPECTED_COMPROMISE,
        f"account {account} logged in from {address}, {why}: change its password, unless you know who it was",
        {
            "account": account,
            "address": address,
            "service": event.service,
            "transport": event.transport,
            "failures": known.failures,
            "tried": list(known.names[:SHOWN]),
            "offenders": list(known.attackers[:SHOWN]),
            "homes": list(known.homes[-SHOWN:]),
        },
    )
