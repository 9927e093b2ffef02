"""Pages through a million bans, and what each step costs."""

from __future__ import annotations

import time

import pytest

from amiguard.control.listing import SHARED, Listing
from amiguard.control.requests import BadRequest
from amiguard.model import Ban, Reason, Target

NOW = 1_800_000_000_000


def test_a_million_bans_are_paged_without_a_step_that_stops_the_loop() -> None:
    bans = {
        target: Ban(target, NOW, None, Reason.ACL)
        for target in (Target(f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}") for n in range(1_000_000))
    }
    listing = Listing(lambda: list(bans.values()), bans.get)
    cursor, seen, longest = None, 0, 0.0
    while True:
        began = time.thread_time()
        page, cursor = listing.page(NOW, cursor, 1_000)
        longest = max(longest, time.thread_time() - began)
        seen += len(page)
        if cursor is None:
            break

    assert seen == len(bans)
    assert longest < 0.1


def test_listings_that_begin_together_share_a_snapshot() -> None:
    taken: list[int] = []

    def bans() -> list[Ban]:
        taken.append(1)
        return []

    listing = Listing(bans, lambda _: None)

    for _ in range(100):
        listing.page(NOW, None, 1)
    assert len(taken) == 1
    listing.page(NOW + SHARED, None, 1)
    assert len(taken) == 2
    listing.changed()
    listing.page(NOW + SHARED, None, 1)
    assert len(taken) == 3


@pytest.mark.parametrize("cursor", ["", "x", "x.y", "x.-1", "x.٣", "x.99999999999"])
def test_a_cursor_that_was_never_given_out_makes_no_sense(cursor: str) -> None:
    with pytest.raises(BadRequest):
        Listing(list, lambda _: None).page(NOW, cursor, 1)
