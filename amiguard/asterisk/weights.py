"""Which security event counts how much, and why. The one place where this is decided.

A row is chosen by event, then by service, then by ACLName; the first row that fits wins. Measured on Asterisk 16
(chan_sip, PJSIP) and 22 (PJSIP); what could not be produced there follows the source."""

from __future__ import annotations

from enum import Enum
from functools import lru_cache
from typing import NamedTuple

from amiguard.asterisk.schema import SecurityEvent
from amiguard.model import IMMEDIATE, Evidence, Failure, Reason, Timestamp

ANY = ""


class Signal(Enum):
    """What an event says about the attempt that it belongs to (see `attempts.py`)."""

    NOTHING = 0
    CHALLENGE = 1
    """Asterisk answered with a challenge: the request before it was one of its own."""
    PROBE = 2
    """A request was refused before its password was looked at; one attempt may emit several."""
    GUESS = 3
    """A password, or a whole login, was judged and refused: one event an attempt."""
    SUCCESS = 4
    """A login was judged and accepted."""


class Row(NamedTuple):
    """How one kind of event counts. `service` and `acl` are exact, `acl` may end in `*`; empty = any."""

    event: str
    service: str
    acl: str
    weight: int
    signal: Signal
    reason: Reason
    why: str


TABLE = (
    Row("ChallengeResponseFailed", ANY, ANY, 1, Signal.GUESS, Reason.WRONG_PASSWORD,
        "a digest was answered with a wrong password; PJSIP, chan_sip and the manager's MD5 login"),
    Row("InvalidPassword", ANY, ANY, 1, Signal.GUESS, Reason.WRONG_PASSWORD,
        "chan_sip's and the manager's word for a wrong password"),
    Row("InvalidAccountID", "AMI", ANY, 1, Signal.GUESS, Reason.UNKNOWN_ACCOUNT,
        "a manager login with an unknown name: one event a login"),
    Row("InvalidAccountID", "IAX2", ANY, 1, Signal.GUESS, Reason.UNKNOWN_ACCOUNT,
        "an IAX2 registration or call with an unknown name; the log tells it once an attempt"),
    Row("InvalidAccountID", ANY, ANY, 1, Signal.PROBE, Reason.UNKNOWN_ACCOUNT,
        "no endpoint of that name; the challenged second request emits it again"),
    Row("FailedACL", "AMI", ANY, 1, Signal.GUESS, Reason.ACL,
        "a manager user from an address that its ACL denies"),
    Row("FailedACL", "IAX2", ANY, 1, Signal.GUESS, Reason.ACL,
        "an IAX2 peer from an address that its ACL denies, or one that may not register; one line an attempt"),
    Row("FailedACL", ANY, "registrar_*", 0, Signal.NOTHING, Reason.ACL,
        "the phone has logged in and has too many contacts: it was restarted, or is one of several"),
    Row("FailedACL", ANY, ANY, 1, Signal.PROBE, Reason.ACL,
        "an account used from an address that its ACL denies; both requests of an attempt emit it"),
    Row("UnexpectedAddress", ANY, ANY, 1, Signal.GUESS, Reason.ACL,
        "an account used from another address than the one it is bound to"),
    Row("RequestNotAllowed", "AMI", ANY, 1, Signal.GUESS, Reason.NOT_ALLOWED,
        "a manager action before the login; with a name it is a logged-in tool that lacks a permission (see `row_of`)"),
    Row("RequestBadFormat", "AMI", ANY, 1, Signal.GUESS, Reason.BAD_REQUEST,
        "garbage on the manager's port; with a name it is a logged-in tool (see `row_of`)"),
    Row("AuthMethodNotAllowed", ANY, ANY, 1, Signal.GUESS, Reason.NOT_ALLOWED,
        "a login by a method that the account does not allow"),
    Row("ChallengeSent", ANY, ANY, 0, Signal.CHALLENGE, Reason.UNKNOWN_ACCOUNT,
        "every phone's first REGISTER and every stale nonce looks like this"),
    Row("SuccessfulAuth", ANY, ANY, 0, Signal.SUCCESS, Reason.NOT_ALLOWED, "a success"),
    Row("RequestNotSupported", ANY, ANY, 1, Signal.GUESS, Reason.NOT_ALLOWED,
        "a logged-in account registers for an AOR that is not its own: a stolen password, or set up as wrongly as one"),
    Row("RequestNotAllowed", ANY, ANY, 0, Signal.NOTHING, Reason.NOT_ALLOWED, "no service but the manager emits it"),
    Row("RequestBadFormat", ANY, ANY, 0, Signal.NOTHING, Reason.BAD_REQUEST, "no service but the manager emits it"),
    Row("InvalidTransport", ANY, ANY, 0, Signal.NOTHING, Reason.NOT_ALLOWED,
        "a known account over a transport that it may not use: a phone set up wrongly"),
    Row("SessionLimit", ANY, ANY, 0, Signal.NOTHING, Reason.NOT_ALLOWED,
        "a limit of the server, not a fault of the client"),
    Row("MemoryLimit", ANY, ANY, 0, Signal.NOTHING, Reason.NOT_ALLOWED,
        "a limit of the server, not a fault of the client"),
    Row("LoadAverageLimit", ANY, ANY, 0, Signal.NOTHING, Reason.NOT_ALLOWED,
        "a limit of the server, not a fault of the client"),
)  # fmt: skip

NOT_COUNTED = Row(ANY, ANY, ANY, 0, Signal.NOTHING, Reason.NOT_ALLOWED, "a logged-in user's mistake")
INJECTED = Row(ANY, ANY, ANY, IMMEDIATE, Signal.GUESS, Reason.INJECTION,
               "no phone has CR LF in its name: somebody tries to lie to the listeners")  # fmt: skip

CONNECTED = frozenset({"TCP", "TLS", "WS", "WSS"})


@lru_cache(1024)
def _look_up(event: str, service: str, acl: str) -> Row:
    for row in TABLE:
        if row.event != event or row.service not in (ANY, service):
            continue
        if row.acl in (ANY, acl) or (row.acl.endswith("*") and acl.startswith(row.acl[:-1])):
            return row
    return NOT_COUNTED


def row_of(event: SecurityEvent) -> Row:
    """Return the row that judges this event."""
    if event.tampered:
        return INJECTED
    row = _look_up(event.name, event.service, event.acl)
    if event.account and event.name in {"RequestNotAllowed", "RequestBadFormat"}:
        return NOT_COUNTED
    return row


def evidence_of(event: SecurityEvent) -> Evidence:
    """Return how far the event's address is proven.

    One UDP packet with an invented nonce makes a ChallengeResponseFailed, so over UDP no failure proves anything. For
    chan_sip (`Service: SIP`) the sender chooses the reported address on every transport (`Via: ...;maddr=`)."""
    if event.service != "SIP" and event.transport in CONNECTED:
        return Evidence.CONNECTED
    return Evidence.DATAGRAM


def failure_of(event: SecurityEvent, row: Row, now: Timestamp, source: str) -> Failure:
    """Return the failed attempt that an event of this row tells of."""
    values = (
        event.address, now, row.reason, row.weight, evidence_of(event), event.name, event.service,
        event.transport, event.port, event.account, event.session, source,
    )  # fmt: skip
    return tuple.__new__(Failure, values)  # what Failure(...) does, in half the time
