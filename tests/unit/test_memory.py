"""What the jail says of its own memory, beside what Python says."""

from __future__ import annotations

import gc
import tracemalloc

import pytest

from amiguard.jail import Jail
from amiguard.model import Address, Evidence, Target
from amiguard.policy import Policy
from amiguard.ranked import MEASURED, Entry, Ranked
from tests.lab.failures import failure

OFFENDERS = 2_000


def fill(jail: Jail, most: int, name: int) -> None:
    """Let offenders fail up to `most` times, each time with another account name of up to `name` characters."""
    for number in range(OFFENDERS):
        address = f"2001:db8::{number:x}" if number % 3 else f"10.9.{number >> 8}.{number & 255}"
        evidence = Evidence.CONNECTED if number % 5 else Evidence.DATAGRAM
        for time in range(1 + number % most):
            told = failure(1_800_000_000_000 + number + time)
            account = f"{number}-{time}".ljust(name * (number % 7) // 6, "x")
            jail.observe(told._replace(address=Address(Target(address)), account=account, evidence=evidence))


@pytest.mark.parametrize(("maxretry", "most", "name"), [(5, 1, 4), (5, 4, 20), (5, 4, 256), (50, 49, 4)])
def test_the_jails_estimate_of_its_memory_is_near_what_python_took_for_it(maxretry: int, most: int, name: int) -> None:
    policy = Policy(maxretry=maxretry, findtime=600_000, bantime=1, unproven_bantime=1)
    fill(Jail(policy), most, name)  # Python keeps freed tuples for the next ones: these must not count
    gc.collect()
    tracemalloc.start()
    try:
        jail = Jail(policy)
        fill(jail, most, name)
        gc.collect()
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert len(jail) == OFFENDERS
    assert jail.memory() == pytest.approx(taken, rel=0.15)


def test_only_a_few_entries_of_each_level_are_looked_at() -> None:
    table: Ranked[int, Entry] = Ranked(Entry, 3, 1_000)
    for key in range(1_000):
        table.rank(key, table.take(key, 0), key % 2)
    asked: list[int] = []

    def bytes_of(key: int, _: Entry) -> int:
        asked.append(key)
        return 100 + key % 2

    assert table.memory(bytes_of) > 1_000 * 100
    assert len(asked) == len(set(asked)) == 2 * 2 * MEASURED


def test_an_entry_that_stands_at_both_ends_of_its_level_is_looked_at_once() -> None:
    table: Ranked[str, Entry] = Ranked(Entry, 1, 10)
    empty = table.memory(lambda *_: 0)
    table.rank("one", table.take("one", 0), 0)

    assert table.memory(lambda *_: 1_000) - table.memory(lambda *_: 0) == 1_000
    assert empty > 0
