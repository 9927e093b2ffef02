"""The page with many bans, with names that are made to disturb, and while the daemon restarts under it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Locator, Page, expect

from amiguard.model import Target
from tests.browser.conftest import PORT, Screen, browsing, opened
from tests.lab.guessing import attacker, attempt
from tests.lab.stage import Stage, stage
from tests.lab.waiting import until

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

CROWD = 1_300
SAME = 4
"""Seconds of uptime after which no other daemon is taken for this one."""

FIRST, LATE, NAMED = "198.18.200.1", "198.18.200.2", "198.18.200.3"
ADDRESS = Target("2001:db8:1234:5678:9abc:def0:1234:5678")
NAMES = ("\u05d0\u05d1\u05d2", "100", "\u0645\u0631\u062d\u0628\u0627", "\u202egnp", "x" * 250)
"""Hebrew, digits, Arabic, what would turn all that follows around, and as much as is kept."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place() -> AsyncIterator[Stage]:
    """The daemon, with many attackers banned."""
    async with stage(BANTIME="1h", HTTP_LISTEN=f"127.0.0.1:{PORT}") as place:
        daemon = await place.site.up()
        await guess(place, FIRST, "needle")
        await daemon.told("ban")
        await place.guess(*map(attacker, range(CROWD)), times=5)
        await daemon.told("ban", CROWD + 1)
        yield place


async def guess(place: Stage, address: str, *names: str) -> None:
    """Let an attacker try so many passwords that he is banned, for these accounts in turn."""
    tries = (names * 5)[:5]
    await place.server.play(
        b"".join(attempt(address).replace(b"AccountID: 6001", f"AccountID: {name}".encode()) for name in tries)
    )


def rows(page: Page) -> Locator:
    return page.locator("#rows tr")


async def test_rows_that_were_asked_for_stay_when_somebody_else_is_banned(screen: Screen, place: Stage) -> None:
    page = screen.page
    await expect(rows(page)).to_have_count(200)
    await page.get_by_role("button", name="Show more").click()
    await expect(rows(page)).to_have_count(400)

    await guess(place, LATE, "6001")

    await expect(rows(page).first).to_contain_text(LATE)
    await expect(rows(page)).to_have_count(400)


async def test_a_search_looks_through_all_bans_and_what_it_found_can_be_unbanned(screen: Screen) -> None:
    page = screen.page
    search = page.get_by_role("searchbox")
    await search.fill("NEEDLE")

    await expect(rows(page)).to_have_count(1)
    await page.get_by_role("button", name=f"Unban {FIRST}").click()
    await page.get_by_role("dialog").get_by_role("button", name="Unban").click()

    await expect(rows(page)).to_have_count(0)
    await expect(page.locator("#none")).to_have_text("Nobody of whom this is true.")
    await expect(page.locator("#said")).to_have_text("0 found")
    await search.fill("")
    await expect(rows(page)).to_have_count(200)


@pytest.mark.parametrize("width", [320, 1200])
async def test_names_that_are_made_to_disturb_take_little_room_and_move_nothing_else(
    browser: Browser, place: Stage, width: int
) -> None:
    await guess(place, NAMED, *NAMES)
    await place.site.lives[-1].control.ban(ADDRESS, None, "x" * 256)
    screen = await opened(browser, viewport={"width": width, "height": 800})
    page = screen.page
    named = rows(page).filter(has_text=NAMED)
    await expect(named).to_contain_text("\\u{202e}gnp")
    await expect(page.locator("#events")).to_contain_text("\\u{202e}gnp")

    assert await page.evaluate("document.documentElement.scrollWidth") == width
    card = page.locator("#bans")
    assert await card.evaluate("card => card.scrollWidth <= card.clientWidth")
    for row in (named, rows(page).filter(has_text=ADDRESS)):
        await until(partial(lower_than, row, 260), what="a low row: while it is drawn anew it has no height")
    title = await named.locator(".names").get_attribute("title")
    assert title == ", ".join((*NAMES[:3], "\\u{202e}gnp", NAMES[4]))
    lefts = await named.locator("bdi").evaluate_all("all => all.map(name => name.getBoundingClientRect().left)")
    assert lefts[:3] == sorted(lefts[:3])
    tall = "list => Math.max(...[...list.children].map(line => line.getBoundingClientRect().height))"
    assert await page.locator("#events").evaluate(tall) < 200
    assert await screen.harmless()
    await page.context.close()


async def lower_than(row: Locator, height: float) -> bool:
    box = await row.bounding_box()
    return box is not None and box["height"] < height


async def test_the_page_goes_on_when_the_daemon_was_killed_under_it(screen: Screen, place: Stage) -> None:
    page = screen.page
    place.site.lives[-1].kill()
    await expect(page.locator("#state")).to_have_text("not reachable", timeout=20_000)

    daemon = await place.site.up()

    await expect(page.locator("#state")).to_have_text("protecting", timeout=20_000)
    await expect(page.locator("#failures-day")).not_to_have_text("0")
    await guess(place, "198.18.200.9", "6001")
    await until(lambda: "198.18.200.9" in daemon.banned(), what="the ban")
    await expect(page.locator("#events")).to_contain_text("198.18.200.9 is banned", timeout=40_000)
    await expect(rows(page).first).to_contain_text("198.18.200.9")
    assert all("ERR_CONNECTION_REFUSED" in one or "ERR_INCOMPLETE" in one for one in screen.complaints)
    screen.complaints.clear()


async def test_no_line_of_another_life_is_missed_although_it_counts_anew(program: Path) -> None:
    async with stage(HTTP_LISTEN=f"127.0.0.1:{PORT}") as other, browsing(other, program) as browser:
        await (await other.site.up()).told("ami-connected")
        screen = await opened(browser)
        events = screen.page.locator("#events")
        await expect(events).to_contain_text("ami-connected")
        await screen.page.route("**/api/v1/events", lambda route: route.abort())

        async def old_enough() -> bool:
            return bool((await other.site.lives[0].status())["uptime"] >= SAME)

        await until(old_enough, what="a life that can be told from the next one")
        other.site.lives[0].kill()
        daemon = await other.site.up()
        await guess(other, FIRST, "needle")
        await daemon.told("ban")
        await other.guess(*map(attacker, range(5)), times=5)
        await daemon.told("ban", 6)
        assert len(daemon.lines()) > 2 * len(other.site.lives[0].lines())
        await screen.page.unroute("**/api/v1/events")

        await expect(events).to_contain_text(f"{FIRST} is banned", timeout=40_000)
        assert await events.get_by_text("ami-connected").count() == 2
