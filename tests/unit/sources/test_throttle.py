"""A fault that repeats with every packet is told once a minute."""

from __future__ import annotations

from amiguard.journal import Action
from amiguard.sources.throttle import INTERVAL, ThrottledJournal
from tests.lab.journal import RecordingJournal


def test_only_the_first_line_of_an_interval_is_written_and_the_next_tells_how_many_were_not() -> None:
    now = 1_000
    written = RecordingJournal()
    journal = ThrottledJournal(written, lambda: now)
    for _ in range(500):
        journal.write(Action.AMI_UNREADABLE, "x", number=1)
    now += INTERVAL
    journal.write(Action.AMI_UNREADABLE, "y", number=2)
    assert written.lines == [
        (Action.AMI_UNREADABLE, "x", {"suppressed": 0, "number": 1}),
        (Action.AMI_UNREADABLE, "y", {"suppressed": 499, "number": 2}),
    ]


def test_each_action_has_its_own_interval() -> None:
    written = RecordingJournal()
    journal = ThrottledJournal(written, lambda: 0)
    journal.write(Action.AMI_UNREADABLE)
    journal.write(Action.OVERLOAD)
    assert [line.action for line in written.lines] == [Action.AMI_UNREADABLE, Action.OVERLOAD]
