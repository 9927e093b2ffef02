from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amiguard.errors import FeedError
from amiguard.feeds.networks import LeftOut
from amiguard.feeds.reading import LONGEST_LINE, PATIENCE, Reading
from amiguard.listed import Listed
from amiguard.model import Address, Target
from tests.lab.lists import FAR


def read(text: bytes, limit: int = 1_000_000, *, whole: bool = True, step: int = 7) -> tuple[Reading, Listed]:
    reading = Reading(limit)
    for begin in range(0, len(text), step):
        reading.feed(text[begin : begin + step])
    reading.finish(whole=whole)
    into = Listed()
    for _ in reading.ordered(into):
        pass
    into.renew(FAR)
    return reading, into


def names(listed: Listed, *addresses: str) -> bool:
    return all(listed.around(Address(Target(one)), 0) for one in addresses)


def test_addresses_and_networks_are_read_whatever_stands_around_them() -> None:
    text = (
        b"\xef\xbb\xbf# VOIPBL\r\n\r\n; old style\n// another\n45.9.9.1\r\n"
        b"  45.9.9.2 # seen yesterday\n45.9.10.0/24 ; SBL1\n"
        b"45.9.9.3,US,7\n2a00:1::/64\n2A00:2::1\n45.9.9.1\n45.9.9.4"
    )
    reading, listed = read(text)
    assert names(listed, "45.9.9.1", "45.9.9.2", "45.9.9.3", "45.9.9.4", "45.9.10.200", "2a00:1::77", "2a00:2::1")
    assert not names(listed, "45.9.9.5")
    assert len(listed) == 7
    assert reading.entries == 8
    assert not reading.left_out


def test_a_list_that_was_written_on_windows_names_its_first_address_too() -> None:
    reading, listed = read(b"\xef\xbb\xbf45.9.9.1\r\n45.9.9.2\r\n", step=2)
    assert names(listed, "45.9.9.1", "45.9.9.2")
    assert not reading.left_out


def test_a_network_becomes_narrower_ones_of_whole_bytes() -> None:
    _, listed = read(b"45.9.9.128/25\n45.8.0.0/15\n2a00:1:2::/47\n")
    assert sorted(width.prefix for width in listed.parts) == [16, 32, 48]
    assert len(listed) == 128 + 2 + 2
    assert names(listed, "45.9.9.128", "45.9.9.255", "45.8.0.1", "45.9.255.255", "2a00:1:3::1")
    assert not names(listed, "45.10.0.1", "2a00:1:4::1")


@pytest.mark.parametrize(
    "line",
    [
        *("10.1.2.3", "127.0.0.1", "192.168.0.0/24", "224.0.0.1", "255.255.255.255", "0.0.0.0", "100.64.1.1"),
        *("192.0.0.0/8", "172.0.0.0/8", "240.0.0.0/8"),
        *("::1", "fe80::1", "fc00::/20", "ff02::1", "2001:db8::1", "::ffff:8.8.8.8", "2001::/19"),
    ],
)
def test_private_reserved_and_multicast_networks_are_left_out_and_so_is_what_holds_one(line: str) -> None:
    reading, listed = read(f"{line}\n".encode())
    assert reading.left_out == {LeftOut.SPECIAL: 1}
    assert len(listed) == 0


@pytest.mark.parametrize("line", ["0.0.0.0/0", "128.0.0.0/1", "44.0.0.0/7", "::/0", "2a00::/18"])
def test_networks_too_wide_for_an_attacker_are_left_out(line: str) -> None:
    reading, _ = read(f"{line}\n45.0.0.0/8\n2a00::/19\n".encode())
    assert reading.left_out == {LeftOut.WIDE: 1}
    assert reading.entries == 1 + 32


@pytest.mark.parametrize(
    "line", ["hello", "1.2.3", "1.2.3.4.5", "256.1.1.1", "45.9.9.1/33", "2a00::1/129", "01.2.3.4", "45.9.9.1-45.9.9.9"]
)
def test_garbage_is_counted_and_harms_nobody(line: str) -> None:
    reading, listed = read(f"45.9.9.9\n{line}\n".encode())
    assert reading.left_out == {LeftOut.GARBAGE: 1}
    assert len(listed) == 1


@pytest.mark.parametrize("page", [b"<!DOCTYPE html><html>", b" \r\n\n<html><body>45.9.9.1", b"\xef\xbb\xbf<?xml"])
def test_a_page_is_refused_as_a_whole(page: bytes) -> None:
    with pytest.raises(FeedError, match="HTML"):
        read(page + b"\n45.9.9.1\n", step=1000)


def test_what_is_garbage_for_the_most_part_is_no_list() -> None:
    with pytest.raises(FeedError, match="no list"):
        read(b"45.9.9.1\nno\nlist\n")
    with pytest.raises(FeedError, match="no list"):
        Reading(1_000_000).feed(b"garbage without end\n" * (PATIENCE + 1))
    with pytest.raises(FeedError, match="longer than"):
        Reading(1_000_000).feed(b"4" * (LONGEST_LINE + 1))


def test_a_list_beyond_the_limit_is_refused_when_it_gets_there() -> None:
    reading = Reading(1_000)
    for number in range(1_000):
        reading.feed(f"45.9.{number % 256}.{number // 256}\n".encode())
    with pytest.raises(FeedError, match="more than 1,000"):
        reading.feed(b"45.9.9.9\n")
    with pytest.raises(FeedError, match="more than 1,000"):
        read(b"2a00::/23\n" * 600, 1_000)


def test_a_line_that_may_be_cut_off_is_not_believed() -> None:
    assert not names(read(b"45.9.9.1\n45.9.9.2", whole=False)[1], "45.9.9.2")
    assert names(read(b"45.9.9.1\n45.9.9.2", whole=True)[1], "45.9.9.2")


NETWORKS = st.one_of(
    st.tuples(st.integers(11 << 24, (100 << 24) - 1), st.integers(24, 32)).map(
        lambda pair: ipaddress.ip_network(pair, strict=False)
    ),
    st.tuples(st.integers(0x2A00 << 112, (0x2B00 << 112) - 1), st.integers(120, 128)).map(
        lambda pair: ipaddress.ip_network(pair, strict=False)
    ),
)


@given(st.lists(NETWORKS, min_size=1, max_size=20), st.binary(max_size=40))
def test_whoever_is_named_is_found_and_his_neighbours_are_not(
    networks: list[ipaddress.IPv4Network | ipaddress.IPv6Network], noise: bytes
) -> None:
    lines = [str(network).encode() for network in networks]
    _, listed = read(b"\n".join(lines) + b"\n# " + noise.replace(b"\n", b"") + b"\n", step=64)
    for network in networks:
        for ip in (network[0], network[-1], network[0] - 1, network[-1] + 1):
            named = any(ip in one for one in networks)
            assert bool(listed.around(Address(Target(str(ip))), 0)) is named


def test_an_entry_takes_a_dozen_bytes() -> None:
    reading = Reading(1_000_000)
    for high in range(0, 100_000, 1_000):
        reading.feed(
            b"".join(b"45.%d.%d.%d\n" % (one >> 16, one >> 8 & 255, one & 255) for one in range(high, high + 1_000))
        )
    into = Listed()
    for _ in reading.ordered(into):
        pass
    into.renew(FAR)
    ((_, part),) = into.parts.items()
    assert len(part.numbers) == 100_000
    assert memoryview(part.numbers).nbytes + memoryview(part.ends).nbytes == 1_200_000  # type: ignore[arg-type]
