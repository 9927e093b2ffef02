"""Who may take the socket's place, and who may open it."""

from __future__ import annotations

import asyncio
import ctypes
import grp
import os
import socket
import stat
import tempfile
from pathlib import Path

import pytest

from amiguard.control.client import ControlClient
from amiguard.control.listening import listen, share
from amiguard.control.server import ControlServer
from amiguard.control.settings import ControlSettings
from amiguard.control.stream import Stream
from amiguard.errors import ControlError
from amiguard.journal import Action
from tests.lab.journal import RecordingJournal
from tests.unit.control.conftest import NOW, FakeGuard, serving

NOBODY = 65534


def left_behind(path: Path) -> None:
    """Leave a socket file as a killed daemon does."""
    path.parent.mkdir()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as dead:
        dead.bind(str(path))
        dead.listen()


def entries(path: Path) -> list[str]:
    return sorted(entry.name for entry in path.parent.iterdir())


def remove(path: Path) -> None:
    path.unlink()


def group(path: Path) -> int:
    return path.stat().st_gid


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_socket_is_open_to_owner_and_group_only_whatever_the_umask(path: Path) -> None:
    before = os.umask(0)
    try:
        listen(path).close()
    finally:
        os.umask(before)

    assert (mode(path), mode(path.parent)) == (0o660, 0o750)


def test_the_socket_is_never_open_to_others_not_even_at_its_birth(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = os.umask(0)
    born: list[int] = []
    chmod = Path.chmod

    def spy(self: Path, wanted: int) -> None:
        if self == path:
            born.append(mode(path))
        chmod(self, wanted)

    monkeypatch.setattr(Path, "chmod", spy)
    try:
        listen(path).close()
    finally:
        os.umask(before)

    assert born == [0o660]


@pytest.mark.netns
async def test_the_group_may_use_the_socket_and_the_log_says_where_and_who(
    path: Path, guard: FakeGuard, journal: RecordingJournal
) -> None:
    server = ControlServer(ControlSettings(path, group="daemon"), guard, journal, lambda: NOW, Stream())
    await server.start()

    assert (group(path), mode(path)) == (grp.getgrnam("daemon").gr_gid, 0o660)
    [line] = journal.of(Action.CONTROL_OPENED)
    assert line.message == f"commands are taken at {path}"
    assert line.fields == {"path": str(path), "group": "daemon", "http": ""}
    await server.close()


async def test_a_group_that_does_not_exist_is_said_and_the_socket_stays_closed_to_others(
    path: Path, guard: FakeGuard, journal: RecordingJournal
) -> None:
    server = ControlServer(ControlSettings(path, group="nosuch"), guard, journal, lambda: NOW, Stream())
    await server.start()

    assert (group(path), mode(path)) == (os.getegid(), 0o660)
    [line] = journal.of(Action.CONTROL_OPENED)
    assert line.message.endswith("; for root and the own user only: there is no group nosuch")
    await server.close()


@pytest.mark.netns
def test_who_is_no_member_can_not_give_the_socket_to_a_group() -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        path = Path(folder) / "amiguard.sock"
        listen(path).close()
        set_user = ctypes.CDLL(None).setfsuid  # Linux takes CAP_CHOWN away with it (capabilities(7))
        set_user(NOBODY)
        try:
            problem = share(path, "daemon")
        finally:
            set_user(0)

    assert problem == "the socket can't be given to group daemon: Operation not permitted"


async def test_a_socket_that_a_killed_daemon_left_is_replaced(
    path: Path, guard: FakeGuard, journal: RecordingJournal
) -> None:
    left_behind(path)
    server = serving(path, guard, journal)

    await server.start()

    assert (await ControlClient(path).status())["ready"] is True
    await server.close()


async def test_a_second_daemon_is_refused_and_the_first_goes_on(
    path: Path, client: ControlClient, guard: FakeGuard, journal: RecordingJournal
) -> None:
    second = serving(path, guard, journal)

    with pytest.raises(ControlError, match=f"another amiguard answers on {path}"):
        await second.start()
    await second.close()

    assert (await client.status())["ready"] is True


def test_a_daemon_that_is_too_busy_to_answer_is_not_robbed(path: Path) -> None:
    path.parent.mkdir()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as busy:
        busy.bind(str(path))
        busy.listen(0)
        callers = [socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) for _ in range(2)]
        for caller in callers:
            caller.setblocking(False)
            caller.connect_ex(str(path))

        with pytest.raises(ControlError, match="another amiguard answers"):
            listen(path)

        for caller in callers:
            caller.close()
    assert path.exists()


def test_a_file_that_is_no_socket_is_left_alone(path: Path) -> None:
    path.parent.mkdir()
    path.write_text("precious")

    with pytest.raises(ControlError, match="is no socket"):
        listen(path)

    assert path.read_text() == "precious"


def test_a_path_that_no_socket_can_have_is_told(tmp_path: Path) -> None:
    with pytest.raises(ControlError, match="can't be opened: AF_UNIX path too long"):
        listen(tmp_path / ("x" * 120))


def test_a_directory_that_can_not_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("")

    with pytest.raises(ControlError, match="can't be opened: "):
        listen(tmp_path / "run" / "amiguard.sock")


async def test_a_server_that_closes_removes_its_socket_and_nobody_elses(
    path: Path, guard: FakeGuard, journal: RecordingJournal
) -> None:
    server = serving(path, guard, journal)
    await server.start()
    remove(path)
    successor = serving(path, guard, journal)
    await successor.start()

    await server.close()
    await server.close()
    assert entries(path) == ["amiguard.sock"]
    await successor.close()
    assert entries(path) == []


async def test_a_server_closes_while_clients_hang_on_it(
    path: Path, guard: FakeGuard, journal: RecordingJournal
) -> None:
    server = serving(path, guard, journal)
    await server.start()
    connections = [await asyncio.open_unix_connection(path) for _ in range(3)]
    connections[0][1].write(b"GET /hea")
    connections[2][1].write(b"GET /healthz HTTP/1.1\r\nHost: amiguard\r\n\r\n")
    assert await connections[2][0].readuntil(b"}")

    async with asyncio.timeout(5):
        await server.close()

    for reader, writer in connections:
        async with asyncio.timeout(5):
            assert await reader.read() == b""
        writer.close()
