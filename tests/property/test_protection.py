"""Known phones are judged as a plain count would, and no log-ins grow what is known without bound."""

from __future__ import annotations

from collections import Counter, defaultdict

from hypothesis import given
from hypothesis import strategies as st

from amiguard.model import Address, Ban, Evidence, Phone, Target
from amiguard.policy import Policy
from amiguard.presence import ADDRESSES_AN_ACCOUNT, Presence
from amiguard.rules.rulebook import Rulebook
from tests.lab.failures import failure

OFFICE = Address(Target("192.0.2.1"))
OWN = ("6001", "6002")
STEPS = st.lists(
    st.tuples(st.sampled_from([*OWN, "6003", "6004", "6005"]), st.integers(0, 30), st.booleans()),
    min_size=20,
    max_size=120,
)


class PlainCount:
    """All failures at the address of two known phones, counted anew each time."""

    def __init__(self, maxretry: int, protected: int, findtime: int) -> None:
        self.maxretry, self.protected, self.findtime = maxretry, protected, findtime
        self.times: dict[str, list[int]] = defaultdict(list)
        self.names: list[tuple[str, bool]] = []

    def bans(self, account: str, now: int, *, connected: bool) -> bool:
        kind = account if account in OWN else self._kind(account, connected=connected)
        self.times[kind] = [at for at in self.times[kind] if at >= now - self.findtime] + [now]
        limit = self.maxretry if kind == "others" else max(self.maxretry, self.protected)
        return len(self.times[kind]) >= limit

    def _kind(self, account: str, *, connected: bool) -> str:
        self.names.append((account, connected))
        failures = Counter(name for name, _ in self.names)
        if connected:
            proven = {name for name, proven in self.names if proven}
            failures = Counter({name: n for name, n in failures.items() if name in proven or n >= self.protected})
        mine = failures.pop(account)
        if mine > max(failures.values(), default=0):
            return "newcomer"
        return "others" if connected else "datagrams"


@given(STEPS, st.integers(1, 4), st.integers(1, 8), st.integers(1, 100))
def test_what_fails_where_phones_are_known_is_counted_as_a_plain_count_would(
    steps: list[tuple[str, int, bool]], maxretry: int, protected: int, findtime: int
) -> None:
    presence = Presence()
    for account in OWN:
        presence.learn(Phone(OFFICE, account, 10**12), 0)
    rules = Rulebook(Policy(maxretry, findtime, 1000, 1000, protected_maxretry=protected), presence)
    plain = PlainCount(maxretry, protected, findtime)
    now = 0
    for account, step, connected in steps:
        now += step
        evidence = Evidence.CONNECTED if connected else Evidence.DATAGRAM
        expected = plain.bans(account, now, connected=connected)

        told = rules.failed(failure(now, OFFICE, account=account, evidence=evidence))

        assert [ban.target for ban in told if isinstance(ban, Ban)] == [OFFICE] * expected
        if expected:
            rules.forget(OFFICE)  # as an unban does: the test goes on with a clean slate
            plain = PlainCount(maxretry, protected, findtime)


LOGINS = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 60), st.integers(0, 50)), min_size=20, max_size=200)


@given(LOGINS, st.integers(1, 20))
def test_what_is_known_never_outgrows_its_bounds_and_the_store_knows_the_same(
    logins: list[tuple[int, int, int]], capacity: int
) -> None:
    stored: dict[tuple[Address, str], int] = {}

    def remember(phone: Phone) -> None:
        if phone.until:
            stored[phone[:2]] = phone.until
        else:
            del stored[phone[:2]]

    presence = Presence(remember, capacity)
    now = 0
    for account, address, step in logins:
        now += step
        phone = Phone(Address(Target(f"192.0.2.{address}")), f"60{account}", now + 10_000_000)
        presence.learn(phone, now)

        assert presence.is_own(phone.address, phone.account, now)
        assert len(presence) <= capacity
        held = list(presence)
        assert stored == {one[:2]: one.until for one in held}
        accounts = [one.account for one in held]
        assert all(accounts.count(one) <= ADDRESSES_AN_ACCOUNT for one in set(accounts))
        assert {one.account for one in held if one.address == phone.address} == set(presence.accounts(phone.address))
