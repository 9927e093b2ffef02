"""Known phones are judged as a plain count would, and no log-ins grow what is known without bound."""

from __future__ import annotations

from collections import defaultdict

from hypothesis import given
from hypothesis import strategies as st

from amiguard.model import Address, Ban, Phone, Target
from amiguard.policy import Policy
from amiguard.presence import ADDRESSES_AN_ACCOUNT, Presence
from amiguard.rules.rulebook import Rulebook
from tests.lab.failures import failure

OFFICE = Address(Target("192.0.2.1"))
OWN = ("6001", "6002")
STEPS = st.lists(st.tuples(st.sampled_from([*OWN, "6003", "6004"]), st.integers(0, 30)), max_size=120)


@given(STEPS, st.integers(1, 4), st.integers(1, 8), st.integers(1, 100))
def test_own_and_other_accounts_of_a_known_address_are_counted_as_a_plain_count_would(
    steps: list[tuple[str, int]], maxretry: int, protected: int, findtime: int
) -> None:
    presence = Presence()
    for account in OWN:
        presence.learn(Phone(OFFICE, account, 10**12), 0)
    rules = Rulebook(Policy(maxretry, findtime, 1000, 1000, protected_maxretry=protected), presence)
    seen: dict[str, list[int]] = defaultdict(list)
    now = 0
    for account, step in steps:
        now += step
        kind = account if account in OWN else "others"
        seen[kind] = [at for at in seen[kind] if at >= now - findtime] + [now]
        expected = len(seen[kind]) >= (max(maxretry, protected) if account in OWN else maxretry)

        bans = [one for one in rules.failed(failure(now, OFFICE, account=account)) if isinstance(one, Ban)]

        assert [ban.target for ban in bans] == [OFFICE] * expected
        if expected:
            rules.forget(OFFICE)  # as an unban does: the test goes on with a clean slate
            seen.clear()


LOGINS = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 60), st.integers(0, 50)), max_size=200)


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
