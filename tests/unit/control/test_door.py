"""aiohttp is there when somebody asks, and not before."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from functools import partial
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

from amiguard.control import door
from amiguard.control.client import ControlClient
from amiguard.control.connections import FULL
from amiguard.control.server import ControlServer
from amiguard.control.settings import Address, ControlSettings
from amiguard.control.stream import Stream
from amiguard.journal import Action
from tests.lab.journal import RecordingJournal
from tests.lab.ports import free_port
from tests.lab.waiting import until
from tests.unit.control.conftest import NOW, FakeGuard, serving

ROOT = Path(__file__).parents[3]
PATIENCE = 30

ASKED_LATE = """
import asyncio, sys, types
from pathlib import Path
sys.modules["amiguard.control.client"] = types.SimpleNamespace(ControlClient=None)  # who asks needs aiohttp at once
from tests.lab.journal import SilentJournal
from tests.unit.control.conftest import FakeGuard, serving

async def main():
    path = Path(sys.argv[1])
    server = serving(path, FakeGuard(), SilentJournal())
    await server.start()
    await asyncio.sleep(0)
    print("aiohttp" in sys.modules)
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(b"GET /healthz HTTP/1.1\\r\\nHost: amiguard\\r\\nConnection: close\\r\\n\\r\\n")
    print((await reader.readline()).decode().strip())
    print("aiohttp" in sys.modules)
    writer.close()
    await server.close()

asyncio.run(main())
"""


def test_the_library_is_imported_when_the_first_client_comes(tmp_path: Path) -> None:
    told = subprocess.run(
        [sys.executable, "-c", ASKED_LATE, str(tmp_path / "socket")],
        check=True,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert told.stdout.splitlines() == ["False", "HTTP/1.1 200 OK", "True"]


async def test_a_client_is_answered_as_soon_as_the_library_can_be_imported(
    client: ControlClient, journal: RecordingJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures = [OSError(24, "Too many open files"), MemoryError()]

    def scarce(name: str) -> ModuleType:
        if failures:
            raise failures.pop()
        return import_module(name)

    monkeypatch.setattr(door, "import_module", scarce)
    monkeypatch.setattr(door, "AGAIN", 0.01)

    assert (await client.status())["ready"]
    assert journal.count(Action.INTERNAL_ERROR) == 2


async def silent(path: Path, held: set[socket.socket]) -> bytes:
    """Connect as soon as there is room in the queue, say nothing, and return what comes until the end."""
    with socket.socket(socket.AF_UNIX) as client:
        client.setblocking(False)
        await until(partial(connected, client, path), PATIENCE, "room in the queue")
        held.add(client)
        told = b""
        while part := await asyncio.get_running_loop().sock_recv(client, 4096):
            told += part
        held.remove(client)
        return told


def connected(client: socket.socket, path: Path) -> bool:
    try:
        client.connect(str(path))
    except BlockingIOError:
        return False
    return True


async def test_a_thousand_who_say_nothing_are_cut_though_they_came_before_the_library(
    server: ControlServer, client: ControlClient, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    imported = threading.Event()

    def slow(name: str) -> ModuleType:
        imported.wait(PATIENCE)
        return import_module(name)

    monkeypatch.setattr(door, "import_module", slow)
    held: set[socket.socket] = set()
    crowd = [asyncio.create_task(silent(path, held)) for _ in range(1000)]
    await until(lambda: len(held) > door.QUEUE, PATIENCE, "a full queue")
    assert len(held) <= door.QUEUE + 1, "the kernel holds the others off"

    imported.set()
    async with asyncio.timeout(PATIENCE):
        told = await asyncio.gather(*crowd)
    assert set(told) <= {b"", FULL}
    assert (await client.status())["ready"]


async def test_a_thousand_who_say_nothing_over_tcp_are_cut_and_the_socket_answers_meanwhile(
    path: Path, guard: FakeGuard, journal: RecordingJournal
) -> None:
    where = Address("127.0.0.1", free_port())
    server = ControlServer(ControlSettings(path, http=where), guard, journal, lambda: NOW, Stream(), patience=0.3)
    await server.start()
    loop, entrance = asyncio.get_running_loop(), asyncio.Semaphore(door.QUEUE // 2)

    async def entered() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        while True:
            with suppress(TimeoutError):  # Linux lets who finds the queue full wait for up to a minute
                async with entrance, asyncio.timeout(0.5):
                    return await asyncio.open_connection(*where)

    async def mute() -> bytes:
        reader, writer = await entered()
        try:
            return await reader.read()
        except ConnectionResetError:
            return b""
        finally:
            writer.close()

    crowd = [loop.create_task(mute()) for _ in range(1000)]
    answered = 0
    async with asyncio.timeout(PATIENCE):
        while not all(task.done() for task in crowd):
            assert (await ControlClient(path).status())["ready"]
            answered += 1
        told = {task.result() for task in crowd}

    assert told <= {b"", FULL}
    assert answered > 1
    await server.close()


async def test_a_server_can_end_while_its_first_client_waits(
    path: Path, guard: FakeGuard, journal: RecordingJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none_left(name: str) -> ModuleType:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(door, "import_module", none_left)
    server = serving(path, guard, journal)
    await server.start()
    reader, writer = await asyncio.open_unix_connection(path)
    await until(lambda: journal.count(Action.INTERNAL_ERROR) == 1, what="the attempt")

    await server.close()
    with pytest.raises(ConnectionResetError):
        await reader.read()
    writer.close()
