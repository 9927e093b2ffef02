"""Lists over HTTP, from servers that are real, and lie."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from amiguard.errors import FeedError
from amiguard.feeds.reading import Reading
from amiguard.feeds.settings import FeedSettings
from amiguard.feeds.web import Web
from tests.lab.receiver import Speaker, speaking

SETTINGS = FeedSettings(version="1", timeout=5, limit=100_000)
LIST = b"45.9.9.1\n45.9.9.2\n"


def answering(head: str, body: bytes = b"") -> Speaker:
    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f"HTTP/1.1 {head}\r\nConnection: close\r\n\r\n".encode() + body)
        await writer.drain()
        writer.close()

    return speak


async def fetched(speaker: Speaker, settings: FeedSettings = SETTINGS) -> Reading:
    reading = Reading(settings.limit)
    async with speaking(speaker) as url:
        assert await Web(url, settings).fetch(reading)
    return reading


@asynccontextmanager
async def remembering(answers: list[tuple[str, bytes]]) -> AsyncIterator[tuple[str, list[str]]]:
    """A server that gives these answers, one after the other; yields its URL and the requests that it heard."""
    heard: list[str] = []

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append((await reader.readuntil(b"\r\n\r\n")).decode())
        head, body = answers.pop(0)
        writer.write(f"HTTP/1.1 {head}\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
        await writer.drain()

    async with speaking(speak) as url:
        yield url, heard


async def test_a_list_is_read_and_asked_for_again_only_if_it_has_changed() -> None:
    tag, modified = 'W/"abc"', "Fri, 27 Nov 2026 03:00:00 GMT"
    first = (f"200 OK\r\nETag: {tag}\r\nLast-Modified: {modified}", LIST)
    async with remembering([first, first, ("304 Not Modified", b"")]) as (url, heard):
        web = Web(url, SETTINGS)
        reading = Reading(SETTINGS.limit)
        assert await web.fetch(reading)
        assert reading.entries == 2
        assert await web.fetch(Reading(SETTINGS.limit))  # nobody accepted the first
        web.accept()
        assert not await web.fetch(Reading(SETTINGS.limit))
    assert "If-None-Match" not in heard[1]
    assert f"If-None-Match: {tag}" in heard[2]
    assert f"If-Modified-Since: {modified}" in heard[2]
    assert "Accept-Encoding: identity" in heard[2]


@pytest.mark.parametrize(
    ("speaker", "said"),
    [
        (answering("500 Internal Server Error"), "HTTP status 500"),
        (answering("304 Not Modified"), "HTTP status 304"),
        (answering("404 Not Found", LIST), "HTTP status 404"),
        (answering("200 OK\r\nContent-Length: 1000", LIST), "closed the connection"),
        (answering("200 OK\r\nTransfer-Encoding: chunked", b"8\r\n45.9.9.1\r\n"), "closed the connection"),
        (answering("200 OK\r\nContent-Type: text/html; charset=utf-8", LIST), "HTML"),
        (answering("200 OK", b"\n<html>you are behind a captive portal"), "HTML"),
        (answering("200 OK\r\nContent-Encoding: gzip", b"\x1f\x8b"), "compressed"),
        (answering("200 OK", b"\x00\xff garbage\n" * 5000), "no list"),
        (answering("200 OK", b"4" * 100_000), "longer than"),
        (answering("no HTTP at all"), "no HTTP"),
        (answering("302 Found\r\nLocation: /hook"), "redirects on and on"),
    ],
)
async def test_what_is_no_list_is_refused_with_a_clear_error_that_shows_no_secret(speaker: Speaker, said: str) -> None:
    with pytest.raises(FeedError, match=said) as caught:
        await fetched(speaker)
    assert "canary-token" not in str(caught.value)
    assert str(caught.value).startswith(("http://127.0.0.1:", "it is"))


@pytest.mark.parametrize("status", ["429 Too Many Requests", "503 Service Unavailable"])
@pytest.mark.parametrize(("header", "wait"), [("900", 900), ("999999999", 86_400), ("tomorrow", 0)])
async def test_a_server_that_is_busy_says_when_to_come_back(status: str, header: str, wait: float) -> None:
    with pytest.raises(FeedError) as caught:
        await fetched(answering(f"{status}\r\nRetry-After: {header}"))
    assert caught.value.wait == wait


async def test_an_answer_that_drips_is_given_up_after_the_time_for_all_of_it() -> None:
    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b"45.9.9.1\n")
            await writer.drain()
            await asyncio.sleep(0.02)

    with pytest.raises(FeedError, match=r"no answer within 0\.3 s"):
        await fetched(drip, FeedSettings(version="1", timeout=0.3))


async def test_a_server_that_takes_no_connection_is_not_waited_for_as_long_as_for_an_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("amiguard.web.CONNECTING", 0.3)
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, socket.create_connection(full.getsockname()):
        source = Web(f"http://127.0.0.1:{full.getsockname()[1]}/list", SETTINGS)
        with pytest.raises(FeedError, match=r"no connection within 0\.3 s"):
            await source.fetch(Reading(SETTINGS.limit))


def endless(line: Callable[[int], bytes]) -> Speaker:
    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        for begin in range(0, 10_000_000, 500):
            writer.write(b"".join(map(line, range(begin, begin + 500))))
            await writer.drain()
            await asyncio.sleep(0)

    return speak


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (lambda one: b"45.%d.%d.%d\n" % (one >> 16 & 255, one >> 8 & 255, one & 255), "more than 100,000 addresses"),
        (lambda _: b"# nothing at all, but very much of it\n", "bytes"),
    ],
)
async def test_ten_million_lines_are_given_up_early_and_the_loop_goes_on_meanwhile(
    line: Callable[[int], bytes], said: str
) -> None:
    steps: list[float] = []

    async def breathe() -> None:
        while True:
            before = time.thread_time()
            await asyncio.sleep(0)
            steps.append(time.thread_time() - before)

    breathing = asyncio.create_task(breathe())
    try:
        with pytest.raises(FeedError, match=said):
            await fetched(endless(line), FeedSettings(version="1", timeout=60, limit=100_000))
    finally:
        breathing.cancel()
    assert sorted(steps)[int(len(steps) * 0.99)] < 0.015
