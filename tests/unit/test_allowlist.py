from __future__ import annotations

from time import perf_counter

from amiguard.allowlist import Allowlist
from amiguard.model import Target, parse_target


def allow(*texts: str) -> Allowlist:
    return Allowlist([parse_target(text) for text in texts])


def covers(allowlist: Allowlist, text: str) -> bool:
    return allowlist.covers(parse_target(text))


def test_addresses_and_networks_are_covered_to_their_edges() -> None:
    allowlist = allow("192.0.2.0/25", "198.51.100.7", "2001:db8::/32")

    assert covers(allowlist, "192.0.2.0")
    assert covers(allowlist, "192.0.2.127")
    assert not covers(allowlist, "192.0.2.128")
    assert covers(allowlist, "198.51.100.7")
    assert not covers(allowlist, "198.51.100.6")
    assert covers(allowlist, "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff")
    assert not covers(allowlist, "2001:db9::")


def test_a_mapped_address_is_the_ipv4_address_that_it_holds() -> None:
    assert covers(allow("192.0.2.1"), "::ffff:192.0.2.1")
    assert covers(allow("::ffff:192.0.2.0/120"), "192.0.2.200")


def test_a_network_is_covered_when_any_of_it_is_allowed() -> None:
    assert covers(allow("192.0.2.7"), "192.0.2.0/24")
    assert covers(allow("192.0.2.0/24"), "192.0.2.0/28")
    assert not covers(allow("192.0.2.7"), "192.0.3.0/24")


def test_a_target_that_is_named_twice_stands_there_once() -> None:
    assert allow("10.0.0.0/8", "10.1.2.3", "10.0.0.0/8", "::1").targets() == ["10.0.0.0/8", "10.1.2.3", "::1"]


def test_an_empty_list_covers_nothing() -> None:
    assert not covers(Allowlist(), "0.0.0.0/0")
    assert not covers(Allowlist(), "::1")


def test_a_hundred_thousand_networks_are_searched_in_microseconds() -> None:
    many = Allowlist([Target(f"{10 + (i >> 16)}.{i >> 8 & 255}.{i & 255}.0/25") for i in range(100_000)])
    start = perf_counter()
    for _ in range(1000):
        assert many.covers(Target("10.200.200.1"))

    assert perf_counter() - start < 0.5
