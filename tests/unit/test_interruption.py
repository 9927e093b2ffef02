from __future__ import annotations

import asyncio
from collections.abc import Collection

from amiguard.errors import FirewallError
from amiguard.interruption import Interruption
from amiguard.journal import Action
from amiguard.model import Target
from tests.lab.journal import RecordingJournal
from tests.lab.waiting import until


class Kernel:
    def __init__(self, took: float = 0) -> None:
        self.asked: list[list[Target]] = []
        self.error = ""
        self.took = took

    async def interrupt(self, targets: Collection[Target]) -> None:
        self.asked.append(list(targets))
        await asyncio.sleep(self.took)
        if self.error:
            raise FirewallError(self.error)


async def test_all_who_wait_are_done_by_one_reading_of_the_table() -> None:
    kernel = Kernel(took=0.05)
    interruption = Interruption(kernel.interrupt, RecordingJournal())
    running = asyncio.create_task(interruption.run())
    for number in range(1_000):
        interruption.submit(Target(str(number % 500)))
        await asyncio.sleep(0)
    await until(lambda: sum(map(len, kernel.asked)) >= 500)
    running.cancel()

    assert len(kernel.asked) <= 2
    assert {target for targets in kernel.asked for target in targets} == {str(number) for number in range(500)}


async def test_a_kernel_that_refuses_is_told_of_once_and_asked_again() -> None:
    kernel, journal = Kernel(), RecordingJournal()
    interruption = Interruption(kernel.interrupt, journal)
    running = asyncio.create_task(interruption.run())
    kernel.error = "no such thing"
    for turn in range(3):
        interruption.submit(Target("192.0.2.1"))
        await until(lambda expected=turn + 1: len(kernel.asked) == expected)  # type: ignore[misc]
    await until(lambda: bool(interruption.failing))
    kernel.error = ""
    interruption.submit(Target("192.0.2.1"))
    await until(lambda: not interruption.failing)
    running.cancel()

    assert journal.count(Action.FIREWALL_FAILED) == 1
