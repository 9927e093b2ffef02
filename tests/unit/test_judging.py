"""What the rules decide, and what the judge makes of it, in a guard whose parts do as the test says."""

from __future__ import annotations

from dataclasses import replace

from amiguard.asterisk.schema import SecurityEvent
from amiguard.journal import Action
from amiguard.model import Address, Ban, Reason, Target, network_of
from amiguard.policy import NetworkBans, Policy, Repeat, Scan, Slow, Spread
from amiguard.ports import NoticeKind, Saved
from amiguard.rules.scanners import PATIENCE
from tests.lab.waiting import until
from tests.lab.world import ATTACKER, RecordingStore, World, attack, guess

POLICY = Policy(maxretry=5, findtime=600_000, bantime=3_600_000, unproven_bantime=3_600_000)
HOUR = 3_600_000


def login(address: str, account: str = "100") -> SecurityEvent:
    return SecurityEvent(
        "SuccessfulAuth", "PJSIP", Address(Target(address)), 5062, "UDP", account, "call", using_password=True
    )


async def test_a_network_is_banned_without_who_is_allowed_in_it_and_who_logged_in_from_it() -> None:
    world = World(policy=replace(POLICY, networks=NetworkBans(offenders4=3)), allow=("192.0.2.64/30", "192.0.2.200"))
    async with world.running() as guard:
        guard.observe(login("192.0.2.99"), "ami")
        for number in (1, 2, 3):
            attack(guard, f"192.0.2.{number}")
        await until(lambda: any("/" in target for target in world.firewall.dropped))
        dropped = [network_of(target) for target in world.firewall.dropped]
        spared = {"192.0.2.64", "192.0.2.67", "192.0.2.99", "192.0.2.200"}

        for number in range(256):
            address = f"192.0.2.{number}"
            banned = any(network_of(Target(address)).subnet_of(network) for network in dropped)  # type: ignore[arg-type]
            assert banned is not (address in spared or address in {"192.0.2.65", "192.0.2.66"})


async def test_the_ban_of_a_network_is_lifted_with_all_its_pieces_and_no_other_ban() -> None:
    world = World(policy=replace(POLICY, networks=NetworkBans(offenders4=3)))
    network, other = Target("192.0.2.0/24"), Target("198.51.100.0/24")
    async with world.running() as guard:
        guard.observe(login("192.0.2.99"), "ami")
        for number in (1, 2, 3):
            attack(guard, f"192.0.2.{number}")
            attack(guard, f"198.51.100.{number}")
        await until(lambda: other in world.firewall.dropped)
        await guard.administration.ban(Target("192.0.2.4/30"), None, "by hand")
        pieces = {
            ban.target
            for ban in guard.administration.bans()
            if ban.reason is Reason.NETWORK and ban.target.startswith("192.0.2.")
        }
        left = world.firewall.dropped.keys() - pieces

        lifted = await guard.administration.unban(network)
        assert lifted is not None
        assert lifted.target == network
        assert world.firewall.dropped.keys() == left > {other, "192.0.2.4/30", "192.0.2.1"}
        assert await guard.administration.unban(network) is None


async def test_a_network_in_the_allowlist_is_never_banned() -> None:
    world = World(policy=replace(POLICY, networks=NetworkBans(offenders6=3)), allow=("2001:db8::/32",))
    async with world.running() as guard:
        for number in range(3):
            guard.observe(guess(f"2001:db8::{number:x}"), "ami")

        assert world.journal.count(Action.BAN_SKIPPED) == 1
        assert not world.firewall.dropped


async def test_repeat_offenders_are_banned_longer_also_after_a_restart() -> None:
    saved = Saved(history={ATTACKER: 2})
    world = World(policy=replace(POLICY, repeat=Repeat(increment=True)), store=RecordingStore(saved))
    async with world.running() as guard:
        attack(guard)
        await until(lambda: ATTACKER in world.firewall.dropped)

        assert world.firewall.dropped == {ATTACKER: 4 * HOUR}


