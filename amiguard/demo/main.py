"""The life of the demo: set up, play, remove everything, whatever happens."""

from __future__ import annotations

import asyncio
import os
import signal
import tempfile
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from amiguard import __version__
from amiguard.demo.asterisk import real_asterisk
from amiguard.demo.guarded import guarded
from amiguard.demo.mailbox import mail_server
from amiguard.demo.network import ATTACKER, PHONE, SERVER, Network, network
from amiguard.demo.seeing import NotSeen
from amiguard.demo.server import Server
from amiguard.demo.show import Screen
from amiguard.demo.standin import stand_in
from amiguard.demo.story import Story
from amiguard.errors import AmiguardError

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def run(asterisk_root: Path | None = None) -> int:
    """Play, against the real Asterisk under `asterisk_root` or a stand-in (None).

    Returns:
        0 if every step was seen; 1 if one was not, or somebody interrupted.
    """
    screen = Screen()
    if os.geteuid() != 0:
        screen.missing("root, for network namespaces and nftables: sudo amiguard demo")
        return 1
    try:
        with network() as made, tempfile.TemporaryDirectory(prefix="amiguard-demo-") as folder:
            seen = _seen(screen, made, Path(folder), asterisk_root)
    except NotSeen as error:
        screen.missing(str(error))
        return 1
    screen.end("All is removed: the network namespaces and their nftables, the processes, the files.", good=seen)
    return 0 if seen else 1


def _seen(screen: Screen, made: Network, folder: Path, asterisk_root: Path | None) -> bool:
    """Play, and tell whether every step was seen."""
    try:
        asyncio.run(_play(screen, made, folder, asterisk_root))
    except AmiguardError as error:
        screen.missing(str(error))
    except (asyncio.CancelledError, KeyboardInterrupt):
        screen.missing("the rest: interrupted")
    else:
        return True
    return False


async def _play(screen: Screen, made: Network, folder: Path, asterisk_root: Path | None) -> None:
    _cancel_at_signals()
    server: AbstractAsyncContextManager[Server]
    server = stand_in(made.server) if asterisk_root is None else real_asterisk(made, asterisk_root, folder)
    async with server as served, mail_server(made.server) as mailbox, guarded(made.server, served, folder) as daemon:
        screen.title(
            f"amiguard {__version__}: an attack in a private network, and what becomes of it",
            {SERVER: f"{served.words}; amiguard; a mail server", ATTACKER: "an attacker", PHONE: "an honest phone"},
        )
        await Story(screen, made, served, daemon, mailbox).tell()


def _cancel_at_signals() -> None:
    """Let the first signal end the demo in good order; what follows finds it ending already."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    if task is None:
        raise NotSeen("a task to run in")
    waiting = [task]

    def interrupted() -> None:
        if waiting:
            waiting.pop().cancel()

    for number in SIGNALS:
        loop.add_signal_handler(number, interrupted)
