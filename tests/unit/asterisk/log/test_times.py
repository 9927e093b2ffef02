"""Every time of tests/data/loglines-times.txt is read as it says; the repeated hour, the year, the order of lines."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from amiguard.asterisk.log.times import Times

DATA = Path(__file__).parents[3] / "data" / "loglines-times.txt"
ROWS = [line.split(" | ") for line in DATA.read_text().split("\n")[4:] if line and not line.startswith("#")]
BERLIN = ZoneInfo("Europe/Berlin")


def at(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


@pytest.mark.parametrize(("zone", "clock", "stamp", "meaning"), ROWS)
def test_a_time_is_read_as_the_data_file_says(zone: str, clock: str, stamp: str, meaning: str) -> None:
    read = Times(ZoneInfo(zone)).read(stamp.encode(), at(clock))

    assert read == (None if meaning == "-" else at(meaning))


def test_a_log_does_not_go_backwards_through_the_repeated_hour() -> None:
    times = Times(BERLIN)
    now = at("2026-10-25T03:00:00")
    stamps = ["01:59:59", "02:00:00", "02:30:00", "02:59:59", "02:00:00", "02:30:00", "02:59:59", "03:00:00"]

    read = [times.read(f"2026-10-25 {stamp}".encode(), now) for stamp in stamps]

    assert read == [
        at(f"2026-10-{stamp}")
        for stamp in (
            "24T23:59:59", "25T00:00:00", "25T00:30:00", "25T00:59:59",
            "25T01:00:00", "25T01:30:00", "25T01:59:59", "25T02:00:00",
        )
    ]  # fmt: skip


def test_a_line_a_moment_late_does_not_jump_an_hour() -> None:
    times = Times(BERLIN)
    now = at("2026-10-25T00:10:00")

    assert times.read(b"2026-10-25 02:00:01", now) == at("2026-10-25T00:00:01")
    assert times.read(b"2026-10-25 02:00:00", now) == at("2026-10-25T00:00:00")


def test_a_time_in_the_future_does_not_move_those_after_it() -> None:
    times = Times(BERLIN)
    now = at("2026-10-25T00:10:00")

    times.read(b"2026-10-25 23:00:00", now)

    assert times.read(b"2026-10-25 02:05:00", now) == at("2026-10-25T00:05:00")


def test_the_year_turns_between_two_lines() -> None:
    times = Times(UTC)
    now = at("2027-01-01T00:00:10")

    assert times.read(b"Dec 31 23:59:59", now) == at("2026-12-31T23:59:59")
    assert times.read(b"Jan  1 00:00:00", now) == at("2027-01-01T00:00:00")


def test_fractions_of_one_second_are_told_apart() -> None:
    times = Times(UTC)
    now = at("2026-11-22T10:00:10")

    read = [times.read(f"2026-11-22 10:00:0{stamp}".encode(), now) for stamp in ("0.001", "0.999", "1.000", "1.5", "1")]

    assert read == [at(f"2026-11-22T10:00:0{stamp}") for stamp in ("0.001", "0.999", "1.000", "1.500", "1.000")]
