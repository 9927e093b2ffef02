"""The daemon: `amiguard run` with real settings, its log as it comes, and the commands that ask it."""

from __future__ import annotations

import asyncio
import json
import os
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

from amiguard.demo.namespaces import Namespace
from amiguard.demo.network import MANAGER, SMTP
from amiguard.demo.processes import AMIGUARD, end, output_of, running
from amiguard.demo.seeing import NotSeen, within
from amiguard.demo.server import Server
from amiguard.journal import Action

SOON = 15.0
"""Seconds in which a line of the log has to come."""

ADMINISTRATOR = "admin@example.org"


class Line(NamedTuple):
    """A line of the log, and when it was read, on the loop's clock."""

    at: float
    text: str
    fields: dict[str, Any]


class Guarded:
    """A running daemon."""

    def __init__(self, namespace: Namespace, process: Process, env: dict[str, str], errors: Path) -> None:
        self._namespace = namespace
        self._process = process
        self._env = env
        self._errors = errors
        self._lines: list[Line] = []
        self._ended = False
        self._came = asyncio.Condition()

    async def told(self, action: Action, count: int = 1) -> list[Line]:
        """Wait until the log has `count` lines of this action, and return them.

        Raises:
            NotSeen: they do not come; the message ends with what the daemon said last.
        """

        def found() -> list[Line]:
            return [line for line in self._lines if line.fields["event.action"] == action]

        what = f"{count} times {action.value!r} in the log"
        async with within(SOON, what), self._came:
            await self._came.wait_for(lambda: self._ended or len(found()) >= count)
        if len(found()) < count:
            last = [line.text for line in self._lines[-3:]]
            raise NotSeen("\n".join([f"{what}: the daemon has ended", *last, self._errors.read_text().rstrip()]))
        return found()

    async def command(self, *arguments: str) -> str:
        """Return what `amiguard ARGUMENTS` writes. Raises NotSeen."""
        return await output_of(self._namespace, [*AMIGUARD, *arguments], self._env)

    async def stop(self) -> int:
        """End the daemon as systemd does, and return its exit code."""
        return await end(self._process)

    async def follow(self, stream: asyncio.StreamReader) -> None:
        """Read the log until its end."""
        clock = asyncio.get_running_loop().time
        while line := await stream.readline():
            text = line.decode().rstrip("\n")
            self._lines.append(Line(clock(), text, json.loads(text)))
            async with self._came:
                self._came.notify_all()
        self._ended = True
        async with self._came:
            self._came.notify_all()


@asynccontextmanager
async def guarded(namespace: Namespace, server: Server, folder: Path) -> AsyncIterator[Guarded]:
    """Run the daemon until the end of the block; everything it writes goes into `folder`."""
    env = environment(server, folder)
    errors = folder / "errors"
    with errors.open("wb") as stderr:
        async with running(namespace, [*AMIGUARD, "run"], env, stderr=stderr) as process:
            daemon = Guarded(namespace, process, env, errors)
            stdout = process.stdout
            if stdout is None:
                raise NotSeen("the daemon's log")
            following = asyncio.create_task(daemon.follow(stdout))
            try:
                yield daemon
            finally:
                await end(process)
                await following


def environment(server: Server, folder: Path) -> dict[str, str]:
    """Return the environment of the daemon and of the commands: nothing of this machine's own amiguard is in it."""
    (folder / "secrets").mkdir()
    settings = {
        "AMI_HOST": MANAGER[0],
        "AMI_PORT": str(MANAGER[1]),
        "AMI_USERNAME": server.manager_user,
        "AMI_SECRET": server.manager_secret,
        "DATABASE": str(folder / "amiguard.db"),
        "CONTROL_SOCKET": str(folder / "amiguard.sock"),
        "SECRETS_DIR": str(folder / "secrets"),
        "MAIL_TO": ADMINISTRATOR,
        "MAIL_FROM": "amiguard@example.org",
        "MAIL_EVENTS": "ban",
        "SMTP_HOST": SMTP[0],
        "SMTP_PORT": str(SMTP[1]),
        "WHOIS": "false",  # nobody can be asked from a private network
    }
    inherited = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL", "TZ") if name in os.environ}
    return inherited | {f"AMIGUARD_{name}": value for name, value in settings.items()}
