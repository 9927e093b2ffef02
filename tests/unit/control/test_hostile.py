"""Clients that mean no good, or know no better."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from amiguard.control.client import ControlClient, RequestRefused
from amiguard.control.connections import MOST
from amiguard.control.server import ControlServer
from tests.lab.journal import RecordingJournal
from tests.lab.waiting import until
from tests.unit.control.conftest import FakeGuard, serving

POST = (
    b"POST /api/v1/bans HTTP/1.1\r\nHost: amiguard\r\nConnection: close\r\n"
    b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n"
)


async def answer(path: Path, sent: bytes) -> bytes:
    """Send bytes, keep the connection open, and return what comes until the server closes it."""
    reader, writer = await asyncio.open_unix_connection(path)
    try:
        writer.write(sent)
        return await reader.read()
    except ConnectionResetError:
        return b""
    finally:
        writer.close()


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 500,
        b"\x00\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"Action: Login\r\nUsername: x\r\n\r\n",
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"x: y\r\n" * 10_000 + b"\r\n",
        b"POST /api/v1/bans HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
        b"POST /api/v1/bans HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzzz\r\n",
    ],
)
async def test_garbage_is_answered_with_an_error_or_not_at_all_and_harms_nobody(
    path: Path, client: ControlClient, journal: RecordingJournal, garbage: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    answered = await answer(path, garbage)

    assert answered == b"" or answered.startswith((b"HTTP/1.1 400", b"HTTP/1.0 400"))
    assert (await client.status())["ready"] is True
    assert journal.lines == []
    assert capfd.readouterr() == ("", "")


async def test_a_body_of_a_megabyte_is_refused(path: Path, client: ControlClient, guard: FakeGuard) -> None:
    body = b'{"address": "192.0.2.1", "reason": "' + b"x" * 1_000_000 + b'"}'

    answered = await answer(path, POST % len(body) + body)

    assert answered.startswith(b"HTTP/1.1 413 ")
    assert json.loads(answered.partition(b"\r\n\r\n")[2]) == {"error": "the body is too large"}
    assert not guard.running
    assert (await client.status())["ready"] is True


@pytest.mark.parametrize("sent", [b"", b"GET /healthz HTT", b"GET /healthz HTTP/1.1\r\nHost: amig"])
async def test_who_does_not_finish_a_request_is_cut(server: ControlServer, path: Path, sent: bytes) -> None:
    async with asyncio.timeout(5):
        assert await answer(path, sent) == b""


async def test_who_does_not_finish_a_body_is_told_so(server: ControlServer, path: Path, guard: FakeGuard) -> None:
    async with asyncio.timeout(5):
        answered = await answer(path, POST % 40 + b'{"address": "192')

    assert answered.startswith(b"HTTP/1.1 408 ")
    assert not guard.running


async def test_silent_clients_delay_nobody(path: Path, client: ControlClient) -> None:
    silent = [await asyncio.open_unix_connection(path) for _ in range(100)]

    async with asyncio.timeout(2):
        assert (await client.status())["ready"] is True

    for reader, writer in silent:
        assert await reader.read() == b""
        writer.close()


async def test_requests_on_one_connection_are_answered_beyond_the_patience(server: ControlServer, path: Path) -> None:
    reader, writer = await asyncio.open_unix_connection(path)
    request = b"GET /healthz HTTP/1.1\r\nHost: amiguard\r\n\r\n"
    end = asyncio.get_running_loop().time() + 0.6
    while asyncio.get_running_loop().time() < end:
        writer.write(request)
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 OK")
        assert await reader.readuntil(b"}") == b'{"status": "ok"}'
    writer.close()


@pytest.fixture
async def patient(path: Path, guard: FakeGuard, journal: RecordingJournal) -> AsyncIterator[ControlClient]:
    """A client of a server that would wait a minute for a request."""
    server = serving(path, guard, journal, patience=60)
    await server.start()
    yield ControlClient(path)
    await server.close()


async def test_thousands_of_connections_are_held_off_until_some_leave(path: Path, patient: ControlClient) -> None:
    held = [await asyncio.open_unix_connection(path) for _ in range(MOST)]
    too_many = [await asyncio.open_unix_connection(path) for _ in range(20)]

    for reader, writer in too_many:
        answered = await reader.read()
        assert answered.startswith(b"HTTP/1.1 503 ")
        assert json.loads(answered.partition(b"\r\n\r\n")[2]) == {"error": "too many are connected"}
        writer.close()
    for _, writer in held:
        writer.close()
        await writer.wait_closed()
    await until(answered_by(patient))


async def test_who_comes_and_goes_without_a_word_takes_nobodys_place(path: Path, patient: ControlClient) -> None:
    for _ in range(2 * MOST):
        _, writer = await asyncio.open_unix_connection(path)
        writer.close()
        await writer.wait_closed()

    await until(answered_by(patient))


def answered_by(client: ControlClient) -> Callable[[], Awaitable[bool]]:
    async def answered() -> bool:
        try:
            return bool((await client.status())["ready"])
        except RequestRefused:
            return False

    return answered


async def test_a_crowd_that_asks_without_end_leaves_most_of_the_loop_to_others(
    server: ControlServer, path: Path
) -> None:
    loop = asyncio.get_running_loop()

    async def asking() -> None:
        reader, writer = await asyncio.open_unix_connection(path)
        try:
            while True:
                writer.write(b"GET /api/v1/status HTTP/1.1\r\nHost: amiguard\r\n\r\n")
                await reader.readuntil(b"}]}")
        finally:
            writer.close()
            await writer.wait_closed()

    crowd = [loop.create_task(asking()) for _ in range(20)]
    await asyncio.sleep(0)
    before, cpu = loop.time(), time.process_time()
    await asyncio.sleep(1)
    share = (time.process_time() - cpu) / (loop.time() - before)
    for task in crowd:
        task.cancel()
    await asyncio.gather(*crowd, return_exceptions=True)

    assert share < 0.7, "server and crowd share this process; unpaced they would take all of it"
