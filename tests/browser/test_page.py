"""The page, as an administrator uses it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Error, Locator, Page, expect

from amiguard.model import Target
from tests.browser.conftest import HOSTILE, PORT, Screen, browsing, opened
from tests.lab.guessing import attempt
from tests.lab.stage import Stage, stage
from tests.lab.waiting import until

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

BANNED = "198.18.0.1"
DATABASE = Path(__file__).parents[1] / "data/countries.mmdb"
TOKEN = "0123456789abcdef0123456789abcdef"


def row(page: Page, address: str) -> Locator:
    return page.locator("#rows tr", has=page.get_by_text(address, exact=True))


async def serious(page: Page) -> list[str]:
    """Return what axe-core finds serious or worse: WCAG 2 A and AA, and best practices."""
    found = (await Axe().run(page)).response["violations"]
    return [
        f"{one['id']}: {[node['html'] for node in one['nodes']]}"
        for one in found
        if one["impact"] in {"serious", "critical"}
    ]


async def test_who_is_banned_is_shown_with_all_that_is_known(screen: Screen) -> None:
    shown = row(screen.page, BANNED)

    await expect(shown).to_contain_text("wrong-password")
    await expect(shown).to_contain_text("5 failures")
    await expect(shown).to_contain_text("datagram")
    await expect(shown).to_contain_text("6001")
    await expect(shown).to_contain_text("min")
    await expect(screen.page.locator("#state")).to_have_text("protecting")
    await expect(screen.page.locator("#sources")).to_contain_text("ami")
    await expect(screen.page.locator("#plot svg")).to_have_attribute("aria-label", re.compile(r"failures, \d+ bans?"))
    await expect(screen.page.locator("#failures-day")).not_to_have_text("0")


async def test_what_happens_is_shown_as_it_happens(screen: Screen, place: Stage) -> None:
    await place.guess("198.18.0.2", times=5)

    await expect(screen.page.locator("#events")).to_contain_text("198.18.0.2 is banned")
    await expect(row(screen.page, "198.18.0.2")).to_be_visible()


async def test_a_ban_is_lifted_by_a_click_only_after_it_was_confirmed(screen: Screen, place: Stage) -> None:
    await place.guess("198.18.0.3", times=5)
    shown = row(screen.page, "198.18.0.3")

    await shown.get_by_role("button", name="Unban").click()
    await expect(screen.page.get_by_role("dialog")).to_contain_text("Unban 198.18.0.3?")
    await screen.page.get_by_role("button", name="Cancel").click()
    assert "198.18.0.3" in place.site.kernel()
    await shown.get_by_role("button", name="Unban").click()
    await screen.page.get_by_role("dialog").get_by_role("button", name="Unban").click()

    await expect(shown).to_have_count(0)
    await expect(screen.page.locator("#said")).to_have_text("198.18.0.3 is no longer banned")
    assert "198.18.0.3" not in place.site.kernel()


async def test_somebody_is_banned_and_a_mistake_is_told_in_the_dialog(screen: Screen, place: Stage) -> None:
    await screen.page.get_by_role("button", name="Ban …").click()
    dialog = screen.page.get_by_role("dialog")
    await dialog.get_by_label("Address or network").fill("nobody")
    await dialog.get_by_role("button", name="Ban").click()
    await expect(dialog.get_by_role("alert")).to_have_text("'nobody' is not an IP address")
    screen.complaints.clear()  # the browser tells every 4xx
    await dialog.get_by_label("Address or network").fill("198.18.0.4")
    await dialog.get_by_label("For how long").select_option("1 hour")
    await dialog.get_by_role("button", name="Ban").click()

    await expect(row(screen.page, "198.18.0.4")).to_contain_text("manual")
    assert place.site.kernel()["198.18.0.4"] is not None


async def test_who_is_allowed_is_let_through_and_it_can_be_taken_back(screen: Screen, place: Stage) -> None:
    await place.guess("198.18.0.5", times=5)
    shown = row(screen.page, "198.18.0.5")
    await shown.get_by_role("button", name="Allow").click()
    await screen.page.get_by_role("dialog").get_by_label("Comment").fill("the branch")
    await screen.page.get_by_role("dialog").get_by_role("button", name="Allow").click()

    await expect(shown).to_have_count(0)
    assert "198.18.0.5" not in place.site.kernel()
    await screen.page.locator("summary").click()
    await expect(screen.page.locator("#exempt")).to_contain_text("an administrator: the branch")
    await screen.page.get_by_role("button", name="Remove 198.18.0.5").click()
    await screen.page.get_by_role("dialog").get_by_role("button", name="Remove").click()
    await expect(screen.page.locator("#exempt")).not_to_contain_text("198.18.0.5")


async def test_everything_can_be_done_with_the_keyboard_alone(screen: Screen, place: Stage) -> None:
    await place.guess("198.18.0.6", times=5)
    await expect(row(screen.page, "198.18.0.6")).to_be_visible()
    keyboard = screen.page.keyboard

    async def focused() -> str:
        return str(await screen.page.evaluate("document.activeElement.ariaLabel ?? document.activeElement.id"))

    for _ in range(40):
        await keyboard.press("Tab")
        if await focused() == "Unban 198.18.0.6":
            break
    assert await focused() == "Unban 198.18.0.6"
    await keyboard.press("Enter")
    assert await focused() == "dialog-yes"
    await keyboard.press("Escape")
    assert await focused() == "Unban 198.18.0.6"
    await keyboard.press("Enter")
    await keyboard.press("Enter")

    await expect(row(screen.page, "198.18.0.6")).to_have_count(0)


async def test_search_finds_by_account_and_whoever_is_banned_around_an_address(screen: Screen, place: Stage) -> None:
    await place.site.lives[-1].control.ban(Target("203.0.113.0/24"), None, "a whole network")
    search = screen.page.get_by_role("searchbox")

    await search.fill("203.0.113.77")
    await expect(screen.page.locator("#rows tr")).to_have_count(1)
    await expect(screen.page.locator("#rows")).to_contain_text("203.0.113.0/24")
    await search.fill("whole net")
    await expect(screen.page.locator("#rows tr")).to_have_count(1)
    await search.fill("no such thing")
    await expect(screen.page.locator("#none")).to_be_visible()
    await search.fill("")
    await expect(row(screen.page, BANNED)).to_be_visible()


async def test_what_an_attacker_calls_himself_is_shown_and_does_nothing(screen: Screen, place: Stage) -> None:
    named = attempt("198.18.0.7").replace(b"AccountID: 6001", f"AccountID: {HOSTILE}".encode())
    await place.server.play(named * 5)

    await until(lambda: "198.18.0.7" in place.site.kernel(), what="the ban")
    await expect(row(screen.page, "198.18.0.7")).to_contain_text(HOSTILE)
    await expect(screen.page.locator("#events")).to_contain_text(HOSTILE)
    assert await screen.page.locator("#rows script, #rows img, #events script, #events img").count() == 0
    assert await screen.harmless()


async def test_the_policy_forbids_scripts_that_are_not_the_pages_own(screen: Screen) -> None:
    with pytest.raises(Error, match="TrustedHTML"):
        await screen.page.evaluate("document.body.innerHTML = '<b>x</b>'")
    await screen.page.evaluate(
        "document.body.append(Object.assign(document.createElement('style'), {textContent: 'b{}'}))"
    )

    assert "style-src-elem" in await screen.page.evaluate("window.violations")
    await screen.page.evaluate("window.violations = []")
    screen.complaints.clear()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 390, 1200])
async def test_it_fits_the_window_and_can_be_read_by_everybody(browser: Browser, width: int, scheme: str) -> None:
    screen = await opened(browser, viewport={"width": width, "height": 800}, color_scheme=scheme)
    page = screen.page
    await page.wait_for_selector("#rows tr")
    await page.locator("summary").click()

    assert await page.evaluate("document.documentElement.scrollWidth") == width
    dark = await page.evaluate(
        "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).every(part => part < 64)"
    )
    assert dark is (scheme == "dark")
    assert await serious(page) == []
    await page.get_by_role("button", name="Ban …").click()
    assert await serious(page) == []
    await page.context.close()


async def test_the_country_of_a_ban_is_told_where_a_database_knows_it_and_fits_a_phone(program: Path) -> None:
    settings = {"HTTP_LISTEN": f"127.0.0.1:{PORT}", "GEOIP_DATABASE": str(DATABASE)}
    async with stage(**settings) as mapped, browsing(mapped, program) as other:
        await mapped.site.up()
        for address in ("192.0.2.7", "10.0.0.1"):
            await mapped.site.lives[-1].control.ban(Target(address), None, "")
        screen = await opened(other, viewport={"width": 320, "height": 800})

        await expect(row(screen.page, "192.0.2.7").locator("td.who")).to_have_text("192.0.2.7Germany")
        await expect(row(screen.page, "10.0.0.1").locator("td.who")).to_have_text("10.0.0.1")
        assert await screen.page.evaluate("document.documentElement.scrollWidth") == 320
        assert await serious(screen.page) == []
        await screen.page.get_by_role("searchbox").fill("german")
        await expect(screen.page.locator("#rows tr")).to_have_count(1)
        assert await screen.harmless()


async def test_lists_and_mail_are_among_the_health(program: Path, tmp_path: Path) -> None:
    office = tmp_path / "office.txt"
    office.write_text("45.9.77.0/24\n45.9.78.1\n")
    settings = {"FEEDS": f"office=file://{office} gone=file://{tmp_path}/gone", "MAIL_TO": "root@localhost"}
    async with stage(HTTP_LISTEN=f"127.0.0.1:{PORT}", **settings) as listed, browsing(listed, program) as other:
        daemon = await listed.site.up()
        await daemon.told("feed-updated")
        await daemon.told("feed-failed")
        screen = await opened(other, viewport={"width": 320, "height": 800})
        health = screen.page.locator("#sources li")

        await expect(health.filter(has_text="list office")).to_contain_text(f"up2 named, {office}")
        await expect(health.filter(has_text="list gone")).to_contain_text("down")
        await expect(health.get_by_text("mail", exact=True)).to_be_visible()
        assert await screen.page.evaluate("document.documentElement.scrollWidth") == 320
        assert await serious(screen.page) == []
        assert await screen.harmless()


async def test_a_dry_run_is_not_called_protection(program: Path) -> None:
    async with stage(HTTP_LISTEN=f"127.0.0.1:{PORT}", FIREWALL="dry-run") as dry, browsing(dry, program) as other:
        await dry.site.up()
        screen = await opened(other)

        await expect(screen.page.locator("#state")).to_have_text("dry run: nothing is dropped")


async def test_a_daemon_that_wants_a_token_is_asked_with_it(program: Path) -> None:
    async with stage(HTTP_LISTEN=f"127.0.0.1:{PORT}", HTTP_TOKEN=TOKEN) as guarded, browsing(guarded, program) as other:
        await guarded.site.up()
        screen = await opened(other)
        dialog = screen.page.get_by_role("dialog")
        await dialog.get_by_label("Token").fill(TOKEN)
        await dialog.get_by_role("button", name="Continue").click()

        await expect(screen.page.locator("#state")).to_have_text("protecting")
        await guarded.guess("198.18.0.1", times=5)
        await expect(screen.page.locator("#events")).to_contain_text("198.18.0.1 is banned")


async def test_a_token_that_changes_under_an_open_page_is_asked_for_once_and_may_be_typed_slowly(program: Path) -> None:
    async with stage(HTTP_LISTEN=f"127.0.0.1:{PORT}") as guarded, browsing(guarded, program) as other:
        daemon = await guarded.site.up()
        screen = await opened(other)
        await expect(screen.page.locator("#state")).to_have_text("protecting")
        daemon.kill()
        guarded.site.settings["HTTP_TOKEN"] = TOKEN
        refused: list[int] = []
        screen.page.on("response", lambda answer: refused.append(1) if answer.status == 401 else None)
        await guarded.site.up()
        field = screen.page.get_by_role("dialog").get_by_label("Token")
        await field.fill(TOKEN, timeout=40_000)
        before = len(refused)
        await until(lambda: len(refused) >= before + 2, 30, "more requests that are refused")

        await expect(field).to_have_value(TOKEN)
        await screen.page.get_by_role("dialog").get_by_role("button", name="Continue").click()
        await expect(screen.page.get_by_role("dialog")).to_be_hidden()
        await guarded.guess("198.18.0.1", times=5)
        await expect(screen.page.locator("#events")).to_contain_text("198.18.0.1 is banned", timeout=40_000)
        await expect(screen.page.locator("#state")).to_have_text("protecting")
