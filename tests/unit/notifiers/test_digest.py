from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from amiguard.model import Drops, Reason
from amiguard.notifiers.digest import LOCATED, NAMES, ROWS, SHORTEST, TOP, Digest
from tests.smtp.mailing import NOW, ban

INTERVAL = 300_000


def test_the_first_ban_is_told_at_once_and_the_next_waits_for_the_rest_of_the_interval() -> None:
    digest = Digest(INTERVAL)
    assert digest.at_once(NOW)
    assert not digest.at_once(NOW + 1000)
    digest.add(ban())
    assert digest.wait(NOW + 1000) == INTERVAL - 1000
    assert digest.wait(NOW + INTERVAL) == 0


def test_a_digest_starts_the_next_interval() -> None:
    digest = Digest(INTERVAL)
    assert digest.at_once(NOW)
    digest.add(ban())
    summary = digest.take(NOW + INTERVAL)
    assert summary is not None
    assert (summary.since, summary.until, summary.count) == (NOW, NOW + INTERVAL, 1)
    assert not digest.at_once(NOW + 2 * INTERVAL - 1)
    assert digest.at_once(NOW + 2 * INTERVAL)


def test_after_a_quiet_interval_a_ban_is_told_at_once_again() -> None:
    digest = Digest(INTERVAL)
    assert digest.at_once(NOW)
    assert digest.wait(NOW + INTERVAL) is None
    assert digest.take(NOW + INTERVAL) is None
    assert digest.at_once(NOW + INTERVAL)


def test_nothing_is_told_at_once_while_a_digest_is_overdue() -> None:
    digest = Digest(INTERVAL)
    assert digest.at_once(NOW)
    digest.add(ban())
    assert not digest.at_once(NOW + 10 * INTERVAL)


def test_an_interval_of_nothing_still_gathers() -> None:
    digest = Digest(0)
    assert digest.at_once(NOW)
    assert not digest.at_once(NOW + SHORTEST - 1)


def test_a_digest_counts_everything_but_holds_little() -> None:
    digest = Digest(INTERVAL)
    for number in range(3 * NAMES):
        names = ("admin", *(f"{number}-{i}" + "x" * 300 for i in range(20)))
        digest.add(ban(f"10.0.{number // 256}.{number % 256}", reason=Reason.ACL, accounts=names))
    assert len(digest._accounts) == NAMES
    assert max(map(len, digest._accounts)) <= 257
    summary = digest.take(NOW)
    assert summary is not None
    assert (summary.count, len(summary.bans), summary.unlisted) == (3 * NAMES, ROWS, 3 * NAMES - ROWS)
    assert summary.reasons == ((Reason.ACL, 3 * NAMES),)
    assert summary.accounts[0] == ("admin", 3 * NAMES)
    assert len(summary.accounts) == TOP


@given(st.lists(st.integers(0, 2500), max_size=60))
def test_every_ban_is_told_exactly_once_and_no_two_mails_come_within_an_interval(gaps: list[int]) -> None:
    digest, now, told, mails = Digest(1000), NOW, 0, []
    for gap in gaps:
        due = digest.wait(now)
        if due is not None and due <= gap and (summary := digest.take(now + due)):
            told += summary.count
            mails.append(now + due)
        now += gap
        if digest.at_once(now):
            told += 1
            mails.append(now)
        else:
            digest.add(ban())
    rest = digest.take(now + 1000)
    assert told + (rest.count if rest else 0) == len(gaps)
    assert all(later - earlier >= 1000 for earlier, later in pairwise(mails))


def test_a_digest_names_the_worst_and_keeps_some_targets() -> None:
    digest = Digest(INTERVAL)
    for number in range(2 * LOCATED):
        digest.add(ban(f"10.0.{number // 256}.{number % 256}", failures=number % 500))
    summary = digest.take(NOW)

    assert summary is not None
    assert [one.failures for one in summary.top] == [499] * 4 + [498] * 4 + [497] * 2
    assert summary.top[0].target == "10.0.1.243"
    assert len(summary.top) == TOP
    assert len(summary.targets) == LOCATED


def test_a_digest_tells_what_was_dropped_since_the_one_before() -> None:
    digest = Digest(INTERVAL)
    assert digest.at_once(NOW, Drops(10, 600))
    digest.add(ban(), Drops(15, 900))
    first = digest.take(NOW + INTERVAL)
    digest.add(ban(), Drops(115, 6900))
    second = digest.take(NOW + 2 * INTERVAL)
    digest.add(ban(), Drops(7, 420))  # the table was made anew
    third = digest.take(NOW + 3 * INTERVAL)

    assert [summary and summary.dropped for summary in (first, second, third)] == [
        Drops(5, 300),
        Drops(100, 6000),
        Drops(7, 420),
    ]
