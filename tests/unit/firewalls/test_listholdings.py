"""How many entries the ipset of a list must still have, and what its sets are called."""

from __future__ import annotations

import pytest

from amiguard.feeds.names import APIBAN, CROWDSEC, feeds_of
from amiguard.firewalls.ipset.listholdings import MINUTE, SLACK, Held
from amiguard.firewalls.ipset.names import list_of, list_set, spare

HOUR = 60 * MINUTE


def test_entries_are_owed_until_the_minute_in_which_they_end() -> None:
    held = Held()
    for number in range(10):
        held.put(bytes([number]), HOUR if number % 2 else 2 * HOUR)
    held.counted(10, 0)
    assert held.least(HOUR - SLACK - 1) == 10
    assert held.least(HOUR) == 5
    assert held.least(2 * HOUR) == 0


def test_what_ended_before_it_was_counted_is_not_taken_off_again() -> None:
    held = Held()
    for number in range(10):
        held.put(bytes([number]), HOUR if number % 2 else 2 * HOUR)
    held.counted(5, HOUR + MINUTE + SLACK)
    assert held.least(HOUR + 2 * MINUTE) == 5
    assert len(held.ends) == 1


def test_the_entry_that_is_asked_for_lasts_longest_and_is_none_that_was_taken() -> None:
    held = Held()
    held.put(b"a", HOUR)
    held.put(b"b", 2 * HOUR)
    held.put(b"c", HOUR)
    assert (held.lasting, held.end) == (b"b", 2 * HOUR)
    held.put(b"b", HOUR)
    assert (held.lasting, held.end) == (b"b", HOUR)
    held.take(b"b")
    assert held.lasting is None


@pytest.mark.parametrize(
    "feed", [*feeds_of("abcdefghijklmno9=https://a.example/ new=https://b.example/"), APIBAN, CROWDSEC]
)
def test_the_sets_of_a_list_have_names_that_ipset_takes_and_are_known_by_them(feed: str) -> None:
    for version in (4, 6):
        name = list_set(feed, version)
        assert list_of(name) == list_of(spare(name)) == feed
        assert len(spare(name)) <= 31


@pytest.mark.parametrize(
    "name", ["amiguard4", "amiguard4-new", "amiguard6-allow", "amiguard4-unproven-net", "f2b_asterisk"]
)
def test_no_other_set_is_taken_for_one_of_a_list(name: str) -> None:
    assert not list_of(name)
