from __future__ import annotations

import pytest

from amiguard.model import Evidence, Reason
from amiguard.policy import Policy, Spread
from amiguard.rules.accounts import CAPACITY, Accounts
from amiguard.rules.rulebook import Rulebook
from amiguard.rules.verdict import Alarm
from tests.lab.failures import failure

HOUR = 3_600_000
SPREAD = Spread(addresses=10, findtime=HOUR, maxretry=0)


def address(number: int) -> str:
    return f"198.51.{number >> 8 & 255}.{number & 255}"


def attack(accounts: Accounts, count: int, start: int = 0, account: str = "100") -> list[Alarm]:
    alarms = [accounts.failed(failure(start + number, address(number), account=account)) for number in range(count)]
    return [alarm for alarm in alarms if alarm is not None]


def test_the_tenth_address_that_fails_on_one_account_raises_an_alarm_and_those_after_it_do_not() -> None:
    accounts = Accounts(SPREAD)

    assert not attack(accounts, 9)
    (alarm,) = attack(accounts, 300)
    assert alarm.fields["account"] == "100"
    assert alarm.fields["addresses"] == 10
    assert accounts.under_attack("100", 300)


def test_one_address_that_fails_often_is_no_attack_from_everywhere() -> None:
    accounts = Accounts(SPREAD)

    assert not any(accounts.failed(failure(at)) for at in range(1000))


def test_addresses_that_failed_long_ago_do_not_count() -> None:
    accounts = Accounts(SPREAD)

    assert not any(accounts.failed(failure(number * (HOUR // 9 + 1), address(number))) for number in range(1000))


def test_an_attack_ends_by_itself_and_the_next_one_is_told_again() -> None:
    accounts = Accounts(SPREAD)
    assert len(attack(accounts, 20)) == 1
    assert not accounts.under_attack("100", 2 * HOUR)

    assert len(attack(accounts, 20, start=2 * HOUR)) == 1


@pytest.mark.parametrize("account", ["", "<unknown>"])
def test_accounts_that_do_not_exist_are_not_watched(account: str) -> None:
    accounts = Accounts(SPREAD)

    assert not attack(accounts, 100, account=account)
    assert not any(
        accounts.failed(failure(number, address(number), account="admin", reason=Reason.UNKNOWN_ACCOUNT))
        for number in range(100)
    )
    assert len(accounts) == 0


def test_the_alarm_tells_how_many_addresses_are_proven() -> None:
    accounts = Accounts(SPREAD)
    evidences = [Evidence.CONNECTED] * 3 + [Evidence.DATAGRAM] * 7
    alarms = [accounts.failed(failure(at, address(at), evidence=evidence)) for at, evidence in enumerate(evidences)]

    assert alarms[-1] is not None
    assert alarms[-1].fields["proven"] == 3


def test_an_account_under_attack_can_have_a_maxretry_of_its_own() -> None:
    spread = Spread(addresses=10, findtime=HOUR, maxretry=2)
    rules = Rulebook(Policy(5, 600_000, HOUR, HOUR, spread=spread))
    for number in range(10):
        rules.failed(failure(number, address(number)))

    assert not rules.failed(failure(20, "192.0.2.9", account="101"))
    assert not rules.failed(failure(21, "192.0.2.9", account="101"))
    assert rules.failed(failure(22, "192.0.2.9")), "two failures before, and this one is on the attacked account"
    assert not rules.failed(failure(23, "192.0.2.8"))
    assert rules.failed(failure(24, "192.0.2.8"))


def test_names_without_end_cost_a_fixed_amount_and_hide_no_attack() -> None:
    accounts = Accounts(SPREAD)
    assert not attack(accounts, 9)
    for number in range(3 * CAPACITY):
        accounts.failed(failure(10, address(number), account=f"name{number}"))
        assert len(accounts) <= CAPACITY

    assert len(attack(accounts, 10, start=20)) == 1
