"""A real Asterisk in the demo's network, with as little configuration as the demo needs.

It sees the demo's folder at /mnt, in a mount namespace of its own: no file of the machine's Asterisk, or of the
chroot's, is changed."""

from __future__ import annotations

import asyncio
import os
import secrets
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.resources import files
from pathlib import Path

from amiguard.demo.network import PHONE, Network
from amiguard.demo.processes import running
from amiguard.demo.seeing import NotSeen, within
from amiguard.demo.server import ACCOUNT, Server
from amiguard.demo.sip import Agent

PROGRAM = "usr/sbin/asterisk"
STATE = "mnt"
BOOT = 30.0
"""Seconds that Asterisk gets to start."""

ANSWER = 0.2
"""Seconds after which a REGISTER counts as not heard."""

MANAGER_USER = "amiguard"
START = f"""
mount --bind "$2" "$1/{STATE}"
exec chroot "$1" /{PROGRAM} -f -C /{STATE}/etc/asterisk.conf
"""
FOLDERS = ("etc", "db", "keys", "log", "run", "spool")


@asynccontextmanager
async def real_asterisk(network: Network, root: Path, folder: Path) -> AsyncIterator[Server]:
    """Run the Asterisk of the file system `root` until the end of the block; what it writes goes into `folder`.

    Raises:
        NotSeen: there is none, or it does not start; the message ends with what it said.
    """
    if not (root / PROGRAM).is_file():
        hint = "install asterisk, or name a chroot that has it: --asterisk-root DIR" if root == Path("/") else ""
        raise NotSeen(f"there is no {root / PROGRAM}; {hint}".rstrip("; "))
    server = Server("a real Asterisk", secrets.token_hex(8), MANAGER_USER, secrets.token_hex(16))
    state = folder / "asterisk"
    configure(state, server)
    console = state / "log/console"
    argv: list[str | Path] = ["unshare", "--mount", "sh", "-euc", START, "sh", root, state]
    env = {"PATH": os.environ.get("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")}
    with console.open("wb") as output:
        async with running(network.server, argv, env, stdout=output) as process:
            async with within(BOOT, "Asterisk's answer to a REGISTER"):
                await _booted(network, process, console)
            yield server


def configure(state: Path, server: Server) -> None:
    """Write Asterisk's configuration, for the paths that it sees."""
    for name in FOLDERS:
        (state / name).mkdir(parents=True)
    words = {
        "@state@": f"/{STATE}",
        "@account@": ACCOUNT,
        "@password@": server.password,
        "@manager_user@": server.manager_user,
        "@manager_secret@": server.manager_secret,
    }
    for template in (files("amiguard.demo") / "etc").iterdir():
        text = template.read_text()
        for word, value in words.items():
            text = text.replace(word, value)
        (state / "etc" / template.name).write_text(text)


async def _booted(network: Network, process: Process, console: Path) -> None:
    """Wait until Asterisk speaks SIP. Raises NotSeen: it has ended."""
    ended = asyncio.create_task(process.wait())
    try:
        while not await _answers(network):
            await asyncio.wait({ended}, timeout=ANSWER)
            if ended.done():
                raise NotSeen(f"Asterisk has ended:\n{_end_of(console)}")
    finally:
        ended.cancel()


def _end_of(console: Path) -> str:
    return console.read_text(errors="replace")[-3000:].strip()


async def _answers(network: Network) -> bool:
    """Tell whether Asterisk answers a phone's first REGISTER within a moment."""
    with Agent(network.outside, PHONE, ACCOUNT) as agent:
        try:
            agent.send()
            await agent.answer(ANSWER)
        except NotSeen:
            return False
    return True
