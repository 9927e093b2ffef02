"""The faults: how each comes about and ends, and which lines of the log tell of both."""

from __future__ import annotations

import resource
import sqlite3
import subprocess
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing
from dataclasses import dataclass, field, replace
from functools import partial

from tests.chaos.arena import Arena, fill, idle
from tests.chaos.services import Talk, be_silent, dawdle, lie
from tests.lab.daemon import NOBODY, Daemon, Line
from tests.lab.fakeami import Login
from tests.lab.waiting import until

STANDARD_FILES = 3
"""Standard input, output and error."""

Happening = Callable[[Arena, Daemon], AbstractAsyncContextManager[None]]


@dataclass(frozen=True, slots=True)
class Fault:
    """`happens` lasts as long as its context. `told` and `over` are the actions that tell of it and of its end, `words`
    stand in the line that names it, and `within` are the seconds until either, at most.

    While not `heard`, the log alone tells of attackers. While not `drops`, the kernel can't be made to. Of a `group`
    only one can happen at a time: so that somebody tells of attackers, and what the kernel forgets is remembered.
    `slow` ones are left to `make chaos`."""

    happens: Happening
    told: str
    over: str
    words: str = ""
    within: float = 15
    heard: bool = True
    drops: bool = True
    group: str = ""
    slow: bool = False
    settings: Mapping[str, str] = field(default_factory=dict)

    def names(self, line: Line) -> bool:
        """Tell whether this line of the log names the fault."""
        return line["event.action"] == self.told and self.words in line["message"] + line.get("error.message", "")


# ---- Asterisk's manager interface ----------------------------------------------------------------------------------


@asynccontextmanager
async def ami_is_gone(arena: Arena, _: Daemon) -> AsyncIterator[None]:
    """Asterisk restarts: connections are reset, and nobody listens until it is back."""
    server = arena.stage.server
    await server.__aexit__(None, None, None)
    yield
    with arena.stage.namespace.entered():
        await server.__aenter__()


@asynccontextmanager
async def ami_is_half_open(arena: Arena, _: Daemon) -> AsyncIterator[None]:
    """The packets of both directions vanish, and no connection is closed."""
    port = arena.stage.server.port
    lines = ("type filter hook output priority 0", f"tcp dport {port} drop", f"tcp sport {port} drop")
    chain = "\n".join(["table ip fault {", "chain output {", *lines, "}", "}\n"])
    arena.stage.namespace.run(["nft", "-f", "-"], stdin=chain)
    yield
    arena.stage.namespace.run(["nft", "delete", "table", "ip", "fault"])
    arena.stage.server.kick()  # what it still takes for connections


@asynccontextmanager
async def ami_answers(arena: Arena, _: Daemon, **script: object) -> AsyncIterator[None]:
    """Asterisk ends the connection, and answers the next ones in another way."""
    server = arena.stage.server
    before, server.script = server.script, replace(server.script, **script)  # type: ignore[arg-type]
    server.kick()
    yield
    server.script = before
    server.kick()


@asynccontextmanager
async def ami_sends_no_end(arena: Arena, _: Daemon) -> AsyncIterator[None]:
    """Garbage in the middle of a session: a block of 16 MiB that never ends."""
    await arena.stage.server.play(b"Event: \x00\xff" + b"x" * (16 << 20))
    yield


# ---- Asterisk's log -----------------------------------------------------------------------------------------------


@asynccontextmanager
async def log_is_rotated(arena: Arena, _: Daemon) -> AsyncIterator[None]:
    """A new log begins, while the old one is still written to."""
    arena.log.rename(arena.log.with_name(f"rotated.{len(arena.dropped)}"))
    arena.log.touch(mode=0o644)
    arena.write("[2026-11-27 10:00:00.000] VERBOSE[1] logger.c: Asterisk Queue Logger restarted\n")
    yield
    arena.log.rename(arena.log.with_name(f"again.{len(arena.dropped)}"))
    arena.log.touch(mode=0o644)
    arena.write("[2026-11-27 10:00:00.000] VERBOSE[1] logger.c: Asterisk Queue Logger restarted\n")


@asynccontextmanager
async def log_may_not_be_read(arena: Arena, _: Daemon) -> AsyncIterator[None]:
    """A rotation makes a new log that only root may read."""
    arena.log.rename(arena.log.with_name(f"full.{len(arena.dropped)}"))
    arena.log.touch(mode=0o600)
    arena.log.chmod(0o600)
    yield
    arena.log.chmod(0o644)


# ---- the database --------------------------------------------------------------------------------------------------


@asynccontextmanager
async def disk_is_full(arena: Arena, _: Daemon) -> AsyncIterator[None]:
    """Neither the database nor the mails find room."""
    ballast = arena.disk / "ballast"
    fill(ballast)
    await arena.bans()  # so that there is something to write
    yield
    ballast.unlink()


