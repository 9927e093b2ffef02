from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from amiguard.eventloop import FEW, EventLoop, defer

CROWD = 50


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def pair(stack: ExitStack) -> tuple[socket.socket, socket.socket]:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    return stack.enter_context(ours), stack.enter_context(theirs)


def run(scene: object) -> None:
    with asyncio.Runner(loop_factory=EventLoop) as runner:
        runner.run(scene)  # type: ignore[arg-type]


def test_who_was_deferred_is_told_of_behind_all_others_and_a_few_at_a_time(stack: ExitStack) -> None:
    async def scene() -> None:
        loop, told = asyncio.get_running_loop(), list[str]()

        def tell(name: str, one: socket.socket) -> None:
            one.recv(1)
            told.append(name)

        async def steps() -> None:
            while told.count("crowd") < CROWD:
                await asyncio.sleep(0)
                told.append("step")

        pairs = [pair(stack) for _ in range(CROWD)]
        for ours, _ in pairs:
            defer(ours)
            loop.add_reader(ours, tell, "crowd", ours)
        ours, theirs = pair(stack)
        loop.add_reader(ours, tell, "event", ours)
        for _, other in pairs:
            other.send(b"x")
        theirs.send(b"x")
        await asyncio.wait_for(steps(), 10)

        assert "crowd" not in told[: told.index("event")]
        between = "".join(name[0] for name in told).split("s")
        assert max(step.count("c") for step in between) == FEW
        assert told.count("crowd") == CROWD, "each of them once"
        for one, _ in [*pairs, (ours, theirs)]:
            assert loop.remove_reader(one)
            assert not loop.remove_reader(one)

    run(scene())


def test_a_deferred_connection_reads_and_writes_like_any_other(stack: ExitStack) -> None:
    async def scene() -> None:
        ours, theirs = pair(stack)
        theirs.setblocking(False)
        defer(ours)
        reader, writer = await asyncio.open_connection(sock=ours)
        far_reader, far_writer = await asyncio.open_connection(sock=theirs)
        much = bytes(4 << 20)
        writer.write(much)
        assert len(await far_reader.readexactly(len(much))) == len(much)
        far_writer.write(much)
        assert len(await reader.readexactly(len(much))) == len(much)
        for one in (writer, far_writer):
            one.close()
            await one.wait_closed()

    run(scene())


def test_the_number_of_a_closed_connection_is_deferred_no_more(stack: ExitStack) -> None:
    async def scene() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, EventLoop)
        ours, _ = pair(stack)
        number = ours.fileno()
        defer(ours)
        ours.close()
        other, theirs = pair(stack)
        assert other.fileno() == number, "the kernel gives the lowest number"
        heard = asyncio.Event()
        loop.add_reader(other, heard.set)
        theirs.send(b"x")
        await asyncio.wait_for(heard.wait(), 10)
        assert loop.selector.get_key(number).fd in loop.selector.get_map()
        assert number not in loop.selector._keys
        loop.remove_reader(other)

    run(scene())


async def test_another_loop_defers_nobody(stack: ExitStack) -> None:
    ours, theirs = pair(stack)
    defer(ours)
    theirs.send(b"x")
    assert await asyncio.get_running_loop().sock_recv(ours, 1) == b"x"
