"""The commands that docs/operations.md shows for a running daemon are ones that work."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from tests.lab.daemon import ROOT
from tests.lab.documents import blocks
from tests.lab.stage import Stage
from tests.lab.waiting import until

pytestmark = pytest.mark.netns

SOCKET = "/run/amiguard/amiguard.sock"
BANNED = "192.0.2.1"
BLOCKLIST = "203.0.113.0/24  # a whole network\n203.0.113.7\n2001:db8::1\n"
ENDLESS = "amiguard tail"
BRANCHES = "192.0.2.64/28\n192.0.2.99\n"
PATIENCE = 30


def commands() -> list[str]:
    """Return the lines of the section's shell blocks."""
    return [line for block in blocks("docs/operations.md", "Asking the running daemon") for line in block.splitlines()]


async def test_each_command_for_a_running_daemon_works(place: Stage) -> None:
    daemon = await place.site.up()
    await place.guess(BANNED, times=5)
    await until(lambda: daemon.banned() == [BANNED], what="the ban")
    folder = place.site.folder / "shell"
    prepare(folder)
    environment = place.site.environment | {"PATH": f"{folder}:/usr/sbin:/usr/bin:/sbin:/bin"}

    for command in commands():
        line = command.replace(SOCKET, environment["AMIGUARD_CONTROL_SOCKET"])
        endless = command.startswith(ENDLESS)
        if endless:
            line = f"timeout --signal=INT 3 {line}"
        with place.namespace.entered():
            process = await asyncio.create_subprocess_exec(
                *("sh", "-c", line), cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
            )
        async with asyncio.timeout(PATIENCE):
            out, err = await process.communicate()
        assert process.returncode == (124 if endless else 0), (command, out, err)
        assert b'"error"' not in out, (command, out)
        assert not endless or b'"event.action":"ban"' in out.replace(b'": "', b'":"')


def prepare(folder: Path) -> None:
    """Make a folder with what the commands expect, and `amiguard` itself."""
    folder.mkdir()
    (folder / "blocklist.txt").write_text(BLOCKLIST)
    (folder / "branches.txt").write_text(BRANCHES)
    program = folder / "amiguard"
    program.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m amiguard "$@"\n')
    program.chmod(0o755)
