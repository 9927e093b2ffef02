from __future__ import annotations

import pytest

from amiguard.model import Ban
from amiguard.policy import Policy, Slow
from amiguard.rules.rulebook import Rulebook
from tests.lab.failures import ATTACKER, failure

MINUTE = 60_000
WEEK = 7 * 24 * 60 * MINUTE
POLICY = Policy(5, 10 * MINUTE, WEEK, WEEK, slow=Slow(20, WEEK))


def attempts_until_banned(rules: Rulebook, apart: int, at_most: int = 1000) -> int | None:
    for number in range(at_most):
        if rules.failed(failure(number * apart)):
            return number + 1
    return None


@pytest.mark.parametrize("minutes", [11, 60, 8 * 60])
def test_who_guesses_too_slowly_for_findtime_is_banned_by_the_long_window(minutes: int) -> None:
    assert attempts_until_banned(Rulebook(POLICY), minutes * MINUTE) == 20


def test_who_guesses_more_slowly_than_the_long_window_is_not() -> None:
    assert attempts_until_banned(Rulebook(POLICY), WEEK // 19 + 1) is None


def test_without_the_rule_nobody_slow_is_banned() -> None:
    assert attempts_until_banned(Rulebook(Policy(5, 10 * MINUTE, WEEK, WEEK)), 11 * MINUTE) is None


def test_a_ban_by_either_window_begins_both_anew() -> None:
    rules = Rulebook(POLICY)
    for number in range(19):
        assert not rules.failed(failure(number * 11 * MINUTE))
    for number in range(4):
        verdicts = rules.failed(failure(19 * 11 * MINUTE + number))
        assert bool(verdicts) is (number == 0)
    assert rules.jail.failures(ATTACKER) == 3


def test_the_ban_tells_how_many_failures_led_to_it() -> None:
    rules = Rulebook(POLICY)
    verdicts = [rules.failed(failure(number * 11 * MINUTE)) for number in range(20)][-1]

    (ban,) = verdicts
    assert isinstance(ban, Ban)
    assert (ban.target, ban.failures, ban.until) == (ATTACKER, 20, 19 * 11 * MINUTE + WEEK)


def test_other_settings_keep_what_was_counted() -> None:
    rules = Rulebook(POLICY)
    for number in range(10):
        assert not rules.failed(failure(number * 11 * MINUTE))
    rules.reconfigure(Policy(5, 10 * MINUTE, WEEK, WEEK, slow=Slow(11, WEEK)))

    assert rules.failed(failure(110 * MINUTE))


def test_lower_and_higher_maxretry_keep_what_was_counted() -> None:
    rules = Rulebook(POLICY)
    for at in range(4):
        assert not rules.failed(failure(at))
    rules.reconfigure(Policy(7, 10 * MINUTE, WEEK, WEEK))
    assert not rules.failed(failure(4))
    assert not rules.failed(failure(5))
    assert rules.failed(failure(6))
