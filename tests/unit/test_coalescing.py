"""When what is done again and again is done."""

from __future__ import annotations

import pytest

from amiguard.coalescing import until_next


@pytest.mark.parametrize(
    ("period", "now", "left"), [(2.5, 0.0, 2.5), (2.5, 1.0, 1.5), (2.5, 2.5, 2.5), (5.0, 7.5, 2.5), (10.0, 7.5, 2.5)]
)
def test_the_next_time_is_a_multiple_of_the_period(period: float, now: float, left: float) -> None:
    assert until_next(period, now) == left
