from __future__ import annotations

import pytest

from amiguard.asterisk.schema import HEADERS, SecurityEvent
from amiguard.asterisk.weights import TABLE, Signal, evidence_of, row_of
from amiguard.model import Address, Reason, Target


def event(
    name: str, service: str = "PJSIP", *, transport: str = "UDP", account: str = "6001", acl: str = ""
) -> SecurityEvent:
    return SecurityEvent(name, service, Address(Target("192.0.2.1")), 5060, transport, account, "call", acl)


@pytest.mark.parametrize("name", HEADERS)
def test_the_table_judges_each_of_the_fifteen_events(name: str) -> None:
    assert any(row.event == name for row in TABLE)
    assert all(row.why for row in TABLE)


@pytest.mark.parametrize(
    ("name", "service", "acl", "account", "weight"),
    [
        ("ChallengeResponseFailed", "PJSIP", "", "6001", 1),
        ("InvalidPassword", "SIP", "", "6001", 1),
        ("InvalidAccountID", "PJSIP", "", "nobody", 1),
        ("InvalidAccountID", "AMI", "", "nobody", 1),
        ("FailedACL", "PJSIP", "not_match_endpoint_acl", "6003", 1),
        ("FailedACL", "PJSIP", "not_match_endpoint_contact_acl", "6003", 1),
        ("FailedACL", "SIP", "device_must_match_acl", "6003", 1),
        ("FailedACL", "PJSIP", "registrar_attempt_exceeds_maximum_configured_contacts", "6002", 0),
        ("FailedACL", "AMI", "", "admin", 1),
        ("RequestNotAllowed", "AMI", "", "", 1),
        ("RequestNotAllowed", "AMI", "", "monitor", 0),
        ("RequestBadFormat", "AMI", "", "", 1),
        ("RequestBadFormat", "AMI", "", "monitor", 0),
        ("RequestNotSupported", "PJSIP", "", "6001", 1),
        ("ChallengeSent", "PJSIP", "", "6001", 0),
        ("SuccessfulAuth", "PJSIP", "", "6001", 0),
        ("LoadAverageLimit", "PJSIP", "", "6001", 0),
    ],
)
def test_each_event_counts_as_documented(name: str, service: str, acl: str, account: str, weight: int) -> None:
    assert row_of(event(name, service, acl=acl, account=account)).weight == weight


@pytest.mark.parametrize("name", HEADERS)
def test_a_row_without_weight_never_counts(name: str) -> None:
    row = row_of(event(name, acl="registrar_x"))

    assert (row.weight == 0) == (row.signal in {Signal.NOTHING, Signal.CHALLENGE, Signal.SUCCESS})


@pytest.mark.parametrize("name", HEADERS)
def test_a_tampered_event_bans_at_once_whatever_it_claims_to_be(name: str) -> None:
    row = row_of(event(name, account="")._replace(tampered=True))

    assert row.reason is Reason.INJECTION
    assert row.weight > 1_000


@pytest.mark.parametrize(
    ("service", "transport", "evidence"),
    [
        ("PJSIP", "UDP", "datagram"),
        ("PJSIP", "TCP", "connected"),
        ("PJSIP", "TLS", "connected"),
        ("PJSIP", "WS", "connected"),
        ("PJSIP", "WSS", "connected"),
        ("AMI", "TCP", "connected"),
        ("PJSIP", "", "datagram"),
        ("SIP", "UDP", "datagram"),
        ("SIP", "TCP", "datagram"),
        ("SIP", "TLS", "datagram"),
    ],
)
def test_evidence_follows_the_transport_but_never_for_chan_sip(service: str, transport: str, evidence: str) -> None:
    assert evidence_of(event("InvalidPassword", service, transport=transport)) == evidence
