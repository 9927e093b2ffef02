"""Which phones are known, for how long, and how many at most."""

from __future__ import annotations

import pytest

from amiguard.asterisk.schema import SecurityEvent
from amiguard.model import Address, Phone, Target
from amiguard.presence import ADDRESSES_AN_ACCOUNT, LIFETIME, PROLONGED_AFTER, Presence

NOW = 1_800_000_000_000


def address(text: str) -> Address:
    return Address(Target(text))


OFFICE = address("192.0.2.1")
LOGIN = SecurityEvent("SuccessfulAuth", "PJSIP", OFFICE, 5060, "UDP", "6001", "call", using_password=True)


def test_a_phone_is_known_for_as_long_as_its_registration_can_last() -> None:
    presence = Presence()
    presence.logged_in(LOGIN, NOW)

    assert presence.is_own(OFFICE, "6001", NOW + LIFETIME - 1)
    assert not presence.is_own(OFFICE, "6001", NOW + LIFETIME)
    assert not presence.is_own(OFFICE, "6002", NOW)
    assert not presence.is_own(address("192.0.2.2"), "6001", NOW)


@pytest.mark.parametrize(
    "event",
    [
        LOGIN._replace(service="SIP"),
        LOGIN._replace(service="AMI"),
        LOGIN._replace(using_password=False),
        LOGIN._replace(tampered=True),
        LOGIN._replace(transport=""),
        LOGIN._replace(name="ChallengeSent"),
        LOGIN._replace(account=""),
    ],
)
def test_what_proves_nothing_is_not_learned(event: SecurityEvent) -> None:
    presence = Presence()
    presence.logged_in(event, NOW)

    assert len(presence) == 0
    assert not presence.is_phone(OFFICE, NOW)


def test_the_store_hears_of_a_phone_once_and_again_only_after_a_while() -> None:
    told: list[Phone] = []
    presence = Presence(told.append)
    for minute in range(60):
        presence.logged_in(LOGIN, NOW + minute * 60_000)

    assert len(told) == 1 + 59 * 60_000 // PROLONGED_AFTER
    assert presence.is_own(OFFICE, "6001", NOW + 59 * 60_000 + LIFETIME - PROLONGED_AFTER)


def test_what_was_stored_comes_back_as_far_as_it_can_still_live() -> None:
    told: list[Phone] = []
    before = Presence(told.append)
    before.logged_in(LOGIN, NOW)
    before.logged_in(LOGIN._replace(account="6002"), NOW + LIFETIME // 2)

    again: list[Phone] = []
    after = Presence(again.append)
    after.restore(told, NOW + LIFETIME)
    assert [phone.account for phone in after] == ["6002"]
    assert again == [], "the store knows"


def test_one_account_stands_for_a_few_addresses_and_the_newest_count() -> None:
    told: list[Phone] = []
    presence = Presence(told.append)
    for number in range(1000):
        presence.logged_in(LOGIN._replace(address=address(f"10.0.{number >> 8}.{number & 255}")), NOW + number)

    assert len(presence) == ADDRESSES_AN_ACCOUNT
    assert presence.is_own(address("10.0.3.231"), "6001", NOW + 1000)
    assert sum(1 if phone.until else -1 for phone in told) == ADDRESSES_AN_ACCOUNT, "the store forgets with us"


def test_all_accounts_together_stay_within_the_capacity_and_who_is_heard_of_stays() -> None:
    presence = Presence(capacity=100)
    for number in range(1000):
        presence.logged_in(LOGIN, NOW + number)
        presence.logged_in(LOGIN._replace(account=f"bot{number}"), NOW + number)

    assert len(presence) == 100
    assert presence.is_own(OFFICE, "6001", NOW + 1000)


def test_a_phone_that_fails_goes_on_being_known() -> None:
    presence = Presence()
    presence.logged_in(LOGIN, NOW)
    for hour in range(48):
        assert presence.is_own(OFFICE, "6001", NOW + hour * 3_600_000)
        presence.prolong(OFFICE, "6001", NOW + hour * 3_600_000)


def test_trunks_are_replaced_host_by_host() -> None:
    presence = Presence()
    presence.tell_trunk("sip.example.org", [address("198.51.100.1"), address("2001:db8::1")])
    presence.tell_trunk("198.51.100.2", [address("198.51.100.2")])
    assert presence.is_trunk(address("2001:db8::1"))
    presence.tell_trunk("sip.example.org", [])
    assert not presence.is_trunk(address("2001:db8::1"))
    assert presence.trunks() == {"198.51.100.2": {"198.51.100.2"}}


def test_who_is_within_a_network_is_found() -> None:
    presence = Presence()
    presence.logged_in(LOGIN, NOW)
    presence.tell_trunk("trunk", [address("192.0.2.200"), address("2001:db8::1"), OFFICE])

    assert set(presence.within(Target("192.0.2.0/24"), NOW)) == {OFFICE, "192.0.2.200"}
    assert presence.within(Target("2001:db8::/32"), NOW) == ["2001:db8::1"]
    assert presence.within(OFFICE, NOW) == [OFFICE]
    assert presence.within(Target("198.51.100.0/24"), NOW) == []
