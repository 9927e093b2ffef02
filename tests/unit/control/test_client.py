"""The client, against the real server and against what is none."""

from __future__ import annotations

import asyncio
import socket
from contextlib import closing
from pathlib import Path

import pytest

from amiguard.control.client import ControlClient, RequestRefused
from amiguard.errors import ControlError
from amiguard.model import Ban, Reason, Target
from tests.unit.control.conftest import ALLOWED, NOW, FakeGuard


@pytest.fixture
def deaf(path: Path) -> Path:
    """A socket file on which nobody listens."""
    path.parent.mkdir()
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as left:
        left.bind(str(path))
    return path


async def test_bans_and_unbans_reach_the_daemon(client: ControlClient, guard: FakeGuard) -> None:
    assert (await client.ban(Target("192.0.2.1"), 60, "scanner"))["remaining"] == 60
    assert (await client.ban(Target("2001:db8::/64"), -1, ""))["until"] is None
    assert (await client.ban(Target("192.0.2.0/24"), None, ""))["remaining"] == 600
    assert guard.running[Target("192.0.2.1")].comment == "scanner"

    assert (await client.unban(Target("2001:db8::/64")))["address"] == "2001:db8::/64"
    assert await client.unban_all() == 2
    assert not guard.running


async def test_all_pages_of_a_long_list_are_told(client: ControlClient, guard: FakeGuard) -> None:
    for number in range(2_500):
        target = Target(f"10.0.{number >> 8}.{number & 255}")
        guard.running[target] = Ban(target, NOW, None, Reason.ACL)

    assert {ban["address"] async for ban in client.bans()} == set(guard.running)
    assert [ban["address"] async for ban in client.bans(Target("10.0.1.1"))] == ["10.0.1.1"]


async def test_a_no_of_the_daemon_is_told_in_its_words(client: ControlClient) -> None:
    with pytest.raises(RequestRefused, match=f"{ALLOWED} is in the allowlist") as refused:
        await client.ban(ALLOWED, None, "")
    assert refused.value.status == 409


async def test_no_socket_no_listener_and_no_http_each_have_their_own_words(deaf: Path) -> None:
    with pytest.raises(ControlError, match="there is no such socket: is amiguard running"):
        await ControlClient(deaf.with_name("other")).status()
    with pytest.raises(ControlError, match="nobody answers: is amiguard running"):
        await ControlClient(deaf).status()
    with pytest.raises(ControlError, match="AF_UNIX path too long"):
        await ControlClient(Path("/tmp/" + "x" * 200)).status()


@pytest.mark.parametrize(
    "answer",
    [
        b"220 mail.example ESMTP\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n<ht>",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]",
        b"",
    ],
)
async def test_what_is_no_amiguard_is_told(path: Path, answer: bytes) -> None:
    async def other(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    path.parent.mkdir()
    async with await asyncio.start_unix_server(other, path):
        with pytest.raises(ControlError, match=r"broke off|is no amiguard"):
            await ControlClient(path).status()