async def test_the_third_ban_within_a_week_is_for_good_also_after_a_restart() -> None:
    saved = Saved(history={ATTACKER: 2}, times={ATTACKER: (1, 2)})
    world = World(policy=replace(POLICY, repeat=Repeat(recidive=3, maxtime=None)), store=RecordingStore(saved))
    async with world.running() as guard:
        attack(guard)
        await until(lambda: ATTACKER in world.firewall.dropped)

        assert world.firewall.dropped == {ATTACKER: None}


async def test_jitter_comes_from_what_the_guard_was_given() -> None:
    world = World(policy=replace(POLICY, repeat=Repeat(jitter=1000)))
    async with world.running() as guard:
        attack(guard)
        await until(lambda: ATTACKER in world.firewall.dropped)

        assert world.firewall.dropped == {ATTACKER: HOUR + 1000}


async def test_no_rule_replaces_a_ban_that_runs() -> None:
    running = Ban(Target("2001:db8::/64"), 0, None, Reason.MANUAL)
    world = World(policy=replace(POLICY, networks=NetworkBans(offenders6=3)), store=RecordingStore(Saved([running])))
    async with world.running() as guard:
        for number in range(30):
            guard.observe(guess(f"2001:db8::{number:x}"), "ami")
        await guard._enforcement.flush()

        assert guard.administration.find(Target("2001:db8::/64")) == running
        assert world.journal.count(Action.BAN) == 0


async def test_an_account_under_attack_is_told_in_the_log_and_by_a_notice() -> None:
    world = World(policy=replace(POLICY, spread=Spread(3, HOUR, 0)))
    async with world.running() as guard:
        for number in range(9):
            guard.observe(guess(f"192.0.2.{number}"), "ami")

        (line,) = world.journal.of(Action.ACCOUNT_UNDER_ATTACK)
        (notice,) = world.notifier.notices
        assert (notice.kind, notice.action, notice.text) == (NoticeKind.ALERT, line.action, line.message)
        assert not world.firewall.dropped


async def test_a_guessed_password_is_told_and_bans_nobody() -> None:
    world = World(policy=replace(POLICY, compromise=3))
    async with world.running() as guard:
        attack(guard, times=3)
        guard.observe(login(ATTACKER), "ami")
        guard.observe(login(ATTACKER), "security-log")

        assert world.journal.count(Action.SUSPECTED_COMPROMISE) == 1
        assert not world.firewall.dropped


async def test_a_silent_scanner_is_banned_once_his_time_to_answer_is_over() -> None:
    world = World(policy=replace(POLICY, scan=Scan(challenges=100, accounts=4, learning=1000)))
    async with world.running() as guard:
        for number in range(6):
            world.now += 1000
            event = SecurityEvent("ChallengeSent", "PJSIP", ATTACKER, 5062, "UDP", str(number), str(number))
            guard.observe(event, "ami")
            guard.observe(event, "security-log")
        world.now += PATIENCE
        await until(lambda: ATTACKER in world.firewall.dropped, 10)

        (line,) = world.journal.of(Action.BAN)
        assert isinstance(line.fields["ban"], Ban)
        assert line.fields["ban"].reason is Reason.SCAN


async def test_a_log_of_the_time_when_amiguard_was_down_counts_for_the_long_window() -> None:
    world = World(policy=replace(POLICY, slow=Slow(20, 168 * HOUR)), now=168 * HOUR)
    async with world.running() as guard:
        for number in range(20):
            guard.observe(guess(session=str(number)), "log", world.now - 11 * 60_000 * (20 - number))
        await until(lambda: ATTACKER in world.firewall.dropped)


async def test_other_settings_hold_from_the_next_failure_on_and_lose_no_count() -> None:
    world = World(policy=POLICY)
    async with world.running() as guard:
        attack(guard, times=3)
        guard.reconfigure(replace(POLICY, maxretry=4), [Target("127.0.0.0/8")], log_followed=False)
        attack(guard, times=1)
        await until(lambda: ATTACKER in world.firewall.dropped)
