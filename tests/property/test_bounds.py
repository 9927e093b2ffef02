"""No input, however long and however varied, makes anything that judges outgrow its bound."""

from __future__ import annotations

import random
from collections.abc import Collection, Iterator, Mapping
from functools import partial
from itertools import chain
from types import FunctionType, MethodType

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from amiguard import attempts, chansip, jail, presence, undeterred
from amiguard.allowlist import Allowlist
from amiguard.asterisk.schema import SecurityEvent
from amiguard.judge import Judge
from amiguard.model import Address, Ban, Target
from amiguard.policy import NetworkBans, Policy, Scan, Slow, Spread
from amiguard.replay.bans import Bans
from amiguard.rules import accounts, logins, names, networks, protected, scanners, slow
from tests.lab.journal import SilentJournal

FEW = 5
MOST = 40
"""What nothing may outgrow: a ranked table has up to 32 levels, a jail keeps up to ten names, all else holds `FEW`."""

EVENTS = 300
POLICY = Policy(
    3, 60_000, 60_000, 60_000, Slow(6, 600_000), Scan(4, 4, 1), Spread(3, 60_000, 2), NetworkBans(3, 3),
    compromise=2, protected_maxretry=8,
)  # fmt: skip
KINDS = ["ChallengeResponseFailed", "InvalidAccountID", "FailedACL", "ChallengeSent", "SuccessfulAuth"]
Place = tuple[str, int]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave room for few entries in every table."""
    for module in (accounts, names, networks, protected, slow, chansip, undeterred):
        monkeypatch.setattr(module, "CAPACITY", FEW)
    monkeypatch.setattr(names, "MOST", FEW)
    monkeypatch.setattr(scanners, "WAITING", FEW)
    monkeypatch.setattr(logins, "CAPACITY", FEW)
    monkeypatch.setattr(logins, "HOMES", FEW)
    for made in (jail.Jail.__init__, attempts.Attempts.__init__):
        monkeypatch.setattr(made, "__defaults__", (FEW,))
    monkeypatch.setattr(presence.Presence.__init__, "__defaults__", (lambda _: None, FEW))


def containers(thing: object, path: str) -> Iterator[Place]:
    """Yield everything inside `thing` that can grow, and how much it holds."""
    if isinstance(thing, str | int | float | Policy | FunctionType | MethodType | partial | Bans | SilentJournal):
        return
    if isinstance(thing, Collection):
        yield path, len(thing)
        inside = chain(thing, thing.values()) if isinstance(thing, Mapping) else iter(thing)
        for one in inside:
            yield from containers(one, f"{path}[]")
        return
    slots = chain.from_iterable(getattr(kind, "__slots__", ()) for kind in type(thing).__mro__)
    for name in chain(slots, getattr(thing, "__dict__", ())):
        yield from containers(getattr(thing, name), f"{path}.{name}")


def events(chance: random.Random, variety: int) -> Iterator[SecurityEvent]:
    """Yield events of strangers and of phones, of few or of many addresses, names and calls."""
    for _ in range(EVENTS):
        who = chance.randrange(variety)
        yield SecurityEvent(
            name := chance.choice(KINDS),
            chance.choice(["PJSIP", "PJSIP", "SIP", "AMI"]),
            Address(Target(f"2001:db8:{who % 9:x}::{who:x}" if who % 2 else f"198.18.{who >> 8}.{who & 255}")),
            5060 + chance.randrange(variety),
            chance.choice(["UDP", "TLS", ""]),
            f"account-{chance.randrange(variety)}" * chance.choice([1, 20]),
            f"call-{chance.randrange(variety)}",
            using_password=name == "SuccessfulAuth",
            tampered=name != "SuccessfulAuth" and chance.random() < 0.02,
        )


@given(st.integers(0, 2**32), st.sampled_from([3, 20, 2000]), st.sampled_from([10, 1000, 20_000]))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@pytest.mark.usefixtures("small")
def test_nothing_that_judges_outgrows_its_bound(seed: int, variety: int, pace: int) -> None:
    chance, now, bans = random.Random(seed), 1_000_000_000, list[Ban]()
    judge = Judge(
        POLICY,
        Allowlist(),
        Bans(lambda: now, bans.append),
        journal=SilentJournal(),
        clock=lambda: now,
        alert=lambda *_, **__: None,
        chance=lambda _: 0,
        log_followed=True,
    )
    for event in events(chance, variety):
        now += chance.randrange(-pace, 4 * pace)
        judge.observe(event, chance.choice(["ami", "log", "security-log"]))
        if chance.random() < 0.01:
            judge.release()

    assert [place for place in containers(judge, "judge") if place[1] > MOST] == []
