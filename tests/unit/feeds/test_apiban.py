from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from amiguard.errors import FeedError
from amiguard.feeds.apiban import Apiban
from amiguard.feeds.networks import LeftOut
from amiguard.feeds.reading import Reading
from amiguard.feeds.settings import FeedSettings

SETTINGS = FeedSettings(version="1", limit=1_000)
KEY = "canary-key"
NO_MORE = (400, {"ipaddress": ["no new bans"], "ID": "none"})


@asynccontextmanager
async def apiban(*answers: tuple[int, object], headers: dict[str, str] | None = None) -> AsyncIterator[Apiban]:
    """APIBAN as it answers, one answer after the other; each but the first has to be asked for by its name."""
    told, expected = list(answers), ["100"]

    async def handle(request: web.Request) -> web.Response:
        assert request.path == f"/api/{KEY}/banned/{expected[-1]}"
        status, body = told.pop(0)
        if isinstance(body, dict) and isinstance(body.get("ID"), str):
            expected.append(body["ID"])
        text = body if isinstance(body, str) else json.dumps(body)
        return web.Response(status=status, text=text, headers=headers, content_type="application/json")

    app = web.Application()
    app.router.add_get("/{path:.*}", handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    try:
        yield Apiban(f"http://{host}:{port}/api/", KEY, SETTINGS, pause=0)
    finally:
        await runner.cleanup()


async def test_the_list_is_read_page_by_page_to_its_end() -> None:
    pages = [
        (200, {"ipaddress": ["45.9.9.1", "45.9.9.2"], "ID": "1700000001"}),
        (200, {"ipaddress": ["45.9.9.3", "10.0.0.1", "2a00:1::1", 7], "ID": "1700000002"}),
    ]
    async with apiban(*pages, NO_MORE) as source:
        reading = Reading(SETTINGS.limit)
        assert await source.fetch(reading)
    assert reading.entries == 4
    assert reading.left_out == {LeftOut.SPECIAL: 1}


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ([(403, {"ipaddress": "none", "ID": "unauthorized"})], "does not know the key"),
        ([(429, {"ipaddress": "rate limit exceeded", "ID": "unauthorized"})], "HTTP status 429"),
        ([(500, "oops")], "HTTP status 500"),
        ([(200, "{")], "not as APIBAN's"),
        ([(200, "[" * 100_000)], "not as APIBAN's"),
        ([(200, ["45.9.9.1"])], "not as APIBAN's"),
        ([(200, {"ipaddress": "45.9.9.1", "ID": "1"})], "not as APIBAN's"),
        ([(200, {"ipaddress": ["45.9.9.1"], "ID": "../../x"})], "not as APIBAN's"),
        ([(200, {"ipaddress": ["45.9.9.1"], "ID": 7})], "not as APIBAN's"),
        ([(400, {"ipaddress": ["no such id"], "ID": "7"})], "not as APIBAN's"),
        ([(200, {"ipaddress": ["45.9.9.1"], "ID": "100"})], "never ends"),
        ([(200, {"ipaddress": ["x" * 300_000], "ID": "7"})], "more than"),
        ([(302, "")], "HTTP status 302"),
    ],
)
async def test_whatever_else_it_answers_is_an_error_that_does_not_show_the_key(
    answers: list[tuple[int, object]], said: str
) -> None:
    async with apiban(*answers) as source:
        with pytest.raises(FeedError, match=said) as caught:
            await source.fetch(Reading(SETTINGS.limit))
    assert KEY not in str(caught.value)


async def test_it_waits_as_long_as_it_is_told() -> None:
    busy = (429, {"ipaddress": "rate limit exceeded", "ID": "unauthorized"})
    async with apiban(busy, headers={"Retry-After": "120"}) as source:
        with pytest.raises(FeedError) as caught:
            await source.fetch(Reading(SETTINGS.limit))
    assert caught.value.wait == 120


async def test_a_page_that_is_missing_in_the_middle_makes_the_whole_list_missing() -> None:
    async with apiban((200, {"ipaddress": ["45.9.9.1"], "ID": "7"}), (500, "")) as source:
        with pytest.raises(FeedError, match="500"):
            await source.fetch(Reading(SETTINGS.limit))
