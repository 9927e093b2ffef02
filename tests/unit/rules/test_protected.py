"""A known phone that fails on its own account is spared, but not for ever, and not for what it does to others."""

from __future__ import annotations

import pytest

from amiguard.journal import Action
from amiguard.model import Address, Ban, Evidence, Phone, Reason, Target
from amiguard.policy import DAY, Policy, Slow
from amiguard.presence import LIFETIME, Presence
from amiguard.rules.rulebook import Rulebook
from amiguard.rules.verdict import Alarm
from tests.lab.failures import failure

OFFICE = "192.0.2.1"
MINUTE = 60_000
POLICY = Policy(5, 10 * MINUTE, DAY, DAY, slow=Slow(20, 7 * DAY), protected_maxretry=50)


@pytest.fixture
def presence() -> Presence:
    known = Presence()
    known.learn(Phone(Address(Target(OFFICE)), "6001", LIFETIME), 0)
    known.learn(Phone(Address(Target(OFFICE)), "6002", LIFETIME), 0)
    return known


@pytest.fixture
def rules(presence: Presence) -> Rulebook:
    return Rulebook(POLICY, presence)


def tried(rules: Rulebook, account: str, times: int, at: int = 0, step: int = 1) -> list[Ban | Alarm]:
    return [
        verdict
        for number in range(times)
        for verdict in rules.failed(failure(at + number * step, OFFICE, account=account))
    ]


def test_a_wrong_password_for_ever_bans_nobody_and_is_told_once_a_day(rules: Rulebook) -> None:
    verdicts = tried(rules, "6001", 3 * 24 * 60, step=MINUTE)

    assert [verdict.action for verdict in verdicts if isinstance(verdict, Alarm)] == [Action.PHONE_FAILING] * 3
    assert len(verdicts) == 3


def test_the_higher_threshold_bans_the_address(rules: Rulebook) -> None:
    *_, ban = tried(rules, "6001", 50)

    assert isinstance(ban, Ban)
    assert (ban.target, ban.failures, ban.accounts) == (OFFICE, 50, ("6001",))


def test_many_phones_of_an_office_are_counted_each_for_itself(rules: Rulebook) -> None:
    verdicts = tried(rules, "6001", 49) + tried(rules, "6002", 49)

    assert [type(verdict) for verdict in verdicts] == [Alarm, Alarm]


def test_an_account_that_is_known_elsewhere_is_another_account(rules: Rulebook) -> None:
    (ban,) = [verdict for number in range(5) for verdict in rules.failed(failure(number, "192.0.2.9", account="6001"))]

    assert isinstance(ban, Ban)


def test_a_known_phone_that_asks_for_what_is_not_its_own_is_banned_as_anybody(rules: Rulebook) -> None:
    verdicts = [
        verdict
        for number in range(5)
        for verdict in rules.failed(
            failure(number, OFFICE, account="6001", reason=Reason.NOT_ALLOWED, evidence=Evidence.CONNECTED)
        )
    ]

    assert [type(verdict) for verdict in verdicts] == [Ban]


def test_off_is_off(presence: Presence) -> None:
    rules = Rulebook(Policy(5, 10 * MINUTE, DAY, DAY), presence)

    (ban,) = tried(rules, "6001", 5)
    assert isinstance(ban, Ban)


def test_an_unban_starts_the_count_anew(rules: Rulebook) -> None:
    tried(rules, "6001", 49)
    rules.forget(Target(OFFICE))

    assert not [verdict for verdict in tried(rules, "6001", 49) if isinstance(verdict, Ban)]


def test_evidence_decides_for_how_long(presence: Presence) -> None:
    rules = Rulebook(Policy(5, 10 * MINUTE, DAY, MINUTE, protected_maxretry=50), presence)
    verdicts = [
        verdict
        for number in range(50)
        for verdict in rules.failed(failure(number, OFFICE, account="6001", evidence=Evidence.DATAGRAM))
    ]
    (ban,) = [verdict for verdict in verdicts if isinstance(verdict, Ban)]

    assert ban.until == ban.since + MINUTE
