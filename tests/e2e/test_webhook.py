"""The whole daemon and a webhook: what is posted, and that a receiver that hangs delays no ban."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest

from amiguard.model import Target
from tests.lab.receiver import Receiver, receiving, speaking
from tests.lab.stage import Stage
from tests.lab.waiting import until

pytestmark = pytest.mark.netns

ATTACKER = "198.18.0.7"


async def test_start_ban_unban_and_stop_are_posted(place: Stage) -> None:
    async with AsyncExitStack() as stack:
        with place.namespace.entered():
            receiver = await stack.enter_async_context(receiving(Receiver()))
        place.site.settings |= {"WEBHOOK_URL": receiver.url, "WEBHOOK_SECRET": "canary"}
        daemon = await place.site.up()
        await place.guess(ATTACKER, times=5)
        await daemon.told("ban")
        await daemon.control.unban(Target(ATTACKER))
        await until(lambda: len(receiver.got) == 3)
        assert await daemon.stop() == 0

    assert [told["kind"] for told in receiver.told] == ["start", "ban", "unban", "stop"]
    assert receiver.told[1]["ban"]["address"] == receiver.told[2]["ban"]["address"] == ATTACKER
    assert all(posted.headers["webhook-signature"].startswith("v1,") for posted in receiver.got)
    assert daemon.lines("webhook-failed") == []


async def test_a_receiver_that_hangs_delays_neither_bans_nor_the_stop_for_long(place: Stage) -> None:
    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    async with AsyncExitStack() as stack:
        with place.namespace.entered():
            url = await stack.enter_async_context(speaking(hang))
        place.site.settings |= {"WEBHOOK_URL": url}
        daemon = await place.site.up()
        attackers = [f"198.18.1.{number}" for number in range(1, 101)]
        await place.guess(*attackers, times=5)
        await daemon.told("ban", 100)
        assert set(attackers) <= set(place.site.kernel())
        assert await daemon.stop() == 0

    assert daemon.lines("webhook-failed")[-1]["message"] == "amiguard ends; what waits is lost"
    alerts = daemon.lines("account-under-attack")
    assert daemon.lines("webhook-failed")[-1]["amiguard.count"] == len(["start", *attackers, *alerts[:1], "stop"])
