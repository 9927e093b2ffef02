"""Everything that happens to a daemon in the field, at once and without end."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import suppress
from itertools import count, cycle, islice
from random import Random
from typing import Any

from amiguard.errors import ControlError
from amiguard.model import Address, Target
from tests.chaos.arena import Arena
from tests.lab.daemon import Daemon
from tests.lab.fakeami import security_event
from tests.lab.guessing import attacker

SETTINGS = {
    "BANTIME": "60s",
    "UNPROVEN_BANTIME": "60s",
    "RECIDIVE": "0",
    "MAIL_DIGEST": "10s",
    "FIREWALL_OWNER": "false",
}
"""Short bans, so that as many end as begin; and a kernel from which others may take them."""

OVER_AMI = [attacker(number) for number in range(10_000, 13_000)]
IN_THE_LOG = [attacker(number) for number in range(13_000, 14_000)]
IN_FLOODS = [attacker(number) for number in range(14_000, 16_000)]
PHONES = [attacker(number) for number in range(16_000, 16_200)]
QUIET = '[2026-11-27 10:00:00.000] VERBOSE[77][C-0000002a] pbx.c: Executing [s@default:1] NoOp("PJSIP/6001-1", "")\n'

OUTAGE = 5.0
"""Seconds for which a mail server or a webhook is away."""


class Load:
    """What it does is the same in each run but for the times."""

    def __init__(self, place: Arena, daemon: Daemon) -> None:
        self._place = place
        self._daemon = daemon
        self._logins = count()

    async def run(self) -> None:
        """Go on until cancelled."""
        await self._fill()
        over_ami, in_the_log, in_floods = cycle(OVER_AMI), cycle(IN_THE_LOG), cycle(IN_FLOODS)
        jobs: list[Coroutine[Any, Any, None]] = [
            _every(0.25, lambda: self._guess(over_ami, 5)),
            _every(30, lambda: self._guess(in_floods, 300)),
            _every(0.5, lambda: self._log(in_the_log)),
            _every(20, self._rotate),
            _every(0.5, self._log_in),
            _every(1, self._ask),
            _every(3, self._list),
            _every(2, self._change),
            _every(45, self._disturb(Random(1))),
            self._watch(),
            self._watch(),
        ]
        async with asyncio.TaskGroup() as tasks:
            for job in jobs:
                tasks.create_task(job)

    async def _fill(self) -> None:
        """Let 180,000 attempts through the tables that forget the oldest: until it is full, such a table grows."""
        for _ in range(6):
            await self._place.stage.guess(*OVER_AMI, *IN_THE_LOG, *IN_FLOODS, times=5)

    async def _guess(self, who: Iterator[str], many: int) -> None:
        await self._place.stage.guess(*islice(who, many), times=5)

    async def _log(self, who: Iterator[str]) -> None:
        """Let the log tell of two more, and of what concerns nobody."""
        failed = [f"{self._place.failed(address)}\n" for address in islice(who, 2) for _ in range(5)]
        self._place.write(*failed, *[QUIET] * 50)

    async def _rotate(self) -> None:
        """Begin a new log; of the old ones, the last is kept."""
        log = self._place.log
        log.rename(log.with_name("full.1"))
        log.touch(mode=0o644)

    async def _log_in(self) -> None:
        """Let five phones log in."""
        first = next(self._logins) * 5
        for number in range(first, first + 5):
            phone = PHONES[number % len(PHONES)]
            more = (("UsingPassword", "1"), ("SessionTV", "2026-11-27T10:03:45.006+0000"))
            remote = f"IPV4/UDP/{phone}/5060"
            event = security_event("SuccessfulAuth", account=f"7{number % len(PHONES):03}", remote=remote, more=more)
            await self._place.stage.server.play(event)

    async def _ask(self) -> None:
        await self._daemon.status()

    async def _list(self) -> None:
        """Read every page of the bans, and one record."""
        known = [ban["address"] async for ban in self._daemon.control.bans()]
        if known:
            await self._daemon.control.offender(Address(Target(known[0])))

    async def _change(self) -> None:
        """Do what an administrator does."""
        control, target = self._daemon.control, Target("203.0.113.7")
        await control.ban(target, 600, "soak")
        await control.unban(target)
        await control.allow(target, "soak")
        await control.disallow(target)

    async def _watch(self) -> None:
        """See every line as it is written, from anew where that is broken off."""
        while True:
            with suppress(ControlError):
                async for _ in self._daemon.control.events():
                    pass
            await asyncio.sleep(1)

    def _disturb(self, chance: Random) -> Callable[[], Awaitable[None]]:
        """Return what takes something away from the daemon, each time something else."""
        place = self._place

        async def mail() -> None:
            async with place.mail.talking(None):
                await asyncio.sleep(OUTAGE)

        async def webhook() -> None:
            async with place.receiver.talking(None):
                await asyncio.sleep(OUTAGE)

        async def asterisk() -> None:
            place.stage.server.kick()

        async def kernel() -> None:
            await asyncio.to_thread(place.stage.namespace.run, ["nft", "flush", "ruleset"])

        async def reload() -> None:
            self._daemon.process.send_signal(signal.SIGHUP)

        kinds = [mail, webhook, asterisk, kernel, reload]
        chance.shuffle(kinds)
        turn = cycle(kinds)

        async def act() -> None:
            await next(turn)()

        return act


async def _every(seconds: float, act: Callable[[], Awaitable[None]]) -> None:
    """Act again and again; what the daemon can't answer just then is left out."""
    loop = asyncio.get_running_loop()
    due = loop.time()
    while True:
        with suppress(ControlError):
            await act()
        due = max(due + seconds, loop.time())
        await asyncio.sleep(due - loop.time())
