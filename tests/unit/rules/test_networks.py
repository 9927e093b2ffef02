from __future__ import annotations

import pytest

from amiguard.model import Ban, Evidence, Reason, Target, network_of
from amiguard.policy import NetworkBans, Policy
from amiguard.rules.networks import CAPACITY, Networks, without
from amiguard.rules.rulebook import Rulebook
from tests.lab.failures import failure

DAY = 24 * 3_600_000
HOUR = 3_600_000
BOTH = NetworkBans(offenders4=5, offenders6=5)


def policy(networks: NetworkBans = BOTH) -> Policy:
    return Policy(5, 600_000, HOUR, HOUR // 2, networks=networks)


def bans_of_networks(
    rules: Rulebook, addresses: list[str], times: int = 1, evidence: Evidence = Evidence.DATAGRAM
) -> list[Ban]:
    found = [
        verdict
        for at, address in enumerate(addresses)
        for _ in range(times)
        for verdict in rules.failed(failure(at, address, evidence=evidence))
    ]
    return [ban for ban in found if isinstance(ban, Ban) and ban.reason is Reason.NETWORK]


def test_five_banned_addresses_of_one_slash_24_get_it_banned() -> None:
    (ban,) = bans_of_networks(Rulebook(policy()), [f"192.0.2.{number}" for number in range(5)], times=5)

    assert (ban.target, ban.failures, ban.evidence, ban.absolute) == ("192.0.2.0/24", 5, Evidence.DATAGRAM, False)
    assert ban.until == 4 + HOUR // 2, "only datagrams claim these addresses"


def test_single_forged_packets_get_no_slash_24_banned() -> None:
    assert not bans_of_networks(Rulebook(policy()), [f"192.0.2.{number}" for number in range(256)], times=4)


def test_proven_offenders_count_with_their_first_failure() -> None:
    rules = Rulebook(policy())
    (ban,) = bans_of_networks(rules, [f"192.0.2.{number}" for number in range(5)], evidence=Evidence.CONNECTED)

    assert (ban.evidence, ban.absolute, ban.until) == (Evidence.CONNECTED, True, 4 + HOUR)


def test_an_attacker_with_a_slash_64_of_his_own_is_banned_though_no_address_fails_twice() -> None:
    (ban,) = bans_of_networks(Rulebook(policy()), [f"2001:db8:0:1::{number:x}" for number in range(5)])

    assert ban.target == "2001:db8:0:1::/64"


def test_offenders_of_different_networks_are_not_neighbours() -> None:
    rules = Rulebook(policy())

    assert not bans_of_networks(rules, [f"192.0.{number}.1" for number in range(100)], times=5)
    assert not bans_of_networks(rules, [f"2001:db8:0:{number:x}::1" for number in range(100)])


def test_prefixes_can_be_set() -> None:
    rules = Rulebook(policy(NetworkBans(2, 2, prefix4=16, prefix6=48)))

    assert [ban.target for ban in bans_of_networks(rules, ["192.0.1.1", "192.0.2.1"], times=5)] == ["192.0.0.0/16"]
    assert [ban.target for ban in bans_of_networks(rules, ["2001:db8:0:1::1", "2001:db8:0:2::1"])] == ["2001:db8::/48"]


def test_offenders_of_long_ago_do_not_count() -> None:
    rules = Rulebook(policy())
    verdicts = [rules.failed(failure(number * (DAY // 4 + 1), f"2001:db8::{number:x}")) for number in range(100)]

    assert not any(verdicts)


def test_without_the_rule_no_network_is_banned() -> None:
    assert not bans_of_networks(Rulebook(policy(NetworkBans())), [f"2001:db8::{number:x}" for number in range(100)])


def test_networks_without_end_cost_a_fixed_amount() -> None:
    networks = Networks(policy())
    for number in range(3 * CAPACITY):
        networks.failed(failure(number, f"2001:db8:{number >> 16:x}:{number & 0xFFFF:x}::1"), banned=False)
        assert len(networks) <= CAPACITY


@pytest.mark.parametrize(
    ("network", "spared"),
    [
        ("192.0.2.0/24", ["192.0.2.77"]),
        ("192.0.2.0/24", ["192.0.2.64/26", "192.0.2.70", "192.0.2.1"]),
        ("2001:db8::/64", ["2001:db8::5"]),
        ("192.0.2.0/24", []),
    ],
)
def test_a_network_without_some_of_its_addresses_is_all_the_others(network: str, spared: list[str]) -> None:
    pieces = without(Target(network), [Target(hole) for hole in spared])

    assert pieces is not None
    assert all(not network_of(piece).overlaps(network_of(Target(hole))) for piece in pieces for hole in spared)
    size = sum(network_of(piece).num_addresses for piece in pieces)
    wide = [hole for hole in spared if not any(hole != other and inside(hole, other) for other in spared)]
    assert size == network_of(Target(network)).num_addresses - sum(
        network_of(Target(hole)).num_addresses for hole in wide
    )


def inside(one: str, other: str) -> bool:
    return network_of(Target(one)).network_address in network_of(Target(other))


def test_a_network_full_of_exceptions_is_not_banned_in_a_thousand_pieces() -> None:
    spared = [Target(f"10.0.{number}.{number}") for number in range(256)]

    assert without(Target("10.0.0.0/16"), spared) is None
