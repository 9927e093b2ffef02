"""The page of a node that is not alone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import expect

from amiguard.model import Target
from tests.browser.conftest import PORT, browsing, opened
from tests.browser.test_page import row, serious
from tests.lab.fleet import member
from tests.lab.redis import Redis
from tests.lab.stage import stage
from tests.lab.waiting import until

pytestmark = [pytest.mark.browser, pytest.mark.redis]


@pytest.fixture
async def redis(tmp_path: Path) -> AsyncIterator[Redis]:
    """A Redis that runs."""
    async with Redis(tmp_path) as server:
        yield server


async def test_who_is_in_the_fleet_who_told_of_a_ban_and_that_an_unban_is_everywhere_is_shown(
    redis: Redis, program: Path
) -> None:
    settings = {"HTTP_LISTEN": f"127.0.0.1:{PORT}", "REDIS_URL": redis.url, "FLEET_NODE": "pbx1"}
    async with member(redis.url, "pbx2") as other, stage(**settings) as place, browsing(place, program) as browser:
        await place.site.up()
        await until(lambda: other.up)
        await other.guard.administration.ban(Target("198.18.0.1"), None, "")
        await until(lambda: "198.18.0.1" in place.site.kernel(), what="the other node's ban")
        screen = await opened(browser, viewport={"width": 320, "height": 800})
        page = screen.page

        await expect(page.locator("#nodes")).to_contain_text("Redis")
        await expect(page.locator("#nodes")).to_contain_text("pbx1 (this one)")
        await expect(page.locator("#nodes .up")).to_have_count(1)
        await expect(row(page, "198.18.0.1")).to_contain_text("told by pbx2")
        assert await page.evaluate("document.documentElement.scrollWidth") == 320
        assert await serious(page) == []
        await row(page, "198.18.0.1").get_by_role("button", name="Unban").click()
        dialog = page.get_by_role("dialog")
        await expect(dialog).to_contain_text("on all nodes of the fleet")
        await dialog.get_by_role("button", name="Unban").click()
        await until(lambda: not other.drops("198.18.0.1"))

        await redis.end()
        await expect(page.locator("#nodes .down")).to_have_count(1, timeout=20_000)
        screen.complaints.clear()
        assert await screen.harmless()


async def test_a_node_that_is_alone_shows_no_fleet(program: Path) -> None:
    async with stage(HTTP_LISTEN=f"127.0.0.1:{PORT}") as place, browsing(place, program) as browser:
        await place.site.up()
        screen = await opened(browser)
        await expect(screen.page.locator("#state")).to_have_text("protecting")
        await expect(screen.page.locator("#fleet")).to_be_hidden()
