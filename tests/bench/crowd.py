"""A hundred clients that read the control interface, and ten that mean no good: `python -m tests.bench.crowd PORT`.

A process of its own, so that what the crowd costs itself is not measured. It tells when all are there, and ends with
its standard input. Without a PORT it only takes the CPU: what a crowd anywhere on this machine costs."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

import aiohttp

READERS = 100
EVERY = 1.0
"""Seconds between two questions of one reader: a page that is open asks less."""

HOST = "127.0.0.1"
HEAD = b"GET /api/v1/status HTTP/1.1\r\nHost: localhost\r\n"

Client = Callable[[int], Coroutine[Any, Any, None]]


async def watch(port: int) -> None:
    """Follow the events."""
    async with (
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None)) as http,
        http.get(f"http://{HOST}:{port}/api/v1/events") as answer,
    ):
        async for _ in answer.content.iter_any():
            pass


async def look(port: int) -> None:
    """Ask for the status and a page of bans, again and again."""
    async with aiohttp.ClientSession() as http:
        while True:
            for route in ("/api/v1/status", "/api/v1/bans?limit=100"):
                async with http.get(f"http://{HOST}:{port}{route}") as answer:
                    await answer.read()
            await asyncio.sleep(EVERY)


async def insist(port: int) -> None:
    """Ask without end."""
    reader, writer = await asyncio.open_connection(HOST, port)
    with suppress(ConnectionError):
        while True:
            writer.write(HEAD + b"\r\n")
            await writer.drain()
            if not await reader.read(65536):
                return


async def trickle(port: int) -> None:
    """Send a request that never ends, a byte at a time."""
    _, writer = await asyncio.open_connection(HOST, port)
    with suppress(ConnectionError):
        writer.write(HEAD)
        while True:
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.05)


async def come_and_go(port: int) -> None:
    """Connect and leave, as fast as it goes."""
    for _ in range(100):
        with suppress(ConnectionError):
            _, writer = await asyncio.open_connection(HOST, port)
            writer.write(b"\x16\x03\x01\r\n\r\n")
            writer.close()


async def stuff(port: int) -> None:
    """Send a body of a megabyte."""
    reader, writer = await asyncio.open_connection(HOST, port)
    with suppress(ConnectionError):
        head = b"POST /api/v1/bans HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        writer.write(head + b"Content-Length: 1000000\r\n\r\n" + b"[" * 1_000_000)
        await writer.drain()
        await reader.read()
    writer.close()


async def stay_deaf(port: int) -> None:
    """Ask for the events, and read nothing."""
    _, writer = await asyncio.open_connection(HOST, port)
    writer.write(b"GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
    await asyncio.sleep(3600)


HOSTILE: tuple[Client, ...] = (insist, insist, insist, insist, trickle, trickle, come_and_go, stuff, stuff, stay_deaf)


async def persistently(client: Client, port: int) -> None:
    """Come back whenever it was cut off."""
    while True:
        with suppress(aiohttp.ClientError, OSError):
            await client(port)
        await asyncio.sleep(0.05)


async def crowd(port: int) -> None:
    """Be there until standard input ends."""
    readers = [watch if number % 2 else look for number in range(READERS)]
    tasks = [asyncio.create_task(persistently(client, port)) for client in (*readers, *HOSTILE)]
    await asyncio.sleep(EVERY)
    sys.stdout.write("here\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.read)
    for task in tasks:
        task.cancel()


def idle() -> None:
    """Take as much of the CPU as there is, and ask nobody anything, until standard input ends."""
    here = threading.Thread(target=sys.stdin.read)
    here.start()
    sys.stdout.write("here\n")
    sys.stdout.flush()
    while here.is_alive():
        sum(range(10_000))


if __name__ == "__main__":
    os.nice(19)  # on few cores, it must not take the CPU from the daemon and from who measures
    if sys.argv[1:]:
        asyncio.run(crowd(int(sys.argv[1])))
    else:
        idle()
