from __future__ import annotations

from amiguard.history import MAX_TIMES, History
from amiguard.model import Ban, Reason, Target
from amiguard.policy import RECIDIVE_FINDTIME

ONE = Target("192.0.2.1")


def ban(since: int, target: str = ONE) -> Ban:
    return Ban(Target(target), since, None, Reason.ACL)


def test_it_tells_how_often_somebody_was_banned_and_how_often_of_late() -> None:
    history = History(10)
    history.keep_times = True
    for since in (0, 10, RECIDIVE_FINDTIME):
        history.add(ban(since))

    assert history.earlier(ONE) == 3
    assert [history.recent(ONE, RECIDIVE_FINDTIME + later) for later in (0, 1, 11)] == [3, 2, 1]
    assert history.earlier(Target("192.0.2.2")) == history.recent(Target("192.0.2.2"), 0) == 0


def test_what_a_store_remembers_counts_and_a_running_ban_tells_its_own_time() -> None:
    history = History(10)
    history.keep_times = True
    history.adopt({ONE: 3, Target("192.0.2.2"): 1}, {ONE: (5, 6)}, [ban(7, "192.0.2.2"), ban(6)])

    assert (history.earlier(ONE), history.recent(ONE, 10)) == (3, 2)
    assert history.recent(Target("192.0.2.2"), 10) == 1


def test_times_take_no_memory_where_nobody_asks_for_them() -> None:
    history = History(10)
    history.adopt({ONE: 3}, {ONE: (5, 6)}, [])
    history.add(ban(7))

    assert (history.earlier(ONE), history.recent(ONE, 10)) == (4, 0)


def test_its_memory_is_bounded() -> None:
    history = History(5_000)
    history.keep_times = True
    for number in range(20_000):
        history.add(ban(number, str(number % 10_000)))
        assert len(history) <= 5_000
    for since in range(100):
        history.add(ban(since))

    assert history.earlier(Target("9999")) >= 1
    assert history.recent(ONE, 99) == MAX_TIMES
