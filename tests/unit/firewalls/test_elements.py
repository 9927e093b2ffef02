from __future__ import annotations

import ipaddress
from collections.abc import Callable
from itertools import pairwise
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyroute2.netlink.nfnetlink.nftsocket import nft_set_elem_list_msg

from amiguard.firewalls.elements import (
    LONGEST,
    MESSAGE_LIMIT,
    element,
    intervals,
    place_of,
    refill,
    remove,
    upsert,
)
from amiguard.firewalls.netlinkformat import HEADER, Message
from amiguard.firewalls.nftmessages import Kind, kind_of
from amiguard.model import Target, target_of

read_message = cast("Callable[[bytes], Any]", nft_set_elem_list_msg)
addresses = st.ip_addresses()
timeouts = st.none() | st.integers(1, LONGEST)


@st.composite
def targets(draw: st.DrawFn) -> Target:
    """Addresses and networks, crowded together so that they overlap and touch."""
    version = draw(st.sampled_from([4, 6]))
    bits = 32 if version == 4 else 128
    value = draw(st.integers(0, 40) | st.integers(2**bits - 40, 2**bits - 1) | st.integers(0, 2**bits - 1))
    prefix = draw(st.integers(0, bits))
    network = ipaddress.ip_network((value.to_bytes(bits // 8, "big"), prefix), strict=False)
    return target_of(network)


def decoded(message: Message) -> tuple[str, str, list[tuple[bytes, int | None, bool]]]:
    """What pyroute2 reads in a message: table, set, and each element's key, timeout and whether it ends an interval."""
    header = HEADER.pack(HEADER.size + len(message.body), message.kind, message.flags, 1, 0)
    read = read_message(header + message.body)
    read.decode()
    elements = [
        (
            one.get_attr("NFTA_SET_ELEM_KEY").get_attr("NFTA_DATA_VALUE"),
            one.get_attr("NFTA_SET_ELEM_TIMEOUT"),
            one.get_attr("NFTA_SET_ELEM_FLAGS") == {1},
        )
        for one in read.get_attr("NFTA_SET_ELEM_LIST_ELEMENTS") or []
    ]
    return read.get_attr("NFTA_SET_ELEM_LIST_TABLE"), read.get_attr("NFTA_SET_ELEM_LIST_SET"), elements


@given(st.lists(st.tuples(addresses, timeouts), min_size=1, max_size=20))
def test_packed_elements_are_read_back_as_they_were(wanted: list[tuple[Any, int | None]]) -> None:
    packed = [element(address.packed, timeout) for address, timeout in wanted]
    expected = ("amiguard", "banned4", [(address.packed, timeout, False) for address, timeout in wanted])
    for message in upsert("amiguard", "banned4", packed):
        assert decoded(message) == expected


@given(st.integers(LONGEST, 10**40))
def test_a_timeout_beyond_what_the_kernel_takes_is_cut(timeout: int) -> None:
    assert element(bytes(4), timeout) == element(bytes(4), LONGEST)


def test_an_upsert_adds_deletes_and_adds_and_a_removal_adds_and_deletes() -> None:
    packed = [element(bytes(4), 1)]
    add, delete = kind_of(Kind.NEWSETELEM), kind_of(Kind.DELSETELEM)
    assert [message.kind for message in upsert("t", "s", packed)] == [add, delete, add]
    assert [message.kind for message in remove("t", "s", packed)] == [add, delete]


@pytest.mark.parametrize(
    ("target", "kept", "key"),
    [
        ("192.0.2.7", (4, None), bytes([192, 0, 2, 7])),
        ("2001:db8::7", (6, None), bytes.fromhex("20010db8000000000000000000000007")),
        ("192.0.2.0/24", (4, 24), bytes([192, 0, 2, 0])),
        ("0.0.0.0/0", (4, 0), bytes(4)),
        ("2001:db8::/32", (6, 32), bytes.fromhex("20010db8000000000000000000000000")),
    ],
)
def test_a_target_is_kept_by_version_prefix_length_and_strength(
    target: str, kept: tuple[int, int | None], key: bytes
) -> None:
    assert place_of(Target(target), absolute=True) == ((*kept, True), key)
    assert place_of(Target(target), absolute=False) == ((*kept, False), key)


@given(targets())
def test_every_target_has_one_place(target: Target) -> None:
    (version, prefix, _), key = place_of(target, absolute=True)
    network = ipaddress.ip_network((key, len(key) * 8 if prefix is None else prefix))
    assert network.version == version
    assert target_of(network) == target


@given(st.lists(targets(), max_size=12), st.lists(st.integers(0, 2**128), max_size=30))
def test_intervals_hold_exactly_what_the_targets_hold(wanted: list[Target], others: list[int]) -> None:
    networks = [ipaddress.ip_network(one) for one in wanted]
    edges = [int(n[0]) + step for n in networks for step in (-1, 0, 1)] + [
        int(n[-1]) + s for n in networks for s in (0, 1)
    ]
    for version, packed in intervals(wanted).items():
        bits = 32 if version == 4 else 128
        ranges = read_ranges(packed, bits)
        assert all(end <= begin for (_, end), (begin, _) in pairwise(ranges))
        for value in edges + others:
            if 0 <= value < 2**bits:
                inside = any(n.version == version and int(n[0]) <= value <= int(n[-1]) for n in networks)
                assert any(begin <= value < end for begin, end in ranges) == inside


def read_ranges(packed: list[bytes], bits: int) -> list[tuple[int, int]]:
    """Read the interval elements as half-open ranges; the last may lack its end."""
    _, *additions = refill("t", "s", packed)
    ranges: list[tuple[int, int]] = []
    for key, timeout, is_end in (one for message in additions for one in decoded(message)[2]):
        assert timeout is None
        value = int.from_bytes(key, "big")
        ranges[-1:] = [(ranges[-1][0], value)] if is_end else [*ranges[-1:], (value, 2**bits)]
    return ranges


def test_a_set_is_refilled_in_messages_that_netlink_can_carry() -> None:
    spread = [Target(str(ipaddress.ip_address(number * 2))) for number in range(5000)]
    flush, *additions = refill("amiguard", "allow4", intervals(spread)[4])
    assert decoded(flush) == ("amiguard", "allow4", [])
    assert len(additions) > 1
    assert all(len(message.body) < MESSAGE_LIMIT + 100 for message in additions)
    assert sum(len(decoded(message)[2]) for message in additions) == 2 * 5000
