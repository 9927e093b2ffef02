"""Live events: what is written is told, to each within his bound."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from amiguard.control.server import ControlServer
from amiguard.control.service import GRACE
from amiguard.control.stream import MOST, RECENT, ROOM, TICK, WATCHERS, Stream, Watcher
from amiguard.journal import Action
from amiguard.logs import open_journal
from amiguard.model import Ban, Evidence, Reason, Target

EVENTS = "http://amiguard/api/v1/events"


@asynccontextmanager
async def watching(path: Path, **headers: str) -> AsyncIterator[aiohttp.StreamReader]:
    async with (
        aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(path))) as http,
        http.get(EVENTS, headers={name.replace("_", "-"): value for name, value in headers.items()}) as answer,
    ):
        assert (answer.status, answer.content_type) == (200, "text/event-stream")
        yield answer.content


async def message(reader: aiohttp.StreamReader) -> dict[str, str]:
    async with asyncio.timeout(5):
        text = (await reader.readuntil(b"\n\n")).decode()
    return dict(line.split(": ", 1) for line in text.strip().splitlines())


async def test_who_watches_is_told_what_was_and_what_comes(server: ControlServer, stream: Stream, path: Path) -> None:
    stream.publish('{"n":1}')
    async with watching(path) as reader:
        assert await message(reader) == {"id": "1", "data": '{"n":1}'}
        stream.publish('{"n":2}')
        assert await message(reader) == {"id": "2", "data": '{"n":2}'}


async def test_who_comes_back_goes_on_where_he_was(server: ControlServer, stream: Stream, path: Path) -> None:
    for number in range(1, 4):
        stream.publish(f'{{"n":{number}}}')

    async with watching(path, Last_Event_ID="2") as reader:
        assert (await message(reader))["id"] == "3"
    async with watching(path, Last_Event_ID="99") as after_a_restart:
        assert (await message(after_a_restart))["id"] == "1"


@pytest.mark.parametrize("number", ["-1", "x", "9" * 30])
async def test_a_number_that_was_never_given_out_is_refused(server: ControlServer, path: Path, number: str) -> None:
    async with (
        aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(path))) as http,
        http.get(EVENTS, headers={"Last-Event-ID": number}) as answer,
    ):
        assert answer.status == 400


async def test_what_the_journal_writes_arrives_as_one_json_object_whatever_an_attacker_is_called(
    server: ControlServer, stream: Stream, path: Path, tmp_path: Path
) -> None:
    target = Target("198.51.100.7")
    names = ("\n\nevent: lost\ndata: x", "<script>alert(1)</script>", "\u2028\x1b[2J")
    ban = Ban(target, 0, None, Reason.WRONG_PASSWORD, evidence=Evidence.CONNECTED, accounts=names)
    with (tmp_path / "log").open("w") as log:
        journal = open_journal("console", "info", clock=lambda: 0, stream=log, tap=stream.publish)
        async with watching(path) as reader:
            journal.write(Action.BAN, "198.51.100.7 is banned", ban=ban)
            told = await message(reader)

    line = json.loads(told["data"])
    assert (line["event.action"], line["source.ip"], line["related.user"]) == ("ban", target, list(names))
    assert told["data"].isascii()


async def test_a_flood_is_told_within_a_bound_and_what_is_missing_is_counted(
    server: ControlServer, stream: Stream, path: Path
) -> None:
    async with watching(path) as reader:
        for _ in range(MOST + 50):
            stream.publish("{}")
        for number in range(MOST):
            assert (await message(reader))["id"] == str(number + 1)
        assert await message(reader) == {"event": "lost", "data": '{"lost": 50}'}


async def test_who_reads_too_slowly_loses_lines_and_is_told_how_many() -> None:
    watcher = Watcher(b"")
    line = b"x" * 1000
    for _ in range(1000):
        watcher.put(line, 1)

    kept = await watcher.next()

    fits = ROOM // len(line)
    assert kept == line * fits + f'event: lost\ndata: {{"lost": {1000 - fits}}}\n\n'.encode()


async def test_nothing_is_gathered_while_nobody_watches_but_the_last_lines() -> None:
    stream = Stream()
    for number in range(10_000):
        stream.publish(f"{number}")

    with stream.watching(0) as watcher:
        told = (await watcher.next()).decode().split("\n\n")[:-1]

    assert len(told) == RECENT
    assert told[-1] == "id: 10000\ndata: 9999"


async def test_only_so_many_watch(server: ControlServer, stream: Stream, path: Path) -> None:
    places = [stream.watching(0) for _ in range(WATCHERS)]
    for place in places:
        place.__enter__()

    async with (
        aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(path))) as http,
        http.get(EVENTS) as answer,
    ):
        assert answer.status == 503
    for place in places:
        place.__exit__(None, None, None)


async def test_a_server_that_closes_ends_every_stream_at_once(
    server: ControlServer, stream: Stream, path: Path
) -> None:
    stream.publish("{}")
    async with watching(path) as reader:
        await message(reader)
        async with asyncio.timeout(GRACE):
            await server.close()
            assert await reader.read() == b""


async def test_lines_wait_for_a_moment_and_not_for_long(server: ControlServer, stream: Stream, path: Path) -> None:
    loop = asyncio.get_running_loop()
    async with watching(path) as reader:
        stream.publish("{}")
        began = loop.time()
        await message(reader)
        assert loop.time() - began < TICK + 2
