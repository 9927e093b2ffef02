"""The jail and the rules against naive oracles, over histories whose clock goes back and forth and stands still.

Times are small integers: floats would rarely hit the edge of a window, and times of a real size never."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import accumulate
from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from amiguard.asterisk.schema import SecurityEvent
from amiguard.chansip import Report
from amiguard.jail import Jail, ban_of
from amiguard.model import Address, Ban, Evidence, Failure, Target, network_of
from amiguard.policy import NetworkBans, Policy, Repeat, Scan, Slow, Spread
from amiguard.ranked import Entry, Ranked
from amiguard.rules.accounts import Accounts
from amiguard.rules.names import FINDTIME, Names
from amiguard.rules.networks import Networks, around, without
from amiguard.rules.rulebook import Rulebook
from amiguard.rules.scanners import PATIENCE, Scanners
from amiguard.rules.sentence import sentence
from tests.lab.failures import failure


class Step(NamedTuple):
    """One failure of a history."""

    who: int
    at: int
    account: int
    connected: bool


steps = st.lists(
    st.builds(Step, st.integers(0, 5), st.integers(0, 30), st.integers(0, 3), st.booleans()), min_size=10, max_size=80
)
"""Each at any time: history runs forward, backward and on the spot."""

alone = steps.map(lambda history: [step._replace(who=0) for step in history])
"""The same of one address: where time goes back, others may have made the tables forget it."""

forward = steps.map(lambda history: [step._replace(at=at) for step, at in zip(history, sums(history), strict=True)])
"""Each so long after the one before it."""


def sums(history: Iterable[Step]) -> Iterable[int]:
    return accumulate(step.at // 3 for step in history)


def address(who: int) -> Address:
    return Address(Target(f"192.0.2.{who}"))


def told(step: Step, at: int | None = None) -> Failure:
    evidence = Evidence.CONNECTED if step.connected else Evidence.DATAGRAM
    return failure(step.at if at is None else at, address(step.who), evidence=evidence, account=f"a{step.account}")


class PlainJail:
    """All failures of everybody, counted anew each time."""

    def __init__(self, maxretry: int, findtime: int) -> None:
        self.maxretry, self.findtime = maxretry, findtime
        self.seen: dict[int, list[int]] = {}

    def bans(self, step: Step) -> bool:
        times = [*self.seen.get(step.who, []), step.at]
        times = [at for at in times if at >= max(times) - self.findtime]
        self.seen[step.who] = times = sorted(times)[-self.maxretry :]
        if len(times) >= self.maxretry:
            self.seen[step.who] = []
        return len(times) >= self.maxretry


@given(st.one_of(alone, forward), st.integers(1, 6), st.integers(1, 40))
def test_the_jail_bans_as_a_plain_count_would_whichever_way_time_goes(
    history: list[Step], maxretry: int, findtime: int
) -> None:
    jail, plain = Jail(Policy(maxretry, findtime, 1000, 1000)), PlainJail(maxretry, findtime)

    for step in history:
        assert (jail.observe(told(step)) is not None) is plain.bans(step)


@given(st.one_of(alone, forward), st.integers(2, 4), st.integers(1, 10), st.integers(3, 6), st.integers(5, 40))
def test_both_windows_ban_as_two_plain_counts_would(
    history: list[Step], maxretry: int, findtime: int, slow: int, longer: int
) -> None:
    rules = Rulebook(Policy(maxretry, findtime, 1000, 1000, slow=Slow(slow, longer)))
    near, far = PlainJail(maxretry, findtime), PlainJail(slow, longer)

    for step in history:
        expected = near.bans(step)
        if expected:
            far.seen[step.who] = []
        elif far.bans(step):
            expected = True
            near.seen[step.who] = []
        assert bool(rules.failed(told(step))) is expected


def latest(history: Iterable[tuple[int, str]], findtime: int) -> set[str]:
    """Return who was heard of within `findtime` before the newest; who is told late counts as the newest."""
    newest, last = 0, dict[str, int]()
    for at, who in history:
        newest = max(newest, at)
        last[who] = newest
    return {who for who, at in last.items() if at >= newest - findtime}


@given(steps, st.integers(1, 5), st.integers(1, 20))
def test_an_account_is_under_attack_as_a_plain_count_of_addresses_says(
    history: list[Step], most: int, findtime: int
) -> None:
    accounts = Accounts(Spread(most, findtime, 0))
    seen: dict[int, list[tuple[int, str]]] = {}
    alarmed: dict[int, bool] = {}

    for step in [step._replace(account=0) for step in history]:
        seen.setdefault(step.account, []).append((step.at, str(step.who)))
        attacked = len(latest(seen[step.account], findtime)) >= most
        alarm = accounts.failed(told(step))
        assert (alarm is not None) is (attacked and not alarmed.get(step.account, False))
        alarmed[step.account] = attacked


@given(alone)
def test_the_names_that_an_address_tried_are_those_of_the_last_day(history: list[Step]) -> None:
    names, seen = Names(), dict[int, list[tuple[int, str]]]()

    for step in history:
        at = step.at * FINDTIME // 10
        seen.setdefault(step.who, []).append((at, f"a{step.account}"))
        tries = names.tried(told(step, at))
        assert tries is not None
        assert set(tries.names) == latest(seen[step.who], FINDTIME)


@given(steps, st.integers(1, 5), st.integers(1, 20))
def test_a_network_is_banned_as_a_plain_count_of_its_offenders_says(
    history: list[Step], most: int, findtime: int
) -> None:
    networks = Networks(Policy(5, 10, 1000, 1000, networks=NetworkBans(most, most, 24, 64, findtime)))
    seen: dict[Target, list[tuple[int, str]]] = {}

    for step in history:
        network = around(address(step.who), 24)
        if step.connected:
            seen.setdefault(network, []).append((step.at, str(step.who)))
        expected = step.connected and len(latest(seen[network], findtime)) >= most
        ban = networks.failed(told(step), banned=False)
        assert (ban is not None) is expected
        if ban is not None:
            assert ban.target == network
            seen[network] = []


answers = st.sampled_from(["asked", "answered", "later"])


@given(st.lists(st.tuples(st.integers(0, 4), answers, st.integers(0, PATIENCE // 1000 * 2)), max_size=60))
def test_a_challenge_is_unanswered_exactly_when_nobody_answered_it_in_time(
    history: list[tuple[int, str, int]],
) -> None:
    scanners = Scanners(Policy(5, 600_000, 1000, 1000, scan=Scan(100, 10, 0)))
    open_since: dict[int, int] = {}
    now = 0

    for session, what, step in history:
        now += step * 1000 * (what == "later")
        key = (address(session), 5062, str(session))
        if what == "asked":
            event = SecurityEvent("ChallengeSent", "PJSIP", address(session), 5062, "UDP", "100", str(session))
            open_since.pop(session, None)
            open_since[session] = now
            scanners.challenged(key, Report(event, "ami", now), now)
        elif what == "answered":
            open_since.pop(session, None)
            scanners.answered(key)
        expected = {who for who, since in open_since.items() if now - since > PATIENCE}
        assert {found.address for found in scanners.unanswered(now)} == {address(who) for who in expected}
        for who in expected:
            del open_since[who]


@given(st.integers(0, 32), st.lists(st.tuples(st.integers(0, 2**32 - 1), st.integers(20, 32)), max_size=5))
def test_a_network_in_pieces_holds_nobody_who_is_spared_and_everybody_else(
    prefix: int, holes: list[tuple[int, int]]
) -> None:
    base = 0xC0000200
    network = around(Address(Target("192.0.2.0")), max(prefix, 20))
    spared = [around(dotted(base ^ (number & 0x3FF)), length) for number, length in holes]
    pieces = without(network, spared)

    assert pieces is not None
    for number in range(base - 512, base + 1024, 7):
        one = network_of(dotted(number))
        expected = one.overlaps(network_of(network)) and not any(one.overlaps(network_of(hole)) for hole in spared)
        assert sum(one.overlaps(network_of(piece)) for piece in pieces) == expected


def dotted(number: int) -> Address:
    return Address(Target(".".join(str(number >> shift & 255) for shift in (24, 16, 8, 0))))


repeats = st.builds(
    Repeat,
    increment=st.booleans(),
    factor=st.floats(1, 100),
    maxtime=st.one_of(st.none(), st.integers(1, 10**12)),
    recidive=st.integers(0, 20),
    jitter=st.integers(0, 1000),
)


@given(repeats, st.integers(0, 10**6), st.integers(0, 50), st.integers(0, 2000))
def test_no_increment_recidive_or_jitter_ever_ends_a_ban_before_its_bantime(
    repeat: Repeat, earlier: int, recent: int, chance: int
) -> None:
    policy = Policy(5, 100, 5000, 5000, repeat=repeat)
    ban = ban_of(failure(7), policy, connected=True, failures=5)

    longer = sentence(ban, policy, earlier=earlier, recent=recent, chance=lambda most: chance % most)
    assert longer.until is None or (ban.until is not None and longer.until >= ban.until)
    assert longer._replace(until=ban.until, earlier=0) == ban


@given(st.integers(1, 10), st.lists(st.tuples(st.integers(0, 40), st.integers(0, 5), st.integers(0, 30)), max_size=200))
def test_a_ranked_table_never_outgrows_its_bound_and_lets_the_lowest_go_first(
    capacity: int, history: list[tuple[int, int, int]]
) -> None:
    table: Ranked[int, Entry] = Ranked(Entry, 4, capacity)
    kept: dict[int, int] = {}

    for key, level, at in history:
        if key not in kept and len(kept) >= capacity:
            lowest = min(kept.values())
            del kept[next(who for who, rank in kept.items() if rank == lowest)]
        kept.pop(key, None)
        kept[key] = min(level, 3)
        entry = table.take(key, horizon=-1)
        entry.last = at
        table.rank(key, entry, level)
        assert len(table) <= capacity
        assert {who for who in range(41) if table.get(who) is not None} == set(kept)


EVERYTHING = Policy(
    3,
    10,
    20,
    15,
    slow=Slow(6, 40),
    scan=Scan(5, 4, 0),
    spread=Spread(3, 20, 2),
    networks=NetworkBans(2, 2, 30, 64, 30),
    compromise=2,
    protected_maxretry=4,
    repeat=Repeat(increment=True, recidive=3, maxtime=None, jitter=3),
)
"""Small numbers, so that short histories reach every rule."""


@given(steps)
def test_whatever_happens_every_verdict_names_an_offender_and_lasts_at_least_as_long_as_it_should(
    history: list[Step],
) -> None:
    rules, seen = Rulebook(EVERYTHING), set[Address]()
    for step in history:
        seen.add(address(step.who))
        for verdict in rules.failed(told(step)):
            if isinstance(verdict, Ban):
                assert any(network_of(one).overlaps(network_of(verdict.target)) for one in seen)
                assert verdict.until is not None
                assert verdict.until >= verdict.since + 15
