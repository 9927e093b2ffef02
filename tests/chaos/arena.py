"""All that a daemon depends on, working: Asterisk's manager interface and log, mail, a webhook, Redis, DNS, a disk."""

from __future__ import annotations

import errno
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from itertools import count
from pathlib import Path

from amiguard.errors import ControlError
from tests.chaos.services import Service, hand_on, take_mail, take_post
from tests.lab.daemon import NOBODY, Daemon, unprivileged
from tests.lab.dnsserver import Zone, serving
from tests.lab.guessing import attacker
from tests.lab.redis import Redis
from tests.lab.stage import Stage, stage
from tests.lab.waiting import until
from tests.unit.stores.conftest import tmpfs

NAME = "office.example.org"
"""Who is never banned, by a name."""

DISK = "4m"
"""The size of the file system that holds the database and the spool."""

PROMPT = 10.0
"""Seconds within which an attacker is dropped, whatever else happens: a bound for a busy machine, not a goal."""

GROWTH = 32 << 20
"""Bytes by which the daemon may grow over all that it goes through."""


@dataclass
class Arena:
    """Where faults happen. `attackers` are all different; `dropped` is who was seen to be dropped."""

    stage: Stage
    mail: Service
    receiver: Service
    redis: Service
    zone: Zone
    log: Path
    disk: Path
    attackers: Iterator[str] = field(default_factory=lambda: map(attacker, count(1)))
    dropped: list[str] = field(default_factory=list)
    _calls: Iterator[int] = field(default_factory=count)

    @property
    def database(self) -> Path:
        """The SQLite file."""
        return self.disk / "amiguard.db"

    async def up(self) -> Daemon:
        """Start a daemon as packages do, unprivileged, and wait until Asterisk is heard and its log is read."""
        daemon = self.stage.site.start(unprivileged(self.log.with_name("resolv.conf")))
        for action in ("ami-connected", "log-opened", "fleet-connected"):
            await daemon.told(action)
        return daemon

    async def bans(self, heard: bool = True) -> str:
        """Let somebody new guess; return him once the kernel drops him. Without `heard` the log alone tells of it."""
        address = next(self.attackers)
        if heard:
            await self.stage.guess(address, times=5)
        else:
            self.write(*[f"{self.failed(address)}\n"] * 5)
        await until(lambda: address in self.stage.site.kernel(), PROMPT, f"{address} is dropped")
        self.dropped.append(address)
        return address

    def failed(self, address: str) -> str:
        """Return the line that Asterisk writes of a wrong password, without its line feed."""
        now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
        return (
            f"[{now}] NOTICE[4242] res_pjsip/pjsip_distributor.c: Request 'REGISTER' from '<sip:6001@192.0.2.1>'"
            f" failed for '{address}:5060' (callid: {next(self._calls)}) - Failed to authenticate"
        )

    def write(self, *texts: str) -> None:
        """Append to Asterisk's log."""
        with self.log.open("a") as log:
            log.writelines(texts)

    async def still_drops(self) -> None:
        """See with real packets that the first and the last who were banned stay outside."""
        wanted = set(self.dropped)  # while a ban is made absolute, two looks at two sets may both miss it
        await until(lambda: wanted <= set(self.stage.site.kernel()), what="all who were banned are in the kernel")
        for address in {self.dropped[0], self.dropped[-1]}:
            assert not await self.stage.arrives(address)


@asynccontextmanager
async def arena(size: str = DISK) -> AsyncIterator[Arena]:
    """Set up all but the daemon; `size` is how much the file system of database and spool takes."""
    async with stage(BANTIME="1h", ASTERISK_TIMEZONE="UTC", WHOIS="false", MAIL_DIGEST="1s") as made:
        site = made.site
        site.give_to_nobody()
        log, disk = site.folder / "full", site.folder / "disk"
        log.touch()
        mail, receiver = Service(made.namespace, take_mail), Service(made.namespace, take_post)
        zone, server = Zone({(NAME, "A"): ["192.0.2.254"]}), Redis(Path(site.folder))
        redis = Service(made.namespace, partial(hand_on, server.socket))
        (site.folder / "resolv.conf").write_text("nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")
        async with AsyncExitStack() as stack:
            stack.enter_context(tmpfs(disk, size))
            os.chown(disk, NOBODY, NOBODY)
            stack.push_async_callback(server.end)
            await server.start()
            with made.namespace.entered():
                await stack.enter_async_context(serving(zone))
            for service in (mail, receiver, redis):
                stack.push_async_callback(service.close)
                await service.open()
            site.settings |= {
                "DATABASE": str(disk / "amiguard.db"),
                "ASTERISK_LOG": str(log),
                "MAIL_TO": "ops@example.org",
                "SMTP_HOST": "127.0.0.1",
                "SMTP_PORT": str(mail.port),
                "WEBHOOK_URL": f"http://127.0.0.1:{receiver.port}/hook",
                "REDIS_URL": f"redis://127.0.0.1:{redis.port}/0",
                "IGNOREIP": f"127.0.0.0/8 {NAME}",
            }
            try:
                yield Arena(made, mail, receiver, redis, zone, log, disk)
                assert "".join(life.errors for life in site.lives) == ""
            finally:
                for life in site.lives:
                    if life.process.poll() is None:
                        life.kill()


def fill(ballast: Path) -> None:
    """Make a file that takes all room that its file system has left."""
    with ballast.open("wb", buffering=0) as file:
        for size in (4096, 1):
            try:
                while file.write(b"\0" * size):
                    pass
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise


async def idle(daemon: Daemon) -> None:
    """Wait until every decision is in the kernel and in the database."""

    async def nothing_waits() -> bool:
        try:
            status = await daemon.status()
        except ControlError:  # busy, or out of file descriptors
            return False
        return bool(status["store"]["waiting"] == status["bans"]["waiting"] == 0)

    await until(nothing_waits, 60, "nothing waits")
