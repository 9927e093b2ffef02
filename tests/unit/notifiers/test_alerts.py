from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from amiguard.journal import Action
from amiguard.notifiers.alerts import TEXT_LIMIT, TEXTS, Alert, Alerts
from amiguard.ports import Notice, NoticeKind
from tests.smtp.mailing import NOW

INTERVAL = 300_000


def alert(text: str = "x", action: Action | None = Action.AMI_LOST) -> Notice:
    return Notice(NoticeKind.ALERT, NOW, text=text, action=action)


def test_the_first_alert_of_each_action_is_told_at_once() -> None:
    alerts = Alerts(INTERVAL)

    assert alerts.at_once(alert("gone"), NOW) == Alert(Action.AMI_LOST, NOW, ("gone",))
    assert alerts.at_once(alert("back", Action.AMI_CONNECTED), NOW) is not None
    assert alerts.at_once(alert("gone"), NOW + INTERVAL - 1) is None
    assert alerts.wait(NOW) is None


def test_what_follows_within_the_interval_is_told_together_at_its_end() -> None:
    alerts = Alerts(INTERVAL)
    assert alerts.at_once(alert(), NOW)
    for number in range(TEXTS + 5):
        alerts.add(alert(f"{number}" * 2000), NOW + 1000)

    assert alerts.wait(NOW + 1000) == INTERVAL - 1000
    assert alerts.take(NOW + INTERVAL - 1) == []
    (told,) = alerts.take(NOW + INTERVAL)
    assert (told.count, told.untold, told.texts[0]) == (TEXTS + 5, 5, "0" * TEXT_LIMIT)
    assert alerts.at_once(alert(), NOW + 2 * INTERVAL - 1) is None
    assert alerts.at_once(alert(), NOW + 2 * INTERVAL) is not None


def test_at_a_stop_all_that_was_gathered_is_told() -> None:
    alerts = Alerts(INTERVAL)
    assert alerts.at_once(alert(), NOW)
    alerts.add(alert("again"), NOW)

    assert alerts.take(NOW, early=True) == [Alert(Action.AMI_LOST, NOW, ("again",))]


@given(
    st.lists(st.tuples(st.integers(0, 2500), st.sampled_from([Action.AMI_LOST, Action.LOG_LOST, None])), max_size=60)
)
def test_every_alert_counts_once_and_no_two_of_an_action_are_told_within_an_interval(
    steps: list[tuple[int, Action | None]],
) -> None:
    alerts, now, told = Alerts(1000), NOW, list[tuple[int, Alert]]()
    for gap, action in steps:
        now += gap
        told += [(now, one) for one in alerts.take(now)]
        notice = alert(action=action)
        if one := alerts.at_once(notice, now):
            told.append((now, one))
        else:
            alerts.add(notice, now)
    told += [(now + 1000, one) for one in alerts.take(now + 1000)]

    assert sum(one.count for _, one in told) == len(steps)
    for action in (Action.AMI_LOST, Action.LOG_LOST, None):
        times = [at for at, one in told if one.action is action]
        assert all(later - earlier >= 1000 for earlier, later in pairwise(times))
