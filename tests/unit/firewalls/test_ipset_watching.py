"""Looks at sets of ipset meet what amiguard itself does, in each order: none of it is anybody's interference."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Awaitable, Callable, Sequence

import pytest

from amiguard.firewalls.ipset import watching
from amiguard.firewalls.ipset.format import ATTR_ADT, Key, element
from amiguard.firewalls.ipset.listholdings import ListHoldings
from amiguard.firewalls.ipset.watching import Watching
from amiguard.firewalls.netlinkformat import NFGENMSG, NLA_F_NESTED, Message, attribute
from amiguard.model import Ban, Reason, Target, Timestamp
from amiguard.ports import Interference
from tests.lab.waiting import until

Renewing = Callable[[Sequence[Ban], Timestamp], Awaitable[None]]
SET, ALLOW = "amiguard4", "amiguard4-allow"


def key(number: int) -> Key:
    return struct.pack(">I", number)


class Sets:
    """A kernel before 4.10, which counts no elements. After it listed a set for the first time, `meanwhile` happens."""

    def __init__(self, meanwhile: Callable[[], None]) -> None:
        self.listed = self.counted = 0
        self.elements = b""
        self._meanwhile = meanwhile

    async def dump(self, _message: Message, wanted: Callable[[bytes], bool] | None = None) -> list[bytes]:
        if wanted is None:
            self.counted += 1
            return [NFGENMSG.pack(0, 0, 0)]
        self.listed += 1
        wanted(NFGENMSG.pack(0, 0, 0) + attribute(ATTR_ADT | NLA_F_NESTED, self.elements))
        if self.listed == 1:
            self._meanwhile()
        return []

    async def ask(self, messages: Sequence[Message]) -> list[list[bytes]]:
        return [[] for _ in messages]

    async def close(self) -> None:
        pass


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000

    def __call__(self) -> Timestamp:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(watching, "_steady", clock)
    monkeypatch.setattr(watching, "COMPARING_AT_LEAST", 0)
    monkeypatch.setattr(watching, "INTERVAL", 0)
    monkeypatch.setattr(watching, "IDLE", 0)
    return clock


def put(looker: Watching, name: str, number: int, clock: Clock, seconds: int | None = None) -> None:
    end = None if seconds is None else clock() + seconds * 1000
    looker.put(name, [(key(number), Ban(Target(f"0.0.0.{number}"), clock(), end, Reason.MANUAL))], clock())


async def nothing_is_to_be_renewed(_bans: Sequence[Ban], _now: Timestamp) -> None:
    raise AssertionError


async def seen(
    looker: Watching, sets: Sets, looks: int = 3, ban: Renewing = nothing_is_to_be_renewed
) -> Interference | None:
    """Return what is seen in so many looks; None: nothing."""
    looker._netlink = sets  # type: ignore[assignment]

    async def intact() -> bool:
        return True

    looking = asyncio.create_task(looker.interference(intact, ban))
    try:
        await until(lambda: looker.looks >= looks or looking.done())
        return looking.result() if looking.done() else None
    finally:
        looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)
        await looker.close()


async def test_what_is_missing_all_the_while_is_seen(clock: Clock) -> None:
    looker = Watching(ListHoldings())
    put(looker, SET, 1, clock)
    told = await seen(looker, Sets(lambda: None))
    assert told == Interference(f"bans were taken out of the set {SET}", [Target("0.0.0.1")])


async def test_where_a_kernel_tells_no_number_of_elements_a_set_is_compared_all_the_same(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "COMPARING_AT_LEAST", 0.05)
    looker = Watching(ListHoldings())
    put(looker, SET, 1, clock)

    def somebody_takes_it_out() -> None:
        sets.elements = b""

    sets = Sets(somebody_takes_it_out)
    sets.elements = element(key(1))
    told = await seen(looker, sets, looks=1 << 62)
    assert told is not None
    assert told.targets == [Target("0.0.0.1")]
    assert (sets.listed, sets.counted) == (2, 1)


async def test_what_ends_while_a_set_is_read_is_not_missed(clock: Clock) -> None:
    looker = Watching(ListHoldings())
    put(looker, SET, 1, clock, seconds=60)

    def minutes_pass() -> None:
        clock.now += 120_000

    assert await seen(looker, Sets(minutes_pass)) is None


async def test_what_is_lifted_while_a_set_is_read_is_not_missed(clock: Clock) -> None:
    looker = Watching(ListHoldings())
    put(looker, SET, 1, clock)
    assert await seen(looker, Sets(lambda: looker.take_out(SET, [key(1)]))) is None


async def test_what_was_replaced_while_it_was_read_is_not_missed(clock: Clock) -> None:
    looker = Watching(ListHoldings())
    looker.keep(ALLOW, [key(1)])
    assert await seen(looker, Sets(lambda: looker.keep(ALLOW, ()))) is None


async def test_what_was_replaced_while_another_set_was_read_is_not_missed(clock: Clock) -> None:
    looker = Watching(ListHoldings())
    put(looker, SET, 1, clock)
    looker.keep(ALLOW, [key(2)])

    def all_is_laid_out_anew() -> None:
        looker.forget(clock())
        looker.keep(ALLOW, ())

    assert await seen(looker, Sets(all_is_laid_out_anew)) is None


async def test_a_list_that_is_older_than_an_unban_brings_nothing_back(clock: Clock) -> None:
    looker = Watching(ListHoldings())
    with looker.recalling():
        looker.take_out(SET, [key(1)])
        looker.recall(SET, key(1), None)
    assert await seen(looker, Sets(lambda: None)) is None


async def test_an_end_in_a_list_that_is_heard_of_late_is_not_put_off(clock: Clock) -> None:
    looker = Watching(ListHoldings())
    looker.forget(clock())
    with looker.recalling():
        clock.now += 120_000
        looker.recall(SET, key(1), 100)
    assert await seen(looker, Sets(lambda: None)) is None


async def test_a_ban_that_is_lifted_while_others_are_renewed_is_not_put_back(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "RENEWAL", 0)
    monkeypatch.setattr(watching, "RENEWED_AT_ONCE", 1)
    looker = Watching(ListHoldings())
    for number in (1, 2, 3):
        put(looker, SET, number, clock, seconds=10**9)
    renewed: list[Target] = []

    async def ban(bans: Sequence[Ban], _now: Timestamp) -> None:
        renewed.extend(one.target for one in bans)
        looker.lift(Target("0.0.0.2"))

    sets = Sets(lambda: None)
    sets.elements = b"".join(element(key(number)) for number in (1, 2, 3))
    assert await seen(looker, sets, ban=ban) is None
    assert renewed == ["0.0.0.1", "0.0.0.3"]


async def test_a_ban_that_was_shortened_is_not_renewed_as_the_long_one_that_it_was(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "RENEWAL", 0)
    looker = Watching(ListHoldings())
    for number, seconds in ((1, 3600), (2, None)):
        put(looker, SET, number, clock, seconds=10**9)
        put(looker, SET, number, clock, seconds=seconds)
    sets = Sets(lambda: None)
    sets.elements = b"".join(element(key(number)) for number in (1, 2))
    assert await seen(looker, sets) is None
