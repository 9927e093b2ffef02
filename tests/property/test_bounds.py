"""No input, however long and however varied, makes anything that judges outgrow its bound."""

from __future__ import annotations

import random
from collections.abc import Collection, Iterator, Mapping
from functools import partial
from itertools import chain
from types import FunctionType, MethodType
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, example, given, settings
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

EVENTS = 500
STRICT = Policy(
    3, 60_000, 60_000, 60_000, Slow(6, 600_000), Scan(4, 4, 1), Spread(3, 60_000, 2), NetworkBans(3, 3),
    compromise=2, protected_maxretry=8,
)  # fmt: skip
PATIENT = Policy(30, 60_000, 60_000, 60_000, spread=Spread(30, 60_000, 0), compromise=2, protected_maxretry=30)
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


class Crowd(NamedTuple):
    """Of how many addresses, names and calls a crowd is, and what it does how often in a row."""

    addresses: int
    names: int
    calls: int
    row: int
    kinds: list[str]
    """Each row begins with the first."""
    service: str
    transport: str
    sources: list[str]
    pace: int
    """Milliseconds between two events, about."""


MANY = 5000
NUMBERS = st.sampled_from([1, 3, MANY])
CROWDS = st.builds(
    Crowd, NUMBERS, NUMBERS, NUMBERS, st.sampled_from([1, 5]),
    st.lists(st.sampled_from(KINDS), min_size=1, max_size=3, unique=True), st.sampled_from(["PJSIP", "SIP", "AMI"]),
    st.sampled_from(["UDP", "TLS", ""]), st.sampled_from([["ami"], ["log", "security-log", "ami"]]),
    st.sampled_from([10, 1000, 20_000]),
)  # fmt: skip
PHONES = Crowd(MANY, MANY, MANY, 5, ["SuccessfulAuth", "ChallengeResponseFailed"], "PJSIP", "UDP", ["ami"], 10)
SLOW = Crowd(1, MANY, MANY, 1, ["ChallengeResponseFailed"], "PJSIP", "UDP", ["ami"], 20_000)
UNDETERRED = Crowd(MANY, 3, MANY, 8, ["ChallengeResponseFailed"], "PJSIP", "UDP", ["ami"], 1000)
CHAN_SIP = Crowd(MANY, 3, MANY, 1, ["InvalidPassword"], "SIP", "UDP", ["ami"], 10)


def events(chance: random.Random, crowd: Crowd) -> Iterator[SecurityEvent]:
    """Yield what they do."""
    who, account = 0, ""
    for number in range(EVENTS):
        if number % crowd.row == 0:
            who, account = chance.randrange(crowd.addresses), f"account-{chance.randrange(crowd.names)}"
        name = crowd.kinds[0] if number % crowd.row == 0 else chance.choice(crowd.kinds[1:] or crowd.kinds)
        yield SecurityEvent(
            name,
            crowd.service,
            Address(Target(f"2001:db8:{who % 9:x}::{who:x}" if who % 2 else f"198.18.{who >> 8}.{who & 255}")),
            5060,
            crowd.transport,
            account * crowd.row,
            f"call-{chance.randrange(crowd.calls)}",
            using_password=name == "SuccessfulAuth",
            tampered=name != "SuccessfulAuth" and chance.random() < 1 / EVENTS,
        )


@given(st.integers(0, 2**32), CROWDS, st.sampled_from([STRICT, PATIENT]))
@example(1, PHONES, STRICT)
@example(1, SLOW, PATIENT)
@example(1, UNDETERRED, STRICT)
@example(1, CHAN_SIP, STRICT)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@pytest.mark.usefixtures("small")
def test_nothing_that_judges_outgrows_its_bound(seed: int, crowd: Crowd, policy: Policy) -> None:
    chance, now, bans = random.Random(seed), 1_000_000_000, list[Ban]()
    judge = Judge(
        policy,
        Allowlist(),
        Bans(lambda: now, bans.append),
        journal=SilentJournal(),
        clock=lambda: now,
        alert=lambda *_, **__: None,
        chance=lambda _: 0,
        log_followed=True,
    )
    for event in events(chance, crowd):
        now += chance.randrange(-crowd.pace, 4 * crowd.pace)
        judge.observe(event, chance.choice(crowd.sources))
        if chance.random() < 0.01:
            judge.release()

    assert [place for place in containers(judge, "judge") if place[1] > MOST] == []
