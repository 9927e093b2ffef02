from __future__ import annotations

from amiguard.journal import Action
from amiguard.outages import PATIENCE, Outages
from amiguard.ports import Notice, NoticeKind
from tests.lab.sources import FixedSource
from tests.lab.waiting import until
from tests.lab.world import World

NOW = 1_000_000


def status(*, up: bool, name: str = "ami") -> dict[str, object]:
    return {"name": name, "where": "127.0.0.1:5038", "up": up, "error": "" if up else "refused"}


def told(outages: Outages, at: int, *statuses: dict[str, object]) -> list[tuple[Action, str]]:
    return outages.look(statuses, at)


def test_a_source_that_is_back_within_a_minute_is_not_told() -> None:
    outages = Outages()

    assert told(outages, NOW, status(up=False)) == []
    assert told(outages, NOW + PATIENCE, status(up=False)) == []
    assert told(outages, NOW + PATIENCE, status(up=True)) == []
    assert told(outages, NOW + PATIENCE + 1, status(up=False)) == []


def test_a_source_that_was_configured_away_while_it_was_lost_is_not_held_lost_ever_since() -> None:
    outages = Outages()
    told(outages, NOW, status(up=False))
    told(outages, NOW + 1)

    assert told(outages, NOW + 9 * PATIENCE, status(up=False)) == []


def test_a_source_that_was_configured_away_after_its_loss_was_told_is_told_anew_when_it_is_lost_again() -> None:
    outages = Outages()
    told(outages, NOW, status(up=False))
    assert told(outages, NOW + PATIENCE + 1, status(up=False))
    told(outages, NOW + PATIENCE + 2)

    assert told(outages, NOW + 2 * PATIENCE, status(up=False)) == []
    assert told(outages, NOW + 3 * PATIENCE + 1, status(up=False))


def test_a_source_lost_for_more_than_a_minute_is_told_once_and_once_when_it_is_back() -> None:
    outages = Outages()
    told(outages, NOW, status(up=True))
    told(outages, NOW + 1, status(up=False))

    lost = told(outages, NOW + PATIENCE + 2, status(up=False))
    assert lost == [(Action.AMI_LOST, "no events from 127.0.0.1:5038 for more than a minute: refused")]
    assert told(outages, NOW + 2 * PATIENCE, status(up=False)) == []
    back = told(outages, NOW + 2 * PATIENCE + 1, status(up=True))
    assert back == [(Action.AMI_CONNECTED, "events from 127.0.0.1:5038 again, after 120 s without")]
    assert told(outages, NOW + 9 * PATIENCE, status(up=True)) == []


def test_each_source_counts_for_itself() -> None:
    outages = Outages()
    told(outages, NOW, status(up=False), status(up=True, name="log"))

    alerts = told(outages, NOW + PATIENCE + 1, status(up=False), status(up=False, name="log"))
    assert [action for action, _ in alerts] == [Action.AMI_LOST]
    alerts = told(outages, NOW + 2 * PATIENCE + 2, status(up=True), status(up=False, name="log"))
    assert [action for action, _ in alerts] == [Action.AMI_CONNECTED, Action.LOG_LOST]


async def test_the_guard_posts_an_alert_for_a_lost_source() -> None:
    world = World()
    async with world.running() as guard:
        guard.sources.append(FixedSource(status(up=False)))
        await until(lambda: bool(guard._outages._since), 30, "the first look")
        world.now += PATIENCE + 1
        await until(lambda: bool(world.notifier.notices), 30, "an alert")

    (notice,) = world.notifier.notices
    assert notice == Notice(
        NoticeKind.ALERT,
        world.now,
        text="no events from 127.0.0.1:5038 for more than a minute: refused",
        action=Action.AMI_LOST,
    )
