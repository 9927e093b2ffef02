"""What a set of ipset should hold, and how the kernel's list of it is read."""

from __future__ import annotations

import random
import struct

import pytest

from amiguard.firewalls.ipset.format import Key, element, listed, listed_keys
from amiguard.firewalls.ipset.holdings import FOREVER, SLACK, Holdings
from amiguard.firewalls.ipset.names import BAN_SETS, network_keys, place, targets_at
from amiguard.firewalls.netlinkformat import NFGENMSG, NLA_F_NESTED, attribute
from amiguard.model import Target


def key(number: int) -> Key:
    return struct.pack(">I", number)


def test_the_number_of_those_that_last_on_is_right_whatever_is_done() -> None:
    held, model, horizon = Holdings(), dict[Key, int](), 0
    rolled = random.Random(5)
    for _ in range(20_000):
        one, end = key(rolled.randrange(3_000)), rolled.choice((FOREVER, horizon + rolled.randrange(-5, 400)))
        if rolled.random() < 0.8:
            held.put(one, end)
            model[one] = end
        else:
            held.drop(one)
            model.pop(one, None)
        if rolled.random() < 0.02:
            horizon += 1
            held.pass_by(horizon)
        assert held.lasting == sum(end > horizon for end in model.values()) or _ % 50
    assert {one for one, end in model.items() if end > horizon} <= held.ends.keys()


def test_what_ended_does_not_stay_on_the_books() -> None:
    held = Holdings()
    for number in range(10 * SLACK):
        held.put(key(number), number)
        held.pass_by(number - 10)
        assert len(held.ends) <= 2 * held.lasting + SLACK + 1


def test_too_few_and_too_many_elements_need_an_explanation() -> None:
    held = Holdings()
    held.put(key(1), FOREVER)
    held.put(key(2), 100)
    assert [held.explain(count) for count in range(4)] == [False, False, True, False]
    held.pass_by(100)
    assert [held.explain(count) for count in range(4)] == [False, True, True, False]
    held.foreign = 1
    assert [held.explain(count) for count in range(5)] == [False, False, True, True, False]


def test_missing_is_what_lasts_on_and_was_not_touched_meanwhile() -> None:
    held = Holdings()
    for number, end in enumerate((FOREVER, 100, 200, 300, 50)):
        held.put(key(number), end)
    unmet = dict(held.ends)
    held.put(key(1), 400)
    held.drop(key(2))
    held.pass_by(60)
    assert held.missing(unmet) == [key(0), key(3)]


TARGETS = ["192.0.2.1", "2001:db8::1", "198.51.100.0/24", "2001:db8:1::/48", "0.0.0.0/0", "::/0", "128.0.0.0/1"]


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("absolute", [True, False])
def test_a_target_is_known_again_by_its_elements(target: str, absolute: bool) -> None:
    one, keys = place(Target(target), absolute=absolute)
    assert one in BAN_SETS
    assert all(target in targets_at(one, found) for found in keys)


def answer(*elements: bytes) -> bytes:
    return NFGENMSG.pack(2, 0, 0) + attribute(8 | NLA_F_NESTED, b"".join(elements))


@pytest.mark.parametrize(
    "keys",
    [
        [key(number) for number in range(100)],
        [bytes(15) + bytes([number]) for number in range(100)],
        network_keys(key(1 << 31), 1) + network_keys(bytes(4), 0) + [b"\x0a\0\0\0\x08", key(7) + b"\x20"],
        network_keys(bytes(16), 64),
        [],
    ],
)
def test_a_list_is_read_fast_as_it_is_read_slowly(keys: list[Key]) -> None:
    alike = answer(*(element(one, 60) for one in keys))
    assert listed_keys(alike) == [one.key for one in listed(alike)] == keys


def test_a_list_of_elements_that_are_packed_differently_is_read_too() -> None:
    odd = attribute(7 | NLA_F_NESTED, element(key(3) + b"\x18", 60)[4:] + attribute(8, bytes(4)))
    mixed = answer(element(key(1) + b"\x18", 60), odd, element(key(2) + b"\x08", None))
    assert listed_keys(mixed) == [key(1) + b"\x18", key(3) + b"\x18", key(2) + b"\x08"]
    assert listed_keys(answer(b"")) == []
    assert listed_keys(NFGENMSG.pack(2, 0, 0)) == []
