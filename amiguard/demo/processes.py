"""Programs that the demo starts in a network namespace, and that end with it."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import DEVNULL, PIPE, STDOUT, Process
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO

from amiguard.demo.namespaces import Namespace
from amiguard.demo.seeing import NotSeen, within

AMIGUARD = (sys.executable, "-P", "-m", "amiguard")
TETHER = (sys.executable, "-P", "-m", "amiguard.demo.tether")

GRACE = 10.0
"""Seconds that a program gets to end when asked."""

ANSWER = 20.0
"""Seconds that a command gets."""

LONGEST_LINE = 1 << 20


@asynccontextmanager
async def running(
    namespace: Namespace,
    argv: Sequence[str | Path],
    env: Mapping[str, str],
    *,
    stdout: int | IO[bytes] = PIPE,
    stderr: int | IO[bytes] = STDOUT,
) -> AsyncIterator[Process]:
    """Run a program until the end of the block. Who leaves `stdout` a pipe must read it."""
    process = await asyncio.create_subprocess_exec(
        *TETHER,
        str(namespace.descriptor),
        *argv,
        env=env,
        stdin=DEVNULL,
        stdout=stdout,
        stderr=stderr,
        limit=LONGEST_LINE,
        pass_fds=[namespace.descriptor],
        start_new_session=True,  # a Ctrl-C is for the demo alone, which then ends its programs in their order
    )
    try:
        yield process
    finally:
        await end(process)


async def end(process: Process) -> int:
    """Ask a program to end, make it, and return its exit code."""
    if process.returncode is None:
        process.terminate()
        try:
            async with asyncio.timeout(GRACE):
                await process.wait()
        except TimeoutError:
            process.kill()
    return await process.wait()


async def output_of(namespace: Namespace, argv: Sequence[str | Path], env: Mapping[str, str]) -> str:
    """Return what a command writes.

    Raises:
        NotSeen: it failed, or took too long.
    """
    what = " ".join(map(str, argv))
    async with running(namespace, argv, env) as process, within(ANSWER, f"the end of {what}"):
        output, _ = await process.communicate()
    text = output.decode(errors="replace").rstrip()
    if process.returncode != 0:
        raise NotSeen(f"{what} ended with {process.returncode}: {text}")
    return text
