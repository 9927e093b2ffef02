"""A phone that was never known and fails where others are known; who hides behind it; and what is forged there."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from amiguard.asterisk.schema import SecurityEvent
from amiguard.journal import Action
from amiguard.model import IMMEDIATE, Address, Ban, Evidence, Phone, Reason, Target
from amiguard.policy import DAY, NetworkBans, Policy, Scan, Slow, Spread
from amiguard.presence import LIFETIME
from amiguard.rules.rulebook import Rulebook
from amiguard.rules.verdict import Alarm
from tests.lab.failures import failure

OFFICE = Address(Target("192.0.2.1"))
PHONES = [str(number) for number in range(7001, 7050)]
NEW = "7050"
SECOND, MINUTE, HOUR = 1000, 60_000, 3_600_000
WEEK = 7 * DAY
POLICY = Policy(
    5, 10 * MINUTE, 5 * DAY, HOUR, Slow(20, WEEK), Scan(100, 10, HOUR), Spread(10, HOUR, 3),
    NetworkBans(3, 3), compromise=3, protected_maxretry=50,
)  # fmt: skip
"""The defaults, and what is off by default: nothing of it may ban an office."""

DATAGRAM, CONNECTED = Evidence.DATAGRAM, Evidence.CONNECTED
EVIDENCE = pytest.mark.parametrize("evidence", [DATAGRAM, CONNECTED])


def office(policy: Policy = POLICY) -> Rulebook:
    rules = Rulebook(policy)
    registers(rules, 0)
    return rules


def registers(rules: Rulebook, now: int) -> None:
    for account in PHONES:
        rules.presence.learn(Phone(OFFICE, account, now + LIFETIME), now)


def fails(
    rules: Rulebook, account: str, times: int, *, at: int = 0, step: int = SECOND, evidence: Evidence = DATAGRAM
) -> list[Ban | Alarm]:
    return [
        verdict
        for number in range(times)
        for verdict in rules.failed(failure(at + number * step, OFFICE, account=account, evidence=evidence))
    ]


def bans(verdicts: list[Ban | Alarm]) -> list[Ban]:
    return [verdict for verdict in verdicts if isinstance(verdict, Ban)]


def retries(
    rules: Rulebook, days: int, every: int, evidence: Evidence, reason: Reason = Reason.WRONG_PASSWORD
) -> Iterator[Ban | Alarm]:
    """Let the new phone try again and again, and the others register every hour."""
    for now in range(0, days * DAY, every):
        if now % HOUR < every:
            registers(rules, now)
        yield from rules.failed(failure(now, OFFICE, account=NEW, evidence=evidence, reason=reason))


@EVIDENCE
@pytest.mark.parametrize("every", [15 * SECOND, 20 * SECOND, 37 * SECOND, 60 * SECOND, 5 * MINUTE, HOUR])
def test_a_phone_that_never_could_log_in_tries_for_ever_and_the_administrator_is_told_once_a_day(
    every: int, evidence: Evidence
) -> None:
    verdicts = list(retries(office(), 8, every, evidence))

    assert {verdict.action for verdict in verdicts if isinstance(verdict, Alarm)} == {Action.PHONE_FAILING}
    assert len(verdicts) in {7, 8}, "one alert a day, and nothing else"


def test_so_does_one_whose_account_was_deleted() -> None:
    verdicts = list(retries(office(), 8, 30 * SECOND, DATAGRAM, reason=Reason.UNKNOWN_ACCOUNT))

    assert not bans(verdicts)


def test_a_long_findtime_does_not_turn_its_patience_into_an_attack() -> None:
    policy = Policy(5, DAY, DAY, DAY, Slow(20, WEEK), protected_maxretry=50)

    assert not bans(list(retries(office(policy), 3, 20 * SECOND, CONNECTED)))


@EVIDENCE
def test_who_guesses_one_account_faster_than_a_phone_tries_again_is_banned(evidence: Evidence) -> None:
    (last,) = bans(fails(office(), NEW, 50, evidence=evidence))

    assert (last.target, last.failures, last.accounts, last.evidence) == (OFFICE, 50, (NEW,), evidence)
    assert last.until == last.since + (HOUR if evidence is DATAGRAM else 5 * DAY)


def test_the_same_phone_where_nobody_else_is_known_is_banned_as_anybody() -> None:
    rules = Rulebook(POLICY)

    (ban,) = bans(fails(rules, NEW, 5))
    assert ban.failures == 5


def test_who_fails_on_other_accounts_over_a_connection_is_banned_as_anywhere() -> None:
    rules = office()
    assert not bans(fails(rules, NEW, 60, step=20 * SECOND))

    (ban,) = bans(fails(rules, "6001", 5, at=1200 * SECOND, evidence=CONNECTED))
    assert (ban.failures, ban.evidence, ban.accounts) == (5, CONNECTED, ("6001",))


def test_who_fails_on_one_other_account_by_datagrams_is_banned_by_the_long_window() -> None:
    rules = office()
    assert not bans(fails(rules, NEW, 40, step=20 * SECOND))

    assert not bans(fails(rules, "6001", 19, at=800 * SECOND))
    (ban,) = bans(fails(rules, "6001", 1, at=820 * SECOND))
    assert (ban.failures, ban.evidence, ban.until) == (20, DATAGRAM, ban.since + HOUR)


def test_without_the_long_window_it_is_the_higher_threshold() -> None:
    rules = office(Policy(5, 10 * MINUTE, DAY, HOUR, protected_maxretry=50))
    assert not bans(fails(rules, NEW, 60, step=20 * SECOND))

    assert not bans(fails(rules, "6001", 49, at=1200 * SECOND))
    (ban,) = bans(fails(rules, "6001", 1, at=1250 * SECOND))
    assert (ban.failures, ban.evidence) == (50, DATAGRAM)


@EVIDENCE
def test_who_tries_one_password_for_each_of_many_accounts_is_banned(evidence: Evidence) -> None:
    rules = office()

    tried = 0
    while not bans(fails(rules, f"60{tried}", 1, at=tried, evidence=evidence)):
        tried += 1
    assert tried + 1 == (6 if evidence is CONNECTED else 10), "the first account may be a phone; then 5, or 10 names"


def test_who_alternates_between_two_accounts_hides_one_half() -> None:
    rules = office()

    failures = 0
    while not bans(fails(rules, ("6001", "6002")[failures % 2], 1, at=failures, evidence=CONNECTED)):
        failures += 1
    assert failures + 1 == 10


def test_a_second_phone_that_fails_a_few_times_bans_nobody_and_hides_the_first_not() -> None:
    rules = office()
    verdicts = fails(rules, NEW, 40, step=20 * SECOND, evidence=CONNECTED)
    verdicts += fails(rules, "7051", 4, at=100 * SECOND, evidence=CONNECTED)
    verdicts += fails(rules, NEW, 40, at=800 * SECOND, step=20 * SECOND, evidence=CONNECTED)

    assert not bans(verdicts)


def test_when_it_is_mended_the_next_one_is_a_newcomer() -> None:
    rules = office()
    fails(rules, NEW, 40, step=20 * SECOND, evidence=CONNECTED)
    rules.presence.learn(Phone(OFFICE, NEW, 800 * SECOND + LIFETIME), 800 * SECOND)

    assert not bans(fails(rules, "7051", 40, at=800 * SECOND, step=20 * SECOND, evidence=CONNECTED))


@pytest.mark.parametrize("accounts", [["x"] * 5, ["a", "b", "c", "d", "e"]], ids=["one account", "five accounts"])
@EVIDENCE
def test_five_forged_failures_ban_no_office_not_even_one_whose_new_phone_fails(
    accounts: list[str], evidence: Evidence
) -> None:
    rules = office()
    verdicts: list[Ban | Alarm] = []
    for number, account in enumerate(accounts):
        verdicts += fails(rules, account, 1, at=number)

    verdicts += fails(rules, NEW, 400, at=SECOND, step=20 * SECOND, evidence=evidence)
    assert not bans(verdicts)


def test_one_forged_failure_that_carries_header_lines_bans_no_office() -> None:
    rules = office()
    tampered = failure(0, OFFICE, reason=Reason.INJECTION, weight=IMMEDIATE)

    assert not bans([*rules.failed(tampered)])
    assert bans([*rules.failed(tampered._replace(evidence=CONNECTED))])


def test_the_first_login_of_a_new_phone_is_told_for_it_may_have_been_a_guesser() -> None:
    rules = office()
    fails(rules, NEW, 40, step=20 * SECOND)
    login = SecurityEvent("SuccessfulAuth", "PJSIP", OFFICE, 5062, "UDP", NEW, "call", using_password=True)

    (alarm,) = rules.logged_in(login, 800 * SECOND)
    assert isinstance(alarm, Alarm)
    assert alarm.action is Action.SUSPECTED_COMPROMISE


@pytest.mark.parametrize("service", ["AMI", "IAX2"])
def test_who_fails_at_the_managers_port_is_no_phone(service: str) -> None:
    rules = office()
    guess = failure(0, OFFICE, account="admin", evidence=CONNECTED)._replace(service=service)

    assert bans([verdict for _ in range(5) for verdict in rules.failed(guess)])


def test_an_unban_starts_all_counts_anew() -> None:
    rules = office()
    for _ in range(3):
        assert not bans(fails(rules, NEW, 49, step=1))
        assert not bans(fails(rules, "6001", 19, step=1))
        rules.forget(OFFICE)


def test_the_log_tells_how_many_count_beside_a_failure() -> None:
    rules = office()
    told_of = [(NEW, DATAGRAM), (NEW, DATAGRAM), ("6001", DATAGRAM), ("6002", CONNECTED), ("6003", CONNECTED)]
    counts = []
    for account, evidence in told_of:
        told = failure(0, OFFICE, account=account, evidence=evidence)
        rules.failed(told)
        counts.append(rules.failures(told))

    assert counts == [1, 2, 1, 3, 1]