@asynccontextmanager
async def database_is_locked(arena: Arena, _: Daemon) -> AsyncIterator[None]:
    """Another process holds the database."""
    with closing(sqlite3.connect(arena.database, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        await arena.bans()
        yield


# ---- the kernel ----------------------------------------------------------------------------------------------------


@asynccontextmanager
async def kernel_forgets(arena: Arena, _: Daemon) -> AsyncIterator[None]:
    """Somebody empties nftables."""
    arena.stage.namespace.run(["nft", "flush", "ruleset"])
    yield


@asynccontextmanager
async def kernel_refuses(arena: Arena, daemon: Daemon) -> AsyncIterator[None]:
    """EPERM: another process takes the table away and owns one of its name, as long as it lives."""
    await idle(daemon)  # the database is a moment behind the kernel, and now alone remembers
    thief = arena.stage.namespace.popen(["sh", "-c", "exec nft -i >/dev/null"], stdin=-1)
    assert thief.stdin is not None
    thief.stdin.write(b"delete table inet amiguard; add table inet amiguard { flags owner; }\n")
    thief.stdin.flush()
    yield
    thief.stdin.close()
    await until(lambda: thief.poll() is not None, what="the other owner ends")


# ---- mail and webhook ----------------------------------------------------------------------------------------------


@asynccontextmanager
async def mail_server(arena: Arena, _: Daemon, talk: Talk | None) -> AsyncIterator[None]:
    async with arena.mail.talking(talk):
        await arena.bans()  # so that there is something to tell
        yield


@asynccontextmanager
async def webhook(arena: Arena, _: Daemon, talk: Talk | None) -> AsyncIterator[None]:
    async with arena.receiver.talking(talk):
        await arena.bans()
        yield


# ---- Redis and DNS --------------------------------------------------------------------------------------------------


@asynccontextmanager
async def redis(arena: Arena, _: Daemon, talk: Talk | None) -> AsyncIterator[None]:
    async with arena.redis.talking(talk):
        yield


@asynccontextmanager
async def name_server(arena: Arena, _: Daemon, *, dead: bool = False, garbage: bytes = b"") -> AsyncIterator[None]:
    arena.zone.dead, arena.zone.garbage = dead, garbage
    yield
    arena.zone.dead, arena.zone.garbage = False, b""


# ---- the process ---------------------------------------------------------------------------------------------------


@asynccontextmanager
async def no_file_descriptor_is_left(arena: Arena, daemon: Daemon) -> AsyncIterator[None]:
    """The limit of open files is reached, just when AMI has to be dialled anew."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)  # which it has from us
    limit_files(daemon, STANDARD_FILES)  # what is open stays open
    arena.stage.server.kick()
    yield
    if daemon.process.poll() is None:
        limit_files(daemon, soft)


def limit_files(daemon: Daemon, count: int) -> None:
    """Set how many files the daemon may have; as its own user, for root may not where it lacks CAP_SYS_RESOURCE."""
    as_it = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    subprocess.run([*as_it, "prlimit", f"--pid={daemon.pid}", f"--nofile={count}:"], check=True)


AMI = partial(Fault, told="ami-lost", over="ami-connected", heard=False, group="ami")
KERNEL = partial(Fault, over="firewall-healed", settings={"FIREWALL_OWNER": "false"})
MAIL = partial(Fault, told="mail-failed", over="mail-sent", within=30, group="mail", slow=True)
WEBHOOK = partial(Fault, told="webhook-failed", over="webhook-recovered", within=30, group="webhook")
REDIS = partial(Fault, told="fleet-lost", over="fleet-connected", within=30, group="fleet")
DNS = partial(Fault, told="name-failed", over="name-recovered", within=120, group="dns", slow=True)
DATABASE = partial(Fault, told="store-failed", over="store-recovered", within=30, group="memory")

FAULTS = {
    "AMI restarts": AMI(ami_is_gone, words="Connection refused"),
    "AMI sends a block without end": AMI(ami_sends_no_end, words="longer than"),
    "AMI is no Asterisk": AMI(
        partial(ami_answers, banner=(b"HTTP/1.1 400 Bad\r\n",)), words="not an Asterisk", slow=True
    ),
    "AMI is half-open": AMI(ami_is_half_open, within=60, slow=True),
    "AMI is silent": AMI(partial(ami_answers, banner=()), words="no banner", within=60, slow=True),
    "AMI answers no login": AMI(partial(ami_answers, login=Login.SILENT), words="within", within=60, slow=True),
    "AMI's secret is wrong": AMI(partial(ami_answers, secret="another"), words="refused", within=90, slow=True),
    "no file descriptor is left": AMI(no_file_descriptor_is_left, words="Too many open files"),
    "the log may not be read": Fault(
        log_may_not_be_read, "log-lost", "log-opened", "can't be read", group="ami", slow=True
    ),
    "the log is rotated": Fault(log_is_rotated, "log-opened", "log-opened", group="ami"),
    "the disk is full": DATABASE(disk_is_full, words="the disk is full"),
    "the database is locked": DATABASE(database_is_locked, words="is locked", slow=True),
    "the kernel forgets": KERNEL(kernel_forgets, "firewall-healed", group="kernel"),
    "the kernel refuses": KERNEL(kernel_refuses, "firewall-failed", within=30, drops=False, group="memory"),
    "the mail server is dead": MAIL(partial(mail_server, talk=None)),
    "the mail server lies": MAIL(partial(mail_server, talk=lie)),
    "the mail server is silent": MAIL(partial(mail_server, talk=be_silent), within=90),
    "the webhook is dead": WEBHOOK(partial(webhook, talk=None), slow=True),
    "the webhook lies": WEBHOOK(partial(webhook, talk=lie)),
    "the webhook is silent": WEBHOOK(partial(webhook, talk=be_silent), within=60, slow=True),
    "the webhook is slow": WEBHOOK(partial(webhook, talk=dawdle), within=60, slow=True),
    "the mail server is slow": MAIL(partial(mail_server, talk=dawdle), within=90),
    "Redis is dead": REDIS(partial(redis, talk=None)),
    "Redis is silent": REDIS(partial(redis, talk=be_silent), slow=True),
    "Redis is slow": REDIS(partial(redis, talk=dawdle), slow=True),
    "Redis lies": REDIS(partial(redis, talk=lie), slow=True),
    "DNS is silent": DNS(partial(name_server, dead=True)),
    "DNS lies": DNS(partial(name_server, garbage=b"\x81\x80\0\1\0\1lies")),
}
