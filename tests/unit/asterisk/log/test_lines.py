"""Every line of tests/data/loglines.txt is read as it says."""

from __future__ import annotations

from datetime import UTC
from pathlib import Path
from typing import NamedTuple

import pytest

from amiguard.asterisk.log.explain import explain
from amiguard.asterisk.log.reading import Channel, LogReader, Reading
from amiguard.asterisk.log.table import TABLE, Trust
from amiguard.asterisk.weights import evidence_of, row_of
from tests.lab.captures import VICTIM

DATA = Path(__file__).parents[3] / "data" / "loglines.txt"
NOW = 1_795_344_000_000


class Case(NamedTuple):
    number: int
    expected: str
    line: bytes


def _cases() -> list[tuple[str, list[Case]]]:
    groups: list[tuple[str, list[Case]]] = []
    expected = ""
    for number, text in enumerate(DATA.read_text("utf-8").split("\n"), 1):
        if text.startswith("# "):
            groups.append((text[2:], []))
        elif text.startswith("> "):
            expected = text[2:]
        elif text.startswith("<"):
            groups[-1][1].append(Case(number, expected, text[1:].encode()))
        elif text.startswith("e<"):
            groups[-1][1].append(Case(number, expected, text[2:].encode().decode("unicode_escape").encode("latin1")))
    return groups


GROUPS = _cases()
LINES = [case for _, cases in GROUPS for case in cases]


def told(reading: Reading | None) -> str:
    if reading is None:
        return "-"
    words = [reading.shape, reading.channel.value]
    if (event := reading.event) is not None:
        words += [event.service, event.name, event.address, str(event.port), event.transport or "-"]
        words.append(ascii(event.account[:60]))
    return " ".join(words)


@pytest.mark.parametrize(("source", "cases"), [pytest.param(*group, id=group[0]) for group in GROUPS])
def test_a_line_is_read_as_the_data_file_says(source: str, cases: list[Case]) -> None:
    assert source
    reader = LogReader(UTC)
    for case in cases:
        assert told(reader.read(case.line, NOW)) == case.expected, f"loglines.txt:{case.number}"


def test_there_are_enough_lines_and_nobody_is_named_who_did_nothing() -> None:
    forged = [case for case in LINES if VICTIM in case.expected.split()[4:5]]

    assert len(LINES) >= 150
    assert sum(case.expected == "-" for case in LINES) >= 50
    assert len(forged) == 2, "an object that stands in a packet dump, and a line from which an ESC took the address"
    assert all(case.expected.split()[6] == "-" for case in forged), "neither proves anything"


def test_every_shape_has_a_line() -> None:
    shapes = {outcome.shape for row in TABLE for outcome in row.outcomes.values()}

    assert shapes <= {case.expected.split()[0] for case in LINES}


def test_a_row_without_an_address_of_asterisks_own_counts_nobody() -> None:
    for row in TABLE:
        if row.trust is Trust.NONE:
            assert not any(outcome.event for outcome in row.outcomes.values())
            assert b"(?P<at>)" in row.pattern.pattern


@pytest.mark.parametrize("case", [pytest.param(case, id=str(case.number)) for case in LINES])
def test_a_line_is_explained(case: Case) -> None:
    found = explain(case.line, UTC, NOW)
    fields = dict(found.fields)

    assert fields["conclusion"]
    assert found.matched == ("shape" in fields)
    if found.counts:
        assert fields["address because"]
        assert fields["address"]


def test_a_plain_line_never_proves_an_address() -> None:
    for _, cases in GROUPS:
        reader = LogReader(UTC)
        for case in cases:
            reading = reader.read(case.line, NOW)
            if reading is not None and reading.event is not None and not case.line.startswith(b"{"):
                assert evidence_of(reading.event) == "datagram"
                assert row_of(reading.event)


def test_a_line_longer_than_asterisk_writes_one_is_reported_and_names_nobody() -> None:
    line = b"[2026-11-22 10:00:00] NOTICE[1] chan_sip.c: Registration from '%s' failed for '9.9.9.9' - Wrong password"

    reading = LogReader(UTC).read(line % (b"x" * 8200), NOW)

    assert reading is not None
    assert (reading.shape, reading.channel, reading.event) == ("cut", Channel.ALARM, None)
