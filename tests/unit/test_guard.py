"""The guard and its enforcement, with a firewall and a store that do as the test says."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from amiguard import enforcement
from amiguard.errors import BanRefused, FirewallError
from amiguard.journal import Action
from amiguard.model import Ban, Drops, Reason, Target, Timestamp
from amiguard.ports import Ended, Ending, NoticeKind, Position, Saved
from amiguard.undeterred import BITES_AFTER, REPEATS
from tests.lab.waiting import until
from tests.lab.world import ATTACKER, RecordingFirewall, RecordingStore, World, attack, guess


async def test_the_fifth_failure_bans_in_the_kernel_before_anything_else_runs() -> None:
    world = World()
    async with world.running() as guard:
        attack(guard, times=4)
        assert not world.firewall.dropped
        attack(guard, times=1)

        assert world.firewall.dropped == {ATTACKER: 60_000}
        assert [line.action for line in world.journal.lines[-2:]] == [Action.FAILURE, Action.BAN]
        assert not guard.administration.status()["bans"]["waiting"]  # type: ignore[index]
        await until(lambda: bool(world.store.changes))


async def test_a_ban_that_has_to_wait_is_in_kernel_log_store_and_mail_in_this_order() -> None:
    world = World(firewall=RecordingFirewall(busy=True))
    async with world.running() as guard:
        attack(guard)
        assert world.journal.count(Action.BAN) == 0, "not before the kernel's acknowledgement"
        await until(lambda: bool(world.store.changes))

        assert world.firewall.dropped == {ATTACKER: 60_000}
        assert world.journal.count(Action.FAILURE) == 5
        assert world.journal.count(Action.BAN) == 1
        assert [notice.kind for notice in world.notifier.notices] == [NoticeKind.BAN]
        assert guard.administration.find(ATTACKER) == world.store.changes[0]


async def test_failures_of_a_banned_address_are_not_counted_again() -> None:
    world = World()
    async with world.running() as guard:
        attack(guard, times=50)
        await until(lambda: ATTACKER in world.firewall.dropped)
        attack(guard, times=50)
        await until(lambda: bool(world.store.changes))

        assert world.journal.count(Action.FAILURE) == 5
        assert world.journal.count(Action.BAN) == 1
        assert guard.counters.after_ban == 95


async def test_a_ban_that_does_not_bite_is_put_in_again_without_a_second_ban_line() -> None:
    world = World()
    async with world.running() as guard:
        attack(guard)
        await until(lambda: bool(world.store.changes))
        world.firewall.dropped.clear()
        world.now += BITES_AFTER + 1
        attack(guard, times=1)
        await until(lambda: ATTACKER in world.firewall.dropped)

        assert world.journal.count(Action.BAN) == 1
        assert len(world.store.changes) == 1


async def test_a_ban_that_only_datagrams_led_to_ends_the_conversations_that_the_server_was_made_to_begin() -> None:
    world = World()
    async with world.running() as guard:
        attack(guard)
        await until(lambda: world.firewall.interrupted == [ATTACKER])
        assert ATTACKER not in world.firewall.absolute

        world.now += BITES_AFTER + 1
        attack(guard, times=1)
        await until(lambda: world.firewall.interrupted == [ATTACKER] * 2)
        assert world.journal.count(Action.BAN_ESCALATED) == 0


async def test_who_goes_on_by_datagrams_is_cut_off_absolutely_in_the_end_and_this_is_no_second_ban() -> None:
    world = World()
    async with world.running() as guard:
        attack(guard)
        await until(lambda: bool(world.store.changes))
        for turn in range(REPEATS + 1):
            await until(lambda expected=turn + 1: len(world.firewall.interrupted) == expected)  # type: ignore[misc]
            world.now += BITES_AFTER + 1
            attack(guard, times=1)
        await until(lambda: guard.administration.find(ATTACKER) == world.store.changes[-1])

        assert world.journal.count(Action.BAN_ESCALATED) == 1
        assert world.firewall.absolute == {ATTACKER}
        assert world.journal.count(Action.BAN) == 1
        assert len(world.notifier.notices) == 1
        ban = world.store.changes[-1]
        assert isinstance(ban, Ban)
        assert ban.absolute


async def test_a_connection_while_banned_leads_to_an_absolute_ban_at_once() -> None:
    world = World()
    async with world.running() as guard:
        attack(guard)
        await until(lambda: bool(world.store.changes))
        guard.observe(guess(transport="TCP"), "ami")
        await until(lambda: world.journal.count(Action.BAN_ESCALATED) == 1)

        assert world.firewall.absolute == {ATTACKER}


async def test_who_is_allowed_meanwhile_is_not_cut_off_however_often_datagrams_accuse_him() -> None:
    world = World()
    async with world.running() as guard:
        attack(guard)
        await until(lambda: bool(world.store.changes))
        await guard.administration.allow(ATTACKER, "a trunk")
        for _ in range(REPEATS + 3):
            world.now += BITES_AFTER + 1
            attack(guard, times=5)
            await asyncio.sleep(0)

        assert world.journal.count(Action.BAN_ESCALATED) == 0
        assert not world.firewall.absolute


async def test_in_a_dry_run_nobody_is_said_to_be_cut_off() -> None:
    world = World(firewall=RecordingFirewall(enforces=False))
    async with world.running() as guard:
        attack(guard)
        await until(lambda: bool(world.store.changes))
        guard.observe(guess(transport="TCP"), "ami")
        await until(lambda: world.firewall.transactions == 2)
        guard.observe(guess(), "ami")

        assert world.journal.count(Action.BAN_ESCALATED) == 0


async def test_what_the_kernel_dropped_is_told_in_all_and_of_each_ban() -> None:
    world = World()
    async with world.running() as guard:
        attack(guard)
        await until(lambda: ATTACKER in world.firewall.dropped)
        await until(lambda: guard.administration.dropped == Drops(7, 2800))
        assert guard.administration.status()["dropped"] == {"packets": 7, "bytes": 2800}
        assert await guard.administration.drops([ATTACKER, Target("192.0.2.99")]) == {ATTACKER: Drops(3, 1200)}

        world.firewall.broken = True
        assert await guard.administration.drops([ATTACKER]) == {}
        assert guard.administration.dropped == Drops(7, 2800)


async def test_what_the_kernel_refuses_is_retried_and_never_reported_as_done() -> None:
    world = World()
    async with world.running() as guard:
        world.firewall.broken = True
        attack(guard)
        await until(lambda: world.journal.count(Action.FIREWALL_FAILED) >= 2)
        assert world.journal.count(Action.BAN) == 0
        assert not world.notifier.notices
        assert not world.store.changes
        assert not guard.administration.ready

        world.firewall.broken = False
        await until(lambda: world.journal.count(Action.BAN) == 1)
        assert ATTACKER in world.firewall.dropped


async def test_a_ban_whose_time_ran_out_while_the_kernel_refused_is_not_reported() -> None:
    world = World()
    async with world.running() as guard:
        world.firewall.broken = True
        attack(guard)
        await until(lambda: world.journal.count(Action.FIREWALL_FAILED) >= 1)
        world.now += 60_000
        world.firewall.broken = False
        await until(lambda: not guard.administration.status()["bans"]["waiting"])  # type: ignore[index]  # JSON-able, not typed

        assert world.journal.count(Action.BAN) == 0
        assert not guard.administration.bans()


async def test_an_administrators_ban_lays_out_a_firewall_that_somebody_flushed() -> None:
    world = World()
    async with world.running() as guard:
        put = world.firewall.ban

        async def vanished_once(bans: Sequence[Ban], now: Timestamp) -> None:
            world.firewall.ban = put  # type: ignore[method-assign]  # start() brought the table back
            raise FirewallError("no such table", 2)

        world.firewall.ban = vanished_once  # type: ignore[method-assign]  # the table is gone
        await guard.administration.ban(ATTACKER, None, "")

        assert ATTACKER in world.firewall.dropped
        assert world.journal.count(Action.FIREWALL_HEALED) == 1


async def test_a_firewall_that_somebody_flushed_is_laid_out_anew_with_every_ban() -> None:
    world = World()
    async with world.running() as guard:
        attack(guard)
        await until(lambda: guard.administration.find(ATTACKER) is not None)

        async def vanished(bans: Sequence[Ban], now: Timestamp) -> None:
            raise FirewallError("no such table", 2)

        world.firewall.dropped.clear()
        world.firewall.busy = True
        world.firewall.ban = vanished  # type: ignore[method-assign]  # the table is gone
        attack(guard, "192.0.2.2")
        await until(lambda: guard.administration.find(Target("192.0.2.2")) is not None)

        assert set(world.firewall.dropped) == {ATTACKER, "192.0.2.2"}
        assert world.journal.count(Action.FIREWALL_HEALED) == 1


async def test_a_dry_run_never_says_that_anybody_is_banned() -> None:
    world = World(firewall=RecordingFirewall(enforces=False))
    async with world.running() as guard:
        attack(guard)
        await until(lambda: world.journal.count(Action.BAN) == 1)

        assert world.journal.lines[-1].fields["outcome"] == "unknown"


async def test_who_is_allowed_is_never_banned_and_the_log_says_so() -> None:
    world = World(allow=("192.0.2.0/24",))
    async with world.running() as guard:
        attack(guard, times=10)
        with pytest.raises(BanRefused):
            await guard.administration.ban(ATTACKER, None, "")

        assert world.firewall.allowed == ["192.0.2.0/24"]
        assert not world.firewall.dropped
        assert world.journal.count(Action.BAN_SKIPPED) == 2


async def test_an_injection_bans_at_once() -> None:
    world = World()
    async with world.running() as guard:
        guard.observe(guess(tampered=True), "ami")
        await until(lambda: ATTACKER in world.firewall.dropped)

        assert world.journal.count(Action.INJECTION) == 1
        assert guard.counters.injections == 1


async def test_a_ban_ends_by_itself_and_the_next_one_knows_of_it() -> None:
    world = World()
    async with world.running() as guard:
        attack(guard)
        await until(lambda: guard.administration.find(ATTACKER) is not None)
        world.now += 60_000
        del world.firewall.dropped[ATTACKER]  # as the kernel does by itself
        attack(guard, "192.0.2.2")  # wakes the loop
        await until(lambda: guard.administration.find(ATTACKER) is None)
        assert world.journal.count(Action.EXPIRE) == 1

        attack(guard)
        await until(lambda: guard.administration.find(ATTACKER) is not None)
        found = guard.administration.find(ATTACKER)
        assert found is not None
        assert found.earlier == 1


async def test_bans_that_still_run_are_in_the_kernel_before_the_first_event() -> None:
    ban = Ban(ATTACKER, 0, 2_000_000, Reason.WRONG_PASSWORD)
    world = World(store=RecordingStore(Saved([ban], {ATTACKER: 3})))
    guard = world.guard()
    await guard.start()

    assert world.firewall.dropped == {ATTACKER: 1_000_000}
    assert guard.administration.bans() == [ban]
    attack(guard)
    assert guard.counters.after_ban == 5
    assert world.journal.count(Action.BAN) == 0
    await guard.close()


async def test_who_has_been_allowed_since_his_ban_is_let_through() -> None:
    allowed = Ban(Target("127.0.0.1"), 0, None, Reason.WRONG_PASSWORD)
    world = World(store=RecordingStore(Saved([allowed, Ban(ATTACKER, 0, None, Reason.ACL)])))
    async with world.running() as guard:
        await until(lambda: guard.administration.find(allowed.target) is None)

        assert set(world.firewall.dropped) == {ATTACKER}
        assert world.journal.count(Action.UNBAN) == 1


async def test_the_daemon_protects_without_its_database_and_catches_up_when_it_is_back() -> None:
    world = World(store=RecordingStore(Saved([Ban(Target("192.0.2.9"), 0, None, Reason.ACL)]), broken=True))
    async with world.running() as guard:
        attack(guard)
        await until(lambda: ATTACKER in world.firewall.dropped)
        assert world.journal.count(Action.STORE_FAILED) == 1

        world.store.broken = False
        await until(lambda: bool(world.store.changes), 10)
        assert world.journal.count(Action.STORE_RECOVERED) == 1
        await until(lambda: "192.0.2.9" in world.firewall.dropped)
        assert world.journal.count(Action.BAN) == 1, "what the database remembers is no new ban"
        assert len(guard.administration.bans()) == 2


async def test_an_administrator_bans_and_unbans() -> None:
    world = World()
    async with world.running() as guard:
        ban = await guard.administration.ban(Target("198.51.100.0/24"), 5000, "scanner")
        assert world.firewall.dropped == {"198.51.100.0/24": 5000}
        assert (ban.origin, ban.comment) == ("manual", "scanner")

        assert await guard.administration.unban(Target("198.51.100.0/24")) == ban
        assert await guard.administration.unban(Target("198.51.100.0/24")) is None
        assert not world.firewall.dropped
        assert world.journal.count(Action.UNBAN) == 1
        await until(lambda: len(world.store.changes) == 2)
        assert world.store.changes[1] == Ended(Target("198.51.100.0/24"), world.now, Ending.UNBAN)


async def test_an_unban_forgets_the_failures_too() -> None:
    world = World()
    async with world.running() as guard:
        attack(guard, times=4)
        await guard.administration.unban(ATTACKER)
        attack(guard, times=4)

        assert not world.firewall.dropped


async def test_everybody_can_be_unbanned_at_once() -> None:
    world = World()
    async with world.running() as guard:
        for i in range(1, 100):
            attack(guard, f"192.0.2.{i}")
        await until(lambda: len(world.firewall.dropped) == 99)
        assert await guard.administration.unban_all() == 99

        assert not world.firewall.dropped
        assert not guard.administration.bans()


async def test_lifting_thousands_of_bans_keeps_no_new_ban_waiting() -> None:
    world = World()
    async with world.running() as guard:
        for i in range(2000):
            attack(guard, f"10.0.{i >> 8}.{i & 255}")
        await until(lambda: len(world.firewall.dropped) == 2000)
        lifting = asyncio.create_task(guard.administration.unban_all())
        await asyncio.sleep(0)
        attack(guard)

        assert await lifting == 2000
        assert list(world.firewall.dropped) == [ATTACKER]


async def test_who_is_unbanned_while_his_ban_is_on_its_way_is_not_left_in_the_kernel() -> None:
    world = World()
    guard = world.guard()
    await guard.start()
    attack(guard)
    await asyncio.gather(guard.administration.unban(ATTACKER), guard._enforcement.flush())

    assert guard.administration.find(ATTACKER) is None
    assert not world.firewall.dropped
    await guard.close()


async def test_bans_that_were_to_make_room_still_end_when_the_kernel_would_not_let_them_go(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(enforcement, "MAX_BANS", 1)
    world = World()
    async with world.running() as guard:
        attack(guard)
        await until(lambda: guard.administration.find(ATTACKER) is not None)
        world.firewall.broken = True
        attack(guard, "192.0.2.2")
        await until(lambda: world.journal.count(Action.FIREWALL_FAILED) > 0)
        world.now += 60_000
        await until(lambda: guard.administration.find(ATTACKER) is None)


async def test_waiting_bans_go_into_the_kernel_in_few_transactions() -> None:
    world = World(firewall=RecordingFirewall(busy=True))
    async with world.running() as guard:
        for i in range(2000):
            attack(guard, f"10.0.{i >> 8}.{i & 255}")
        await until(lambda: len(world.firewall.dropped) == 2000)

        assert world.firewall.transactions <= 20


async def test_what_is_decided_when_the_daemon_stops_still_reaches_kernel_and_store() -> None:
    world = World()
    guard = world.guard()
    await guard.start()
    world.firewall.busy = True
    attack(guard)
    await guard.close()

    assert ATTACKER in world.firewall.dropped
    assert [change.target for change in world.store.changes if isinstance(change, Ban)] == [ATTACKER]


class StaticSource:
    """A source that has read a file up to somewhere."""

    def __init__(self, position: Position) -> None:
        self.position = position

    async def run(self) -> None:
        pass

    def status(self) -> dict[str, object]:
        return {"name": "log", "up": True}

    def positions(self) -> list[Position]:
        return [self.position]


async def test_how_far_the_log_was_read_is_stored_after_the_bans_that_it_led_to() -> None:
    world = World()
    position = Position("/var/log/full", 1, 2, 300, "")
    guard = world.guard()
    await guard.start()
    guard.sources.append(StaticSource(position))
    attack(guard)
    await guard.close()

    assert [type(change).__name__ for change in world.store.changes] == ["Ban", "Position", "Minute"]
    assert world.store.changes[1] == position
