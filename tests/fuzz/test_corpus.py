"""Every seed, every earlier finding and its torn pieces, without a fuzzer: what `make fuzz` goes on from."""

from __future__ import annotations

import pytest

from tests.fuzz.corpus import seeds
from tests.fuzz.targets import TARGETS, findings

PIECES = 16
"""A seed is cut at so many places: parsers meet what is incomplete all the time."""


@pytest.mark.parametrize("name", TARGETS)
def test_every_seed_holds_whole_and_torn(name: str) -> None:
    found = seeds(name)

    assert found
    for seed in found:
        for part in range(PIECES + 1):
            TARGETS[name](seed[: len(seed) * part // PIECES])


@pytest.mark.parametrize("name", TARGETS)
def test_what_fuzzing_found_once_is_mended(name: str) -> None:
    for finding in findings(name):
        TARGETS[name](finding)
