"""A flood of forged sources, some of which are addresses that must not be locked out, and attackers who hide in it."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from amiguard.allowlist import Allowlist
from amiguard.asterisk.schema import SecurityEvent
from amiguard.judge import Judge
from amiguard.model import Address, Ban, Evidence, Phone, Target, network_of
from amiguard.presence import LIFETIME, Presence
from amiguard.replay.bans import Bans
from amiguard.settings import load_policy
from amiguard.settings.policy import policy_of
from tests.lab.journal import SilentJournal

FORGED = [Address(Target(f"11.0.{number >> 8}.{number & 255}")) for number in range(4_000)]
ALLOWED = Target("11.0.1.0/24")
OFFICES = FORGED[512:1024]
"""Where phones are known, and at every second one a new phone fails all the time."""
ATTACKERS = [Address(Target(f"198.51.100.{number}")) for number in range(50)]
GUESSES = 5


class Flood:
    """The daemon's default settings, and a judge whose clock is the packets'."""

    def __init__(self) -> None:
        self.now = 1_000_000_000
        self.bans: list[Ban] = []
        presence = Presence()
        for office in OFFICES:
            for account in (f"{office}-1", f"{office}-2"):
                presence.learn(Phone(office, account, self.now + LIFETIME), self.now)
        self.judge = Judge(
            policy_of(load_policy({}, [Path("full")], environ={})),
            Allowlist([ALLOWED]),
            Bans(lambda: self.now, self.bans.append),
            journal=SilentJournal(),
            clock=lambda: self.now,
            alert=lambda *_, **__: None,
            chance=lambda _: 0,
            log_followed=False,
            presence=presence,
        )

    def fails(self, address: Address, account: str, session: str) -> None:
        self.now += 5
        event = SecurityEvent("ChallengeResponseFailed", "PJSIP", address, 5060, "UDP", account, session)
        self.judge.observe(event, "ami")

    @property
    def banned(self) -> set[Target]:
        return {ban.target for ban in self.bans}


@pytest.mark.parametrize("accounts", [1, GUESSES], ids=["one account each", "five accounts each"])
def test_five_forged_failures_each_ban_nobody_who_is_allowed_or_where_phones_are_and_no_attacker_escapes(
    accounts: int,
) -> None:
    flood, chance = Flood(), random.Random(accounts)
    packets = [
        (address, f"{1000 + (number + attempt % accounts) % 900}", f"{number}-{attempt}")
        for number, address in enumerate(FORGED)
        for attempt in range(GUESSES)
    ]
    packets += [(office, "a new phone", f"{office}-{retry}") for office in OFFICES[::2] for retry in range(10)]
    packets += [(attacker, "1000", f"{attacker}-{guess}") for attacker in ATTACKERS for guess in range(GUESSES)]
    chance.shuffle(packets)
    for packet in packets:
        flood.fails(*packet)

    allowed = network_of(ALLOWED)
    assert not [ban for ban in flood.bans if network_of(ban.target).overlaps(allowed)]
    assert [ban for ban in flood.bans if ban.target in OFFICES] == []
    assert set(ATTACKERS) <= flood.banned
    assert {ban.evidence for ban in flood.bans} == {Evidence.DATAGRAM}
