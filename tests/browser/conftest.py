"""Debian's Chromium in front of the real daemon, both in a network namespace of their own."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, ConsoleMessage, Page, async_playwright

from tests.lab import chromium
from tests.lab.stage import Stage, stage
from tests.lab.waiting import until

PORT = 9180
URL = f"http://127.0.0.1:{PORT}/"
HOSTILE = '<script>window.hacked=1</script><img src=x onerror="window.hacked=1">'
"""What an attacker calls himself; PJSIP tells the names of unknown accounts as they are sent."""

VIOLATIONS = (
    "window.violations = []; addEventListener('securitypolicyviolation', e => violations.push(e.violatedDirective))"
)


@dataclass
class Screen:
    """A page in the browser, and whatever went wrong on it."""

    page: Page
    complaints: list[str] = field(default_factory=list)

    async def harmless(self) -> bool:
        """Whether no script of an attacker ran, and the policy had nothing to forbid."""
        hacked = await self.page.evaluate("window.hacked")
        violations = await self.page.evaluate("window.violations")
        return hacked is None and violations == [] and self.complaints == []


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place() -> AsyncIterator[Stage]:
    """The daemon, with one attacker banned; it serves the page on the loopback interface of its namespace."""
    async with stage(BANTIME="1h", HTTP_LISTEN=f"127.0.0.1:{PORT}") as place:
        await place.site.up()
        await place.guess("198.18.0.1", times=5)
        daemon = place.site.lives[-1]
        await until(lambda: daemon.banned() == ["198.18.0.1"], what="the ban")
        yield place
        assert daemon.errors == ""
        assert daemon.lines("internal-error") == []


@pytest.fixture(scope="module")
def program(chromium_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What starts Chromium."""
    return chromium.program(chromium_root, tmp_path_factory.mktemp("chromium"))


@asynccontextmanager
async def browsing(place: Stage, program: Path) -> AsyncIterator[Browser]:
    """A browser in the namespace of a daemon."""
    with place.namespace.entered():
        playwright = await async_playwright().start()
    browser = await playwright.chromium.launch(executable_path=program, args=chromium.FLAGS)
    try:
        yield browser
    finally:
        await browser.close()
        await playwright.stop()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser(place: Stage, program: Path) -> AsyncIterator[Browser]:
    async with browsing(place, program) as browser:
        yield browser


async def opened(browser: Browser, **context: Any) -> Screen:
    """Open the page and wait until it shows the bans."""
    page = await (await browser.new_context(locale="en-GB", timezone_id="UTC", **context)).new_page()
    page.set_default_timeout(10_000)
    screen = Screen(page)

    def complain(message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            screen.complaints.append(message.text)

    page.on("console", complain)
    page.on("pageerror", lambda error: screen.complaints.append(str(error)))
    await page.add_init_script(VIOLATIONS)
    await page.goto(URL)
    return screen


@pytest_asyncio.fixture(loop_scope="module")
async def screen(browser: Browser) -> AsyncIterator[Screen]:
    """The page on a desk, in light colours."""
    screen = await opened(browser, viewport={"width": 1200, "height": 900}, color_scheme="light")
    await screen.page.wait_for_selector("#rows tr")
    yield screen
    assert await screen.harmless(), json.dumps(screen.complaints)
    await screen.page.context.close()
