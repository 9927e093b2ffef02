from __future__ import annotations

from dataclasses import replace

import pytest

from amiguard.jail import MAX_ACCOUNTS, Jail
from amiguard.model import IMMEDIATE, Address, Evidence, Reason, Target
from amiguard.policy import Policy
from tests.lab.failures import failure

POLICY = Policy(maxretry=5, findtime=600_000, bantime=432_000_000, unproven_bantime=3_600_000)


def test_the_fifth_failure_within_findtime_bans() -> None:
    jail = Jail(POLICY)

    assert [jail.observe(failure(at)) for at in (0, 1, 2, 3)] == [None] * 4
    ban = jail.observe(failure(4))
    assert ban is not None
    assert (ban.target, ban.since, ban.failures, ban.reason) == ("192.0.2.1", 4, 5, Reason.WRONG_PASSWORD)


def test_four_failures_never_ban_however_often_they_come() -> None:
    jail = Jail(POLICY)

    for start in range(0, 100 * 600_001, 600_001):
        assert [jail.observe(failure(start + i)) for i in range(4)] == [None] * 4


@pytest.mark.parametrize(("last", "banned"), [(600_000, True), (600_001, False)])
def test_a_failure_counts_until_it_is_older_than_findtime(last: int, banned: bool) -> None:
    jail = Jail(POLICY)
    for at in (0, 1, 2, 3):
        jail.observe(failure(at))

    assert (jail.observe(failure(last)) is not None) is banned


def test_failures_may_arrive_out_of_order() -> None:
    jail = Jail(POLICY)
    for at in (700_000, 50, 700_002, 700_001):
        assert jail.observe(failure(at)) is None
    assert jail.failures(Address(Target("192.0.2.1"))) == 3

    assert jail.observe(failure(700_003)) is None
    assert jail.observe(failure(699_999)) is not None


def test_an_offender_starts_anew_after_a_ban() -> None:
    jail = Jail(POLICY)
    bans = [jail.observe(failure(at)) for at in range(10)]

    assert [ban is not None for ban in bans] == ([False] * 4 + [True]) * 2


def test_offenders_are_counted_apart() -> None:
    jail = Jail(POLICY)

    assert not any(jail.observe(failure(i, f"192.0.2.{i}")) for i in range(100))


def test_an_immediate_weight_bans_at_once() -> None:
    ban = Jail(POLICY).observe(failure(0, weight=IMMEDIATE))

    assert ban is not None
    assert ban.failures == 5


def test_the_bantime_follows_the_best_evidence() -> None:
    jail = Jail(POLICY)
    for at in range(4):
        jail.observe(failure(at, evidence=Evidence.CONNECTED if at == 1 else Evidence.DATAGRAM))
        jail.observe(failure(at, "192.0.2.2"))
    proven, unproven = jail.observe(failure(4)), jail.observe(failure(4, "192.0.2.2"))

    assert proven is not None
    assert unproven is not None
    assert (proven.evidence, proven.until) == (Evidence.CONNECTED, 4 + 432_000_000)
    assert (unproven.evidence, unproven.until) == (Evidence.DATAGRAM, 4 + 3_600_000)


def test_what_a_second_witness_proves_is_not_lost() -> None:
    jail = Jail(POLICY)
    for at in range(4):
        jail.observe(failure(at))
    jail.prove(Address(Target("192.0.2.1")))
    jail.prove(Address(Target("192.0.2.99")))
    ban = jail.observe(failure(4))

    assert ban is not None
    assert ban.evidence is Evidence.CONNECTED
    assert ban.absolute
    assert len(jail) == 0


def test_who_only_datagrams_claim_is_not_cut_off_absolutely() -> None:
    ban = Jail(replace(POLICY, maxretry=1)).observe(failure(0, evidence=Evidence.DATAGRAM))

    assert ban is not None
    assert not ban.absolute


def test_a_permanent_bantime_has_no_end() -> None:
    ban = Jail(Policy(1, 600_000, None, None)).observe(failure(0))

    assert ban is not None
    assert ban.until is None


def test_a_ban_names_a_bounded_number_of_the_accounts_that_were_tried() -> None:
    jail = Jail(Policy(1000, 600_000, None, None))
    bans = [jail.observe(failure(i, account=str(i // 2))) for i in range(1000)]

    assert bans[-1] is not None
    assert bans[-1].accounts == tuple(str(i) for i in range(MAX_ACCOUNTS))


def test_forgetting_an_offender_forgets_his_failures() -> None:
    jail = Jail(POLICY)
    for at in range(4):
        jail.observe(failure(at))
    jail.forget(Address(Target("192.0.2.1")))

    assert jail.observe(failure(4)) is None
    assert len(jail) == 1


def test_a_flood_of_forged_sources_costs_a_fixed_amount_and_frees_no_attacker_in_progress() -> None:
    jail = Jail(POLICY, capacity=1000)
    for at in range(4):
        jail.observe(failure(at, "198.51.100.1"))
        jail.observe(failure(at, "198.51.100.2", evidence=Evidence.CONNECTED))
    for i in range(50_000):  # three failures each: fewer than the attackers have
        address = f"10.{i >> 16}.{i >> 8 & 255}.{i & 255}"
        for at in range(3):
            jail.observe(failure(10 + at, address))
        assert len(jail) <= 1000

    assert jail.evicted > 48_000
    assert jail.observe(failure(20, "198.51.100.1")) is not None
    assert jail.observe(failure(20, "198.51.100.2", evidence=Evidence.CONNECTED)) is not None


def test_forged_sources_never_push_out_a_proven_one() -> None:
    jail = Jail(POLICY, capacity=100)
    jail.observe(failure(0, "198.51.100.2", evidence=Evidence.CONNECTED))
    for i in range(1000):
        for at in range(4):
            jail.observe(failure(1 + at, f"10.0.{i >> 8}.{i & 255}"))

    assert jail.failures(Address(Target("198.51.100.2"))) == 1


def test_quiet_offenders_are_forgotten_by_themselves() -> None:
    jail = Jail(POLICY)
    for i in range(1000):
        jail.observe(failure(0, f"10.0.{i >> 8}.{i & 255}"))
    for i in range(1000):
        jail.observe(failure(600_001, f"10.1.{i >> 8}.{i & 255}"))

    assert len(jail) == 1000
    assert jail.evicted == 0
