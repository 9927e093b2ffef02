"""Phones and trunks, from the events to the kernel."""

from __future__ import annotations

from dataclasses import replace

import pytest

from amiguard.errors import BanRefused
from amiguard.guard import Guard
from amiguard.journal import Action
from amiguard.model import Address, AllowOrigin, Phone, Target
from amiguard.ports import NoticeKind, Saved
from amiguard.presence import LIFETIME
from tests.lab.waiting import until
from tests.lab.world import ATTACKER, POLICY, World, attack, guess

SPARING = replace(POLICY, protected_maxretry=50)
ACCOUNT = guess().account
LOGIN = guess()._replace(name="SuccessfulAuth", using_password=True)


def fails(guard: Guard, account: str, times: int, transport: str = "UDP") -> None:
    for number in range(times):
        guard.observe(guess()._replace(account=account, session=f"{account}-{number}", transport=transport), "ami")


async def test_a_phone_with_a_wrong_password_is_spared_and_the_administrator_is_told() -> None:
    world = World(policy=SPARING)
    async with world.running() as guard:
        guard.observe(LOGIN, "ami")
        fails(guard, ACCOUNT, 49)

        assert world.journal.count(Action.PHONE_FAILING) == 1
        assert [notice.kind for notice in world.notifier.notices] == [NoticeKind.ALERT]
        assert world.journal.of(Action.FAILURE)[-1].fields["failures"] == 49
        assert not guard.counters.bans
        fails(guard, "a new phone", 9)
        assert world.journal.count(Action.PHONE_FAILING) == 2
        assert not guard.counters.bans
        for number in range(6):
            fails(guard, f"another {number}", 1, transport="TCP")
        await until(lambda: ATTACKER in world.firewall.dropped)


async def test_who_only_seems_to_have_logged_in_is_not_spared() -> None:
    world = World(policy=SPARING)
    async with world.running() as guard:
        for event in (
            LOGIN._replace(service="SIP"),
            LOGIN._replace(tampered=True),
            LOGIN._replace(using_password=False),
        ):
            guard.observe(event, "ami")
        guard.observe(LOGIN._replace(transport=""), "security-log")
        attack(guard, times=5)

        assert guard.counters.bans == 1


async def test_phones_are_known_over_restarts() -> None:
    world = World(policy=SPARING)
    async with world.running() as guard:
        guard.observe(LOGIN, "ami")
        await until(lambda: Phone(ATTACKER, ACCOUNT, world.now + LIFETIME) in world.store.changes)
    after = World(policy=SPARING, now=world.now + LIFETIME - 1000)
    after.store.saved = Saved(phones=[change for change in world.store.changes if isinstance(change, Phone)])
    async with after.running() as guard:
        fails(guard, ACCOUNT, 10)

        assert not guard.counters.bans


async def test_a_forged_packet_can_not_ban_a_trunk_but_a_connection_can() -> None:
    world = World(policy=SPARING)
    async with world.running() as guard:
        guard.presence.tell_trunk("sip.example.org", [ATTACKER])
        fails(guard, "someone", 5)
        (line,) = world.journal.of(Action.BAN_SKIPPED)
        assert line.message == f"{ATTACKER} is a trunk of this server, and only datagrams claim it"
        assert not guard.counters.bans

        fails(guard, "other", 5, transport="TCP")
        await until(lambda: ATTACKER in world.firewall.dropped)


async def test_who_is_known_is_listed_and_a_manual_ban_of_him_wants_force() -> None:
    world = World(policy=SPARING)
    async with world.running() as guard:
        guard.observe(LOGIN, "ami")
        trunk = Address(Target("198.51.100.1"))
        guard.presence.tell_trunk("sip.example.org", [trunk])
        learned = [entry for entry in guard.administration.allowed() if entry.origin is AllowOrigin.LEARNED]
        assert [(entry.target, entry.comment, entry.until) for entry in learned] == [
            (ATTACKER, ACCOUNT, world.now + LIFETIME),
            (trunk, "trunk sip.example.org", None),
        ]

        for target in (ATTACKER, trunk, Target("198.51.100.0/24")):
            with pytest.raises(BanRefused, match="a phone that has logged in, or a trunk, is at"):
                await guard.administration.ban(target, None, "")
        await guard.administration.ban(ATTACKER, None, "", force=True)
        assert ATTACKER in world.firewall.dropped
