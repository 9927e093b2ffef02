"""The control interface moves, rotates its token and changes its group while it serves."""

from __future__ import annotations

import asyncio
import grp
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest

from amiguard.control.client import ControlClient
from amiguard.control.routes.events import HEARTBEAT
from amiguard.control.server import ControlServer
from amiguard.control.settings import Address, ControlSettings
from amiguard.control.stream import Stream
from amiguard.errors import ControlError
from amiguard.journal import Action
from tests.lab.journal import RecordingJournal
from tests.lab.ports import free_port
from tests.unit.control.conftest import NOW, FakeGuard

OLD, NEW = "0123456789abcdef-old", "0123456789abcdef-new"


@pytest.fixture
def settings(path: Path) -> ControlSettings:
    return ControlSettings(path, http=Address("127.0.0.1", free_port()), token=OLD)


@pytest.fixture
async def server(
    settings: ControlSettings, guard: FakeGuard, journal: RecordingJournal, stream: Stream
) -> AsyncIterator[ControlServer]:
    server = ControlServer(settings, guard, journal, lambda: NOW, stream)
    await server.start()
    journal.lines.clear()
    yield server
    await server.close()


@asynccontextmanager
async def asking(address: Address | None, token: str) -> AsyncIterator[aiohttp.ClientSession]:
    assert address is not None
    shown = {"Authorization": f"Bearer {token}"}
    async with aiohttp.ClientSession(f"http://127.0.0.1:{address.port}", headers=shown) as http:
        yield http


async def status(address: Address | None, token: str = "") -> int:
    async with asking(address, token) as http, http.get("/api/v1/status") as answer:
        return answer.status


async def change(server: ControlServer, settings: ControlSettings) -> None:
    async with server.changing(settings):
        pass


async def test_a_new_token_is_asked_for_at_the_same_port_and_the_old_one_opens_nothing(
    server: ControlServer, settings: ControlSettings
) -> None:
    async with asking(settings.http, OLD) as kept_alive:
        async with kept_alive.get("/api/v1/status") as answer:
            assert answer.status == 200

        await change(server, replace(settings, token=NEW))

        async with kept_alive.get("/api/v1/status") as answer:
            assert answer.status == 401
    assert await status(settings.http, NEW) == 200


async def test_who_connects_while_the_token_changes_is_answered(
    server: ControlServer, settings: ControlSettings
) -> None:
    over = asyncio.Event()

    async def ask() -> int:
        asked = 0
        while not over.is_set():
            async with asking(settings.http, "") as http, http.get("/healthz") as answer:
                assert answer.status == 200
            asked += 1
        return asked

    async with asyncio.TaskGroup() as tasks:
        asking_on = tasks.create_task(ask())
        for number in range(20):
            await change(server, replace(settings, token=f"{NEW}{number}"))
            async with asking(settings.http, "") as http, http.get("/healthz") as answer:
                assert answer.status == 200
        over.set()
    assert asking_on.result() > 0


async def test_streams_end_that_the_old_token_opened_and_those_on_the_socket_go_on(
    server: ControlServer, settings: ControlSettings, stream: Stream
) -> None:
    unix = aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(settings.socket)))
    async with (
        asking(settings.http, OLD) as http,
        unix,
        http.get("/api/v1/events") as old,
        unix.get("http://amiguard/api/v1/events") as local,
    ):
        await change(server, replace(settings, token=NEW))

        async with asyncio.timeout(HEARTBEAT / 2):
            assert await old.content.read() == b""
        stream.publish('{"n":1}')
        async with asyncio.timeout(5):
            assert await local.content.readuntil(b"\n\n") == b'id: 1\ndata: {"n":1}\n\n'


async def test_a_port_moves_opens_and_closes(
    server: ControlServer, settings: ControlSettings, journal: RecordingJournal
) -> None:
    second = Address("127.0.0.1", free_port())

    await change(server, replace(settings, http=second))
    assert await status(second, OLD) == 200
    with pytest.raises(aiohttp.ClientConnectorError):
        await status(settings.http, OLD)

    await change(server, replace(settings, http=None))
    with pytest.raises(aiohttp.ClientConnectorError):
        await status(second, OLD)

    await change(server, settings)
    assert await status(settings.http, OLD) == 200
    told = [line.fields["http"] for line in journal.of(Action.CONTROL_OPENED)]
    assert told == [
        f"127.0.0.1 port {second.port}",
        "",
        f"127.0.0.1 port {settings.http.port}" if settings.http else "",
    ]


