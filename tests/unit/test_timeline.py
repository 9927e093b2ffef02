"""What happened over the last day: kept, restored, bounded."""

from __future__ import annotations

from amiguard.judge import Counters
from amiguard.model import MINUTE, MINUTES, Minute
from amiguard.timeline import Timeline

NOW = 1_800_000_000_000


def test_a_day_of_minutes_is_kept_and_no_more() -> None:
    counted, told = Counters(), set[int]()
    timeline = Timeline(counted, lambda minute: told.add(minute.place))
    for minute in range(2 * MINUTES):
        counted.failures += 2
        counted.bans += 1
        timeline.note(NOW + minute * MINUTE)
        counted.failures += 1
        timeline.note(NOW + minute * MINUTE + 10_000)

    end = NOW + (2 * MINUTES - 1) * MINUTE
    minutes = timeline.minutes(end)
    assert [minute.at for minute in minutes] == [end - MINUTE * ago for ago in reversed(range(MINUTES))]
    assert {(minute.failures, minute.bans) for minute in minutes} == {(3, 1)}
    assert told == set(range(MINUTES))
    assert timeline.minutes(end + MINUTES * MINUTE) == []


def test_each_minute_that_changed_is_told_as_a_whole_and_only_then() -> None:
    counted, told = Counters(), list[Minute]()
    timeline = Timeline(counted, told.append)
    timeline.note(NOW)
    counted.failures = 2
    timeline.note(NOW)
    timeline.note(NOW)
    counted.failures, counted.bans = 5, 1
    timeline.note(NOW + 1)

    assert told == [Minute(NOW, 2, 0), Minute(NOW, 5, 1)]


def test_what_a_store_remembers_comes_first_and_the_same_minute_adds_up() -> None:
    counted, told = Counters(failures=3), list[Minute]()
    timeline = Timeline(counted, told.append)
    timeline.note(NOW)
    earlier = [Minute(NOW - 5 * MINUTE, 7, 1), Minute(NOW, 1, 1), Minute(NOW + MINUTE, 9, 9)]
    timeline.restore(earlier, NOW)

    assert timeline.minutes(NOW) == [Minute(NOW - 5 * MINUTE, 7, 1), Minute(NOW, 4, 1)]
    assert told == [Minute(NOW, 3, 0), Minute(NOW, 4, 1)]


def test_a_store_that_tells_of_the_day_before_changes_nothing_of_today() -> None:
    counted = Counters(failures=3)
    timeline = Timeline(counted)
    timeline.note(NOW)
    timeline.restore([Minute(NOW - MINUTES * MINUTE, 8, 8)], NOW)

    assert timeline.minutes(NOW) == [Minute(NOW, 3, 0)]
