"""A daemon that guards a real Asterisk, what it counts, and attackers."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from tests.lab import iax
from tests.lab.asterisk import SERVER4, Asterisk
from tests.lab.daemon import Daemon, Site
from tests.lab.mixture import sip
from tests.lab.sip import Phone
from tests.lab.waiting import until

BOTH = {"AMI_USERNAME": "secmon", "AMI_SECRET": "secmon-secret"}
BARRIERS = iter(range(1, 250))


@asynccontextmanager
async def guarded(
    asterisk: Asterisk, folder: Path, logs: Sequence[Path], settings: dict[str, str]
) -> AsyncIterator[Daemon]:
    site = Site(asterisk.server, folder, {"ASTERISK_LOG": " ".join(map(str, logs)), **settings})
    daemon = site.start()
    try:
        await daemon.told("log-opened", len(logs))
        if "AMI_USERNAME" in settings:
            await daemon.told("ami-connected")
        yield daemon
        assert await daemon.stop() == 0
        assert daemon.errors == ""
    finally:
        daemon.kill()  # a test that failed must not leave its table's owner to the next
        asterisk.server.run(["nft", "flush", "ruleset"])


def failures(daemon: Daemon) -> Counter[str]:
    return Counter(line["source.ip"] for line in daemon.lines("failure", "injection"))


def has_told(daemon: Daemon, made: Counter[str]) -> bool:
    return made <= failures(daemon)


async def a_second_later() -> None:
    """Let a new second begin: amiguard writes at most 500 failures in each."""
    now = time.time()
    await until(lambda: time.time() // 1 > now // 1, what="the next second")


async def all_told(asterisk: Asterisk, daemon: Daemon) -> None:
    """Wait until both witnesses have told of everything so far: each tells of something that only it can know."""
    address = f"10.99.152.{next(BARRIERS)}"
    await sip(asterisk, address, user="%0d%0aX%3a%20y")
    await until(lambda: any(line["source.ip"] == address for line in daemon.lines("injection")), 20, "AMI's last word")
    address = f"10.99.153.{next(BARRIERS)}"
    await iax.register(asterisk.attackers, address, SERVER4, b"last")
    await until(lambda: failures(daemon)[address] == 1, 20, "the log's last word")


async def guesses(asterisk: Asterisk, source: str, times: int, transport: str = "udp", via: str = "") -> None:
    """Try so many wrong passwords; who is banned meanwhile gets no answer."""
    with suppress(TimeoutError, OSError, EOFError):
        async with asterisk.connect(source, transport) as connection:
            for _ in range(times):
                async with asyncio.timeout(0.5):
                    await Phone(connection, "6001", "wrong", via=via).register()


async def guess(asterisk: Asterisk, source: str, times: int) -> None:
    """Try so many wrong passwords, and be answered each time.

    Raises:
        TimeoutError: no answer came.
    """
    for number in range(times):
        async with asterisk.connect(source) as connection:
            assert await Phone(connection, "6001", f"guess{number}").register() in {401, 403}
