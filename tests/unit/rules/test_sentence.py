from __future__ import annotations

import pytest

from amiguard.jail import ban_of
from amiguard.model import Ban, Evidence
from amiguard.policy import WEEK, Policy, Repeat
from amiguard.rules.sentence import sentence
from tests.lab.failures import failure

HOUR = 3_600_000


def policy(repeat: Repeat, bantime: int | None = HOUR, unproven: int | None = HOUR) -> Policy:
    return Policy(5, 600_000, bantime, unproven, repeat=repeat)


def sentenced(by: Policy, *, earlier: int = 0, recent: int = 0, connected: bool = True, chance: int = 0) -> Ban:
    ban = ban_of(failure(1000), by, connected=connected, failures=5)
    return sentence(ban, by, earlier=earlier, recent=recent, chance=lambda most: min(chance, most - 1))


def lasts(ban: Ban) -> int | None:
    return None if ban.until is None else ban.until - ban.since


def test_without_increments_every_ban_is_as_long_as_the_first() -> None:
    assert {lasts(sentenced(policy(Repeat()), earlier=earlier, recent=earlier)) for earlier in range(50)} == {HOUR}


def test_each_earlier_ban_doubles_the_time_up_to_the_longest() -> None:
    by = policy(Repeat(increment=True, maxtime=24 * HOUR))

    assert [lasts(sentenced(by, earlier=earlier)) for earlier in range(7)] == [
        HOUR, 2 * HOUR, 4 * HOUR, 8 * HOUR, 16 * HOUR, 24 * HOUR, 24 * HOUR
    ]  # fmt: skip


def test_the_longest_time_shortens_no_ban() -> None:
    assert lasts(sentenced(policy(Repeat(increment=True, maxtime=1000)), earlier=5)) == HOUR


def test_a_permanent_bantime_stays_permanent() -> None:
    assert lasts(sentenced(policy(Repeat(increment=True), bantime=None, unproven=None), earlier=5)) is None


def test_a_ban_without_a_longest_time_grows_until_it_is_permanent() -> None:
    by = policy(Repeat(increment=True, maxtime=None))

    assert lasts(sentenced(by, earlier=10)) == 1024 * HOUR
    assert lasts(sentenced(by, earlier=10**9)) is None


@pytest.mark.parametrize(("recent", "expected"), [(0, HOUR), (1, HOUR), (2, None), (3, None)])
def test_the_third_ban_within_a_week_is_for_good_if_the_operator_wants_that(recent: int, expected: int | None) -> None:
    assert lasts(sentenced(policy(Repeat(recidive=3, maxtime=None)), earlier=9, recent=recent)) == expected


def test_the_third_ban_within_a_week_may_last_the_longest_time() -> None:
    assert lasts(sentenced(policy(Repeat(recidive=3, maxtime=5 * WEEK)), earlier=2, recent=2)) == 5 * WEEK


def test_unproven_offenders_do_not_grow_where_they_have_a_time_of_their_own() -> None:
    repeat = Repeat(increment=True, recidive=2, maxtime=None)

    assert lasts(sentenced(policy(repeat, unproven=60_000), earlier=5, recent=5, connected=False)) == 60_000
    assert lasts(sentenced(policy(repeat), earlier=5, recent=5, connected=False)) is None


def test_jitter_lengthens_a_ban_and_never_shortens_it() -> None:
    by = policy(Repeat(jitter=60_000))

    assert lasts(sentenced(by)) == HOUR
    assert lasts(sentenced(by, chance=12_345)) == HOUR + 12_345
    assert lasts(sentenced(by, chance=10**9)) == HOUR + 60_000


def test_the_ban_tells_of_the_earlier_ones() -> None:
    ban = sentenced(policy(Repeat()), earlier=7)

    assert (ban.earlier, ban.evidence) == (7, Evidence.CONNECTED)
