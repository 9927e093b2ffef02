"""What must hold whatever events come, in whichever order, and whatever the clock does meanwhile."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from typing_extensions import override

from amiguard.allowlist import Allowlist
from amiguard.asterisk.schema import SecurityEvent
from amiguard.judge import Judge
from amiguard.model import Address, Ban, Target, network_of
from amiguard.policy import NetworkBans, Policy, Repeat, Scan, Slow, Spread
from amiguard.replay.bans import Bans
from tests.lab.journal import SilentJournal

SECOND = 1000
POLICY = Policy(
    3,
    10 * SECOND,
    20 * SECOND,
    15 * SECOND,
    slow=Slow(6, 60 * SECOND),
    scan=Scan(5, 4, 1),
    spread=Spread(3, 20 * SECOND, 2),
    networks=NetworkBans(2, 2, 29, 64, 60 * SECOND),
    compromise=2,
    protected_maxretry=4,
    repeat=Repeat(increment=True, recidive=3, maxtime=None, jitter=3 * SECOND),
)
"""Small numbers, so that short histories reach every rule."""

KINDS = ["ChallengeResponseFailed", "InvalidAccountID", "FailedACL", "ChallengeSent", "SuccessfulAuth"]

events = st.builds(
    lambda name, who, six, transport, account, session, tampered: SecurityEvent(
        name,
        "PJSIP",
        Address(Target(f"2001:db8::{who}" if six else f"192.0.2.{who}")),
        5062,
        transport,
        f"a{account}",
        f"call{session}",
        using_password=name == "SuccessfulAuth",
        tampered=tampered and name not in {"ChallengeSent", "SuccessfulAuth"},
    ),
    st.sampled_from(KINDS),
    st.integers(0, 5),
    st.booleans(),
    st.sampled_from(["UDP", "TLS", ""]),
    st.integers(0, 4),
    st.integers(0, 200),
    st.integers(0, 30).map(lambda number: number == 0),
)
happenings = st.lists(st.tuples(events, st.sampled_from([0, 0, 1, 1, 5, 40, -3, -60])), min_size=15, max_size=80)
"""Each event, and by how many seconds the clock goes before it."""

allowed = st.lists(
    st.sampled_from([Target("192.0.2.3"), Target("192.0.2.4/31"), Target("2001:db8::5"), Target("192.0.2.0/24")]),
    max_size=2,
)


class Watched(Bans):
    """Bans that see to it that nothing which runs is replaced by something shorter."""

    @override
    def submit(self, ban: Ban) -> None:
        known = self.active.get(ban.target)
        if known is not None and self.holds(ban.target):
            assert ban.until is None or (known.until is not None and ban.until >= known.until)
        super().submit(ban)


class Case:
    def __init__(self, allow: list[Target]) -> None:
        self.now = 1_000_000_000
        self.told: list[Ban] = []
        self.bans = Watched(lambda: self.now, self.told.append)
        self.judge = Judge(
            POLICY,
            Allowlist(allow),
            self.bans,
            journal=SilentJournal(),
            clock=lambda: self.now,
            alert=lambda *_, **__: None,
            chance=lambda most: self.now % most,
            log_followed=False,
        )

    def play(self, history: list[tuple[SecurityEvent, int]]) -> None:
        for event, seconds in history:
            self.now += seconds * SECOND
            self.judge.release()
            self.judge.observe(event, "ami")


@given(happenings, allowed)
def test_nobody_who_is_allowed_is_ever_in_a_ban_and_no_ban_is_cut_short(
    history: list[tuple[SecurityEvent, int]], allow: list[Target]
) -> None:
    case = Case(allow)
    case.play(history)

    for ban in case.told:
        assert not any(network_of(ban.target).overlaps(network_of(one)) for one in allow)
        assert ban.until is None or ban.until >= ban.since + 15 * SECOND


@given(happenings, happenings)
def test_who_logged_in_is_in_no_ban_of_a_network(
    before: list[tuple[SecurityEvent, int]], after: list[tuple[SecurityEvent, int]]
) -> None:
    case = Case([])
    phone = SecurityEvent(
        "SuccessfulAuth", "PJSIP", Address(Target("192.0.2.1")), 5062, "UDP", "phone", "own", using_password=True
    )
    case.play([*before, (phone, 0)])
    banned = case.bans.holds(Target("192.0.2.1"))
    told = len(case.told)
    case.play(after)

    for ban in case.told[told:]:
        if "/" in ban.target and not banned:
            assert not network_of(ban.target).overlaps(network_of(Target("192.0.2.1")))


@given(happenings, st.integers(0, 5))
def test_an_unban_forgets_so_much_that_one_failure_more_bans_nobody(
    history: list[tuple[SecurityEvent, int]], who: int
) -> None:
    case = Case([])
    case.play(history)
    one = Target(f"192.0.2.{who}")
    case.bans.active.clear()
    case.judge.rules.forget(one)
    case.judge.reconfigure(replace(POLICY, spread=None, networks=NetworkBans()), log_followed=False)
    case.told.clear()
    case.judge.observe(SecurityEvent(KINDS[0], "PJSIP", Address(one), 5062, "UDP", "a1", "fresh"), "ami")

    assert not case.told
