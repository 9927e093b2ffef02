from __future__ import annotations

from amiguard.model import Ban, Evidence, Reason, Target
from amiguard.undeterred import BITES_AFTER, CAPACITY, FORGIVEN_AFTER, REPEATS, Undeterred

BAN = Ban(Target("192.0.2.1"), 0, None, Reason.WRONG_PASSWORD, evidence=Evidence.DATAGRAM, absolute=False)
STEP = BITES_AFTER + 1


def test_what_arrives_shortly_after_a_ban_was_on_its_way_before() -> None:
    assert Undeterred().failed(BAN, BITES_AFTER, Evidence.DATAGRAM) is None


def test_a_connection_makes_a_ban_absolute_at_once() -> None:
    escalated = Undeterred().failed(BAN, 1, Evidence.CONNECTED)

    assert escalated == BAN._replace(absolute=True, evidence=Evidence.CONNECTED)


def test_datagrams_make_a_ban_absolute_only_after_it_was_put_in_anew_three_times() -> None:
    undeterred = Undeterred()
    answers = [undeterred.failed(BAN, turn * STEP, Evidence.DATAGRAM) for turn in range(1, REPEATS + 2)]

    assert answers == [BAN] * REPEATS + [BAN._replace(absolute=True)]


def test_a_flood_of_datagrams_counts_no_faster_than_a_new_attempt_can_have_an_effect() -> None:
    undeterred = Undeterred()
    answers = [undeterred.failed(BAN, at, Evidence.DATAGRAM) for at in range(0, REPEATS * (STEP + 10), 10)]

    assert answers.count(BAN) == REPEATS
    assert answers.count(None) == len(answers) - REPEATS


def test_datagrams_now_and_then_never_make_a_ban_absolute() -> None:
    undeterred = Undeterred()
    answers = [undeterred.failed(BAN, turn * (FORGIVEN_AFTER + 1), Evidence.DATAGRAM) for turn in range(1, 100)]

    assert answers == [BAN] * 99


def test_what_was_counted_for_an_earlier_ban_does_not_count_for_the_next() -> None:
    undeterred = Undeterred()
    for turn in range(1, REPEATS + 1):
        undeterred.failed(BAN, turn * STEP, Evidence.DATAGRAM)
    later = BAN._replace(since=REPEATS * STEP + 1)

    assert undeterred.failed(later, later.since + STEP, Evidence.DATAGRAM) is later


def test_an_absolute_ban_is_put_in_anew_as_often_as_it_does_not_bite() -> None:
    absolute = BAN._replace(absolute=True)
    undeterred = Undeterred()

    for turn in range(1, 20):
        assert undeterred.failed(absolute, turn * STEP, Evidence.CONNECTED) is absolute
        assert undeterred.failed(absolute, turn * STEP + 1, Evidence.DATAGRAM) is None


def test_memory_is_bounded_and_whoever_failed_last_is_remembered() -> None:
    undeterred = Undeterred()
    for number in range(CAPACITY + 10):
        undeterred.failed(BAN._replace(target=Target(str(number))), STEP, Evidence.DATAGRAM)
    newest = BAN._replace(target=Target(str(CAPACITY + 9)))

    assert len(undeterred._known) == CAPACITY
    assert undeterred.failed(newest, STEP + 1, Evidence.DATAGRAM) is None
