"""Waits grow, stay within their bounds, and differ from daemon to daemon."""

from __future__ import annotations

from amiguard.sources.backoff import Backoff


def test_waits_stay_below_a_ceiling_that_doubles_up_to_the_highest() -> None:
    backoff = Backoff(0.5, 30)
    for ceiling in (1, 2, 4, 8, 16, 30, 30, 30):
        assert 0.5 <= backoff.next() <= ceiling


def test_waits_are_short_again_after_a_success() -> None:
    backoff = Backoff(0.5, 30)
    for _ in range(10):
        backoff.next()
    backoff.reset()
    assert backoff.next() <= 1


def test_two_daemons_do_not_wait_equally_long() -> None:
    one, other = Backoff(0.5, 30), Backoff(0.5, 30)
    assert [one.next() for _ in range(8)] != [other.next() for _ in range(8)]
