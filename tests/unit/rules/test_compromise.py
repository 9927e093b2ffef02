from __future__ import annotations

import pytest

from amiguard.asterisk.schema import SecurityEvent
from amiguard.journal import Action
from amiguard.model import Address, Phone, Target
from amiguard.policy import Policy, Scan, Spread
from amiguard.presence import Presence
from amiguard.rules.logins import CAPACITY, HOMES, LIVE, REMEMBERED, Logins
from amiguard.rules.rulebook import Rulebook
from amiguard.rules.verdict import Alarm
from tests.lab.failures import ATTACKER, failure

HOUR = 3_600_000
LATER = 2 * HOUR
HOME = Address(Target("203.0.113.5"))
POLICY = Policy(5, 600_000, HOUR, HOUR, compromise=3, scan=Scan(100, 10, HOUR), spread=Spread(10, HOUR, 0))


def login(account: str = "100", address: str = ATTACKER) -> SecurityEvent:
    return SecurityEvent(
        "SuccessfulAuth", "PJSIP", Address(Target(address)), 5062, "UDP", account, "call", using_password=True
    )


@pytest.fixture
def rules() -> Rulebook:
    made = Rulebook(POLICY)
    made.logins.since = 0
    return made


def guess(rules: Rulebook, times: int, account: str = "100", address: str = ATTACKER) -> None:
    for number in range(times):
        assert not rules.failed(failure(LATER + number, address, account=account))


def attack_from_everywhere(rules: Rulebook) -> None:
    for number in range(10):
        rules.failed(failure(LATER + number, f"198.51.100.{number}"))


def test_a_login_right_after_three_failures_on_it_raises_an_alarm_with_its_evidence(rules: Rulebook) -> None:
    guess(rules, 3)

    (alarm,) = rules.logged_in(login(), LATER + 5)
    assert isinstance(alarm, Alarm)
    assert alarm.action is Action.SUSPECTED_COMPROMISE
    assert (alarm.fields["account"], alarm.fields["address"], alarm.fields["failures"]) == ("100", ATTACKER, 3)
    assert not rules.logged_in(login(), LATER + 6), "once is enough"


def test_who_mistypes_twice_is_not_suspected(rules: Rulebook) -> None:
    guess(rules, 2)

    assert not rules.logged_in(login(), LATER + 5)


def test_a_phone_that_logged_in_from_there_before_is_not_suspected(rules: Rulebook) -> None:
    assert not rules.logged_in(login(), LATER)
    guess(rules, 4)

    assert not rules.logged_in(login(), LATER + 5)


def test_a_login_of_another_account_after_one_phone_failed_is_not_suspected(rules: Rulebook) -> None:
    guess(rules, 4, "101")

    assert not rules.logged_in(login(), LATER + 5)


def test_a_login_where_three_other_accounts_failed_is_suspected(rules: Rulebook) -> None:
    for account in ("101", "102", "103"):
        guess(rules, 1, account)

    (alarm,) = rules.logged_in(login(), LATER + 5)
    assert isinstance(alarm, Alarm)
    assert alarm.fields["tried"] == ["101", "102", "103"]


def test_failures_of_another_address_are_not_held_against_a_login(rules: Rulebook) -> None:
    guess(rules, 4, address="192.0.2.2")

    assert not rules.logged_in(login(), LATER + 5)


def test_a_login_from_a_strange_address_while_its_account_is_attacked_is_suspected(rules: Rulebook) -> None:
    assert not rules.logged_in(login(address=HOME), LATER)
    attack_from_everywhere(rules)

    assert not rules.logged_in(login(address=HOME), LATER + 20)
    (alarm,) = rules.logged_in(login(), LATER + 20)
    assert isinstance(alarm, Alarm)
    assert alarm.fields["homes"] == [HOME]
    assert alarm.fields["offenders"]


def test_right_after_the_start_a_phone_of_an_attacked_account_is_not_suspected() -> None:
    rules = Rulebook(POLICY)
    rules.logins.since = LATER
    attack_from_everywhere(rules)

    assert not rules.logged_in(login(), LATER + 20)


def test_a_phone_that_is_remembered_over_a_restart_is_not_suspected() -> None:
    presence = Presence()
    presence.restore([Phone(HOME, "100", LATER + HOUR)], LATER)
    rules = Rulebook(POLICY, presence)
    rules.logins.since = 0
    attack_from_everywhere(rules)

    assert not rules.logged_in(login(address=HOME), LATER + 20)
    assert rules.logged_in(login(), LATER + 20)


@pytest.mark.parametrize(
    "forged",
    [
        login()._replace(using_password=False),
        login()._replace(service="SIP"),
        login()._replace(transport=""),
        login()._replace(tampered=True),
    ],
)
def test_a_login_that_may_be_forged_says_nothing(rules: Rulebook, forged: SecurityEvent) -> None:
    guess(rules, 4)

    assert not rules.logged_in(forged, LATER + 5)
    assert rules.logged_in(login(), LATER + 6), "nor did it make anybody known"


def test_logins_are_forgotten_in_time() -> None:
    logins = Logins()
    logins.add("100", HOME, 0)

    assert logins.lives(HOME, LIVE)
    assert not logins.lives(HOME, LIVE + 1)
    assert logins.knows("100", HOME, REMEMBERED)
    assert not logins.knows("100", HOME, REMEMBERED + 1)
    assert not logins.knows("101", HOME, 1)
    assert logins.homes("100", 1) == [HOME]
    assert logins.accounts(HOME) == ["100"]
    assert logins.within(Target("203.0.113.0/24"), 1) == [HOME]
    assert logins.within(Target("203.0.114.0/24"), 1) == []


def test_an_attacker_with_one_account_cannot_push_out_the_homes_of_others() -> None:
    logins = Logins()
    logins.add("100", HOME, 0)
    for number in range(3 * CAPACITY):
        logins.add("stolen", Address(Target(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")), 1)
        assert len(logins) <= HOMES + 1

    assert logins.knows("100", HOME, 1)


def test_logins_without_end_cost_a_fixed_amount() -> None:
    logins = Logins()
    for number in range(2 * CAPACITY):
        logins.add(str(number), Address(Target(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")), 1)
        assert len(logins) <= CAPACITY