async def test_the_port_that_was_left_lets_nobody_in_by_a_connection_that_is_still_open(
    server: ControlServer, settings: ControlSettings
) -> None:
    async with asking(settings.http, OLD) as kept_alive:
        async with kept_alive.get("/api/v1/status") as answer:
            assert answer.status == 200

        await change(server, replace(settings, http=Address("127.0.0.1", free_port()), token=""))

        async with kept_alive.get("/api/v1/status") as answer:
            assert answer.status == 401


async def test_a_port_that_is_taken_changes_nothing(
    server: ControlServer, settings: ControlSettings, journal: RecordingJournal, guard: FakeGuard, path: Path
) -> None:
    taken = Address("127.0.0.1", free_port())
    other = ControlServer(
        ControlSettings(path.with_name("other.sock"), http=taken, token=NEW), guard, journal, lambda: NOW, Stream()
    )
    await other.start()
    journal.lines.clear()

    with pytest.raises(ControlError, match=f"can't listen on 127.0.0.1 port {taken.port}"):
        await change(server, replace(settings, http=taken, token=NEW))

    assert await status(settings.http, OLD) == 200
    assert journal.of(Action.CONTROL_OPENED) == []
    await other.close()


async def test_what_fails_elsewhere_leaves_port_token_and_group_as_they_were(
    server: ControlServer, settings: ControlSettings
) -> None:
    second, group = Address("127.0.0.1", free_port()), settings.socket.stat().st_gid

    with pytest.raises(RuntimeError):
        async with server.changing(ControlSettings(settings.socket, grp.getgrgid(group).gr_name, second, NEW)):
            raise RuntimeError

    assert await status(settings.http, OLD) == 200
    with pytest.raises(aiohttp.ClientConnectorError):
        await status(second, NEW)
    assert settings.socket.stat().st_gid == group


async def test_a_group_that_never_could_use_the_socket_is_told_so_again(
    path: Path, guard: FakeGuard, journal: RecordingJournal
) -> None:
    settings = ControlSettings(path, group="nosuch")
    server = ControlServer(settings, guard, journal, lambda: NOW, Stream())
    await server.start()

    await change(server, replace(settings, http=Address("127.0.0.1", free_port()), token=NEW))

    assert [line.fields["group"] for line in journal.of(Action.CONTROL_OPENED)] == ["", ""]
    await server.close()


async def test_a_server_that_changed_closes_for_good(server: ControlServer, settings: ControlSettings) -> None:
    await change(server, replace(settings, token=NEW))

    async with asyncio.timeout(10):
        await server.close()

    with pytest.raises(aiohttp.ClientConnectorError):
        await status(settings.http, NEW)


@pytest.mark.netns
async def test_another_group_may_use_the_socket_and_then_the_own_one_again(
    server: ControlServer, settings: ControlSettings
) -> None:
    own = settings.socket.stat().st_gid

    await change(server, replace(settings, group="daemon"))
    assert settings.socket.stat().st_gid == grp.getgrnam("daemon").gr_gid

    await change(server, settings)
    assert settings.socket.stat().st_gid == own
    assert (await ControlClient(settings.socket).status())["ready"] is True


@pytest.mark.netns
async def test_a_group_is_given_back_when_something_else_fails(
    server: ControlServer, settings: ControlSettings
) -> None:
    own = settings.socket.stat().st_gid

    with pytest.raises(RuntimeError):
        async with server.changing(replace(settings, group="daemon")):
            raise RuntimeError

    assert settings.socket.stat().st_gid == own


async def test_a_group_that_does_not_exist_is_refused(server: ControlServer, settings: ControlSettings) -> None:
    with pytest.raises(ControlError, match="there is no group nosuch"):
        await change(server, replace(settings, group="nosuch", token=NEW))

    assert await status(settings.http, OLD) == 200
