"""Cancelled in whatever phase, the source leaves no task, no timer and no socket."""

from __future__ import annotations

import asyncio
import gc
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from amiguard.journal import Action
from amiguard.sources.ami import AmiSettings
from tests.lab.fakeami import FakeAmi, Login, Script
from tests.lab.waiting import until
from tests.unit.sources.ami.support import SECRET, Running, quick, sockets
from tests.unit.sources.working import at_work

PATIENT: dict[str, Any] = {
    "connect_timeout": 60,
    "banner_timeout": 60,
    "login_timeout": 60,
    "canary_timeout": 60,
    "ping_timeout": 60,
    "deaf_retry": 60,
}


def open_sockets() -> set[str]:
    gc.collect()
    return set(sockets())


@asynccontextmanager
async def expect_nothing_left(settings: AmiSettings) -> AsyncIterator[Running]:
    """Run a source, cancel it at the end of the block, and look for what it left."""
    tasks, before = asyncio.all_tasks(), open_sockets()
    work = Running(settings)
    async with at_work(work.source):
        yield work
    assert asyncio.all_tasks() == tasks
    await until(lambda: not (open_sockets() - before), timeout=2, what="sockets closed")
    assert not work.source.connected
    assert work.source.intake._timer is None


def has_socket(before: set[str]) -> Callable[[], bool]:
    return lambda: bool(open_sockets() - before)


async def test_while_connecting() -> None:
    full = socket.create_server(("127.0.0.1", 0), backlog=0)
    port = full.getsockname()[1]
    queued = [socket.socket() for _ in range(3)]
    try:
        for each in queued:
            each.setblocking(False)
            each.connect_ex(("127.0.0.1", port))
        before = open_sockets()
        settings = AmiSettings(port=port, username="amiguard", secret=SECRET, **PATIENT)
        async with expect_nothing_left(settings) as work:
            await until(has_socket(before), what="a connection attempt")
            assert not work.journal.lines
    finally:
        for each in (*queued, full):
            each.close()


async def test_while_shaking_hands() -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        mute.setblocking(False)
        settings = AmiSettings(port=mute.getsockname()[1], username="amiguard", secret=SECRET, tls=True, **PATIENT)
        async with expect_nothing_left(settings) as work:
            peer, _ = await asyncio.get_running_loop().sock_accept(mute)
            hello = await asyncio.get_running_loop().sock_recv(peer, 5)
            assert hello[:1] == b"\x16", "a TLS handshake"
            assert not work.journal.lines
            peer.close()


@pytest.mark.parametrize(
    ("script", "phase"),
    [
        (Script(banner=()), "banner"),
        (Script(login=Login.SILENT), "login"),
        (Script(security_class=False), "canary"),
        (Script(pong=False), "ping"),
        (Script(), "at work"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_while_waiting_for(script: Script, phase: str) -> None:
    reached: dict[str, Callable[[FakeAmi, Running], bool]] = {
        "banner": lambda server, _: server.connections == 1,
        "login": lambda server, _: len(server.logins) == 1,
        "canary": lambda server, _: len(server.listeners) == 1,
        "ping": lambda server, _: server.actions[-1:] != [] and server.actions[-1]["Action"] == "Ping",
        "at work": lambda _, work: work.source.connected,
    }
    async with FakeAmi(script) as server:
        async with expect_nothing_left(quick(server, **PATIENT)) as work:
            await until(lambda: reached[phase](server, work), what=phase)
            assert not work.journal.of(Action.AMI_LOST)
            await until(lambda: bool(server.sessions), what="the server's end")
        await until(lambda: not server.sessions, what="the server's end closed")


async def test_while_waiting_for_the_next_try() -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        settings = AmiSettings(port=reserved.getsockname()[1], username="amiguard", secret=SECRET, retry=(50, 60))
        async with expect_nothing_left(settings) as work:
            await until(lambda: len(work.journal.of(Action.AMI_LOST)) == 1, what="a refused connection")
            assert "Connection refused" in work.last_error
