"""How long is waited between tries."""

from __future__ import annotations

from amiguard.retry import Retry


def test_waits_double_up_to_the_longest_and_half_of_each_is_left_to_chance() -> None:
    retry = Retry(1.0, 5.0)

    for ceiling in (1.0, 2.0, 4.0, 5.0, 5.0):
        assert ceiling / 2 <= retry.next() <= ceiling


def test_after_a_success_waits_are_short_again() -> None:
    retry = Retry(1.0, 60.0)
    for _ in range(9):
        retry.next()
    retry.reset()

    assert retry.next() <= 1.0


def test_two_that_fail_at_once_do_not_come_back_at_once() -> None:
    one, other = Retry(1.0, 60.0), Retry(1.0, 60.0)

    assert [one.next() for _ in range(5)] != [other.next() for _ in range(5)]
