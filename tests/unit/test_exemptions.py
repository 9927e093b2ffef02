"""Who is never banned, as it changes: the kernel, the bans, the store and the log follow."""

from __future__ import annotations

import asyncio

import pytest

from amiguard.errors import BanRefused, FirewallError
from amiguard.journal import Action
from amiguard.model import Address, Allowed, AllowOrigin, Ban, Reason, Target
from amiguard.ports import Disallowed, Resolved, Saved
from tests.lab.waiting import until
from tests.lab.world import ATTACKER, World, attack

NETWORK = Target("192.0.2.0/24")
HOUR = 3_600_000


def runtime(target: Target, comment: str = "") -> Allowed:
    return Allowed(target, AllowOrigin.RUNTIME, comment)


async def test_allowing_an_address_lifts_its_ban_and_is_kept() -> None:
    world = World()
    async with world.running() as guard:
        await guard.administration.ban(ATTACKER, HOUR, "")
        lifted = await guard.administration.allow(ATTACKER, "the boss")

        assert [ban.target for ban in lifted] == [ATTACKER]
        assert ATTACKER in world.firewall.allowed
        assert not world.firewall.dropped
        assert runtime(ATTACKER, "the boss") in guard.administration.allowed()
        await until(lambda: runtime(ATTACKER, "the boss") in world.store.changes)
        (line,) = world.journal.of(Action.ALLOWLIST_CHANGED)
        assert line.message == "never banned, for the boss: 192.0.2.1"


async def test_allowing_a_network_lifts_the_bans_inside_it_and_no_wider_one() -> None:
    world = World()
    async with world.running() as guard:
        for target in ("192.0.2.1", "192.0.2.128/25", "192.0.0.0/16", "198.51.100.1"):
            await guard.administration.ban(Target(target), HOUR, "")
        lifted = await guard.administration.allow(NETWORK, "")

        assert {ban.target for ban in lifted} == {"192.0.2.1", "192.0.2.128/25"}
        assert set(world.firewall.dropped) == {"192.0.0.0/16", "198.51.100.1"}


async def test_a_ban_that_waits_for_the_kernel_is_given_up_when_its_address_is_allowed() -> None:
    world = World()
    async with world.running() as guard:
        world.firewall.broken = True
        attack(guard)
        await until(lambda: world.journal.count(Action.FIREWALL_FAILED) > 0)
        world.firewall.broken = False
        await guard.administration.allow(ATTACKER, "")

        assert not world.firewall.dropped
        assert guard.administration.find(ATTACKER) is None


async def test_who_is_allowed_is_not_banned_for_failures_and_the_log_says_so() -> None:
    world = World()
    async with world.running() as guard:
        await guard.administration.allow(NETWORK, "")
        attack(guard)

        assert world.journal.count(Action.BAN_SKIPPED) == 1
        await guard.administration.disallow(NETWORK)
        attack(guard)
        await until(lambda: ATTACKER in world.firewall.dropped)


async def test_what_was_counted_of_an_allowed_address_does_not_ban_it_afterwards() -> None:
    world = World()
    async with world.running() as guard:
        await guard.administration.allow(ATTACKER, "")
        attack(guard, times=4)
        assert await guard.administration.disallow(ATTACKER)
        attack(guard, times=4)

        assert not world.journal.count(Action.BAN_SKIPPED)
        assert guard.administration.status()["jail"] == {"tracked": 1, "evicted": 0}
        assert Disallowed(ATTACKER) in world.store.changes
        assert not await guard.administration.disallow(ATTACKER)


async def test_allowed_at_run_time_is_remembered_over_restarts_and_lifts_restored_bans() -> None:
    world = World()
    world.store.saved = Saved(
        bans=[Ban(ATTACKER, 0, None, Reason.MANUAL), Ban(Target("192.0.0.0/16"), 0, None, Reason.MANUAL)],
        allowed=[runtime(NETWORK)],
    )
    async with world.running() as guard:
        assert NETWORK in world.firewall.allowed
        await until(lambda: guard.administration.find(ATTACKER) is None)
        assert set(world.firewall.dropped) == {"192.0.0.0/16"}


async def test_a_store_that_opens_late_brings_its_allowlist_too() -> None:
    world = World()
    world.store.broken = True
    office = Target("198.51.100.7")
    world.store.saved = Saved(
        bans=[Ban(ATTACKER, 0, None, Reason.MANUAL)],
        allowed=[runtime(NETWORK)],
        names=[Resolved("office.example.org", (office,))],
    )
    async with world.running() as guard:
        told = asyncio.Event()
        guard.restored = told.set
        world.store.broken = False
        await until(lambda: {NETWORK, office} <= set(world.firewall.allowed))
        assert told.is_set()
        assert guard.administration.find(ATTACKER) is None


async def test_a_kernel_that_refuses_is_asked_again_and_the_log_says_so() -> None:
    world = World()
    async with world.running() as guard:
        await guard.administration.ban(ATTACKER, HOUR, "")
        world.firewall.broken = True
        with pytest.raises(FirewallError):
            await guard.administration.allow(ATTACKER, "")
        await until(lambda: world.journal.count(Action.FIREWALL_FAILED) > 1)
        assert ATTACKER in world.firewall.dropped
        world.firewall.broken = False
        await until(lambda: not world.firewall.dropped)
        assert ATTACKER in world.firewall.allowed


async def test_what_an_edge_tells_replaces_what_it_told_before_and_nothing_else() -> None:
    world = World()
    async with world.running() as guard:
        await guard.administration.ban(ATTACKER, HOUR, "")
        guard.exemptions.set(AllowOrigin.NAME, "pbx.example.org", [ATTACKER])
        guard.exemptions.set(AllowOrigin.NAME, "office.example.org", [ATTACKER, Target("192.0.2.2")])
        await until(lambda: not world.firewall.dropped)
        guard.exemptions.set(AllowOrigin.NAME, "office.example.org", [Target("192.0.2.3")])
        await until(lambda: set(world.firewall.allowed) == {"127.0.0.0/8", "192.0.2.1", "192.0.2.3"})
        guard.exemptions.set(AllowOrigin.NAME, "office.example.org", [Target("192.0.2.3")])

        assert [line.message for line in world.journal.of(Action.ALLOWLIST_CHANGED)] == [
            "never banned, for pbx.example.org: 192.0.2.1",
            "never banned, for office.example.org: 192.0.2.1, 192.0.2.2",
            "never banned, for office.example.org: 192.0.2.3; no longer 192.0.2.1, 192.0.2.2",
        ]


@pytest.mark.parametrize(
    ("target", "why"),
    [
        ("127.0.0.1", "127.0.0.1 is never banned: 127.0.0.0/8 stands in AMIGUARD_IGNOREIP"),
        ("126.0.0.0/7", "127.0.0.0/8 in 126.0.0.0/7 is never banned: 127.0.0.0/8 stands in AMIGUARD_IGNOREIP"),
        ("192.0.2.7", "192.0.2.7 is never banned: an administrator allowed 192.0.2.0/24"),
        ("198.51.100.9", "198.51.100.9 is never banned: pbx.example.org in AMIGUARD_IGNOREIP stands for it"),
        ("198.51.100.1", "198.51.100.1 is never banned: gateway, see AMIGUARD_IGNORESELF"),
    ],
)
async def test_a_manual_ban_of_who_is_allowed_is_refused_and_says_why(target: str, why: str) -> None:
    world = World()
    async with world.running() as guard:
        await guard.administration.allow(NETWORK, "")
        guard.exemptions.set(AllowOrigin.NAME, "pbx.example.org", [Target("198.51.100.9")])
        guard.exemptions.set(AllowOrigin.SELF, "gateway", [Target("198.51.100.1")])
        with pytest.raises(BanRefused, match=f"^{why}$"):
            await guard.administration.ban(Target(target), None, "")


async def test_a_forced_ban_takes_back_what_an_administrator_allowed_in_it() -> None:
    world = World()
    async with world.running() as guard:
        await guard.administration.allow(ATTACKER, "")
        await guard.administration.ban(NETWORK, None, "", force=True)

        assert set(world.firewall.dropped) == {NETWORK}
        assert ATTACKER not in world.firewall.allowed
        assert [entry.target for entry in guard.administration.allowed()] == ["127.0.0.0/8"]


async def test_a_forced_ban_around_who_is_allowed_otherwise_is_taken_and_lets_them_through() -> None:
    world = World(allow=("192.0.2.1",))
    async with world.running() as guard:
        await guard.administration.ban(NETWORK, None, "", force=True)

        assert set(world.firewall.dropped) == {NETWORK}
        assert world.firewall.allowed == [ATTACKER]


async def test_a_forced_ban_that_would_drop_nothing_is_refused() -> None:
    world = World()
    async with world.running() as guard:
        with pytest.raises(BanRefused):
            await guard.administration.ban(Address(Target("127.0.0.1")), None, "", force=True)
        await guard.administration.allow(NETWORK, "")
        await guard.administration.allow(ATTACKER, "")
        with pytest.raises(BanRefused, match=r"an administrator allowed 192\.0\.2\.0/24"):
            await guard.administration.ban(ATTACKER, None, "", force=True)
        assert ATTACKER in world.firewall.allowed, "what is refused changes nothing"


async def test_many_changes_at_once_end_in_what_was_said_last() -> None:
    world = World()
    async with world.running() as guard:
        ask = guard.administration
        await asyncio.gather(*(ask.allow(Target(f"198.51.100.{number}"), "") for number in range(50)))
        await asyncio.gather(*(ask.disallow(Target(f"198.51.100.{number}")) for number in range(49)))

        assert set(world.firewall.allowed) == {"127.0.0.0/8", "198.51.100.49"}


async def test_a_name_has_its_last_answer_also_after_a_restart_without_dns() -> None:
    world = World(allow=())
    async with world.running() as guard:
        guard.exemptions.set(AllowOrigin.NAME, "office.example.org", [ATTACKER])
        await until(lambda: Resolved("office.example.org", (ATTACKER,)) in world.store.changes)
    after = World(allow=())
    after.store.saved = Saved(names=[Resolved("office.example.org", (ATTACKER,))])
    async with after.running() as guard:
        assert after.firewall.allowed == [ATTACKER]
        assert guard.exemptions.names == ["office.example.org"]

        guard.exemptions.set(AllowOrigin.NAME, "office.example.org", [])
        await until(lambda: not after.firewall.allowed)
        await until(lambda: Resolved("office.example.org", ()) in after.store.changes)


@pytest.mark.parametrize("late", [False, True])
async def test_what_other_nodes_allowed_is_taken_back_where_there_are_none_any_more(late: bool) -> None:
    world = World()
    world.store.saved = Saved(allowed=[Allowed(ATTACKER, AllowOrigin.FLEET, node="pbx2")])
    world.store.broken = late
    async with world.running() as guard:
        world.store.broken = False
        await until(lambda: Disallowed(ATTACKER) in world.store.changes, 10)
        assert not guard.exemptions.told()
        await until(lambda: ATTACKER not in world.firewall.allowed)
        attack(guard)
        assert ATTACKER in world.firewall.dropped
