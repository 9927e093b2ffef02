"""The table in docs/security.md on which source can know what is what the captures show."""

from __future__ import annotations

from fnmatch import fnmatchcase

import pytest

from amiguard.asterisk.log.reading import Channel
from amiguard.model import Address, Target
from tests.lab.captures import Capture, captures
from tests.lab.documents import ROOT
from tests.lab.judge import judge
from tests.lab.witnesses import DOCUMENT, rows
from tests.unit.asterisk.log.test_captures import by_address, counted

CASES = [pytest.param(case, id=case.name) for case in captures() if case.count]


ALL_OTHERS, *ROWS = rows()


def told(case: Capture) -> tuple[str, ...]:
    """Return what each source tells of this attack, and all of them, in the words of the table."""
    log = counted(case.full_log)
    sender = Address(Target(case.packet_source))
    found = [judge(case.raw, 1 << 20), by_address(log[Channel.NOTICE]), by_address(log[Channel.SECURITY])]
    known = [min(case.count, each[sender]) for each in found]
    forged = [bool(set(each) - {sender}) for each in found]
    words = {0: "no", case.count: "yes"}
    pairs = zip([*known, max(known)], [*forged, forged[1]], strict=True)  # what a NOTICE forges, no other mends
    return tuple(words.get(number, "some") + ", forged" * lies for number, lies in pairs)


@pytest.mark.parametrize("case", CASES)
def test_the_table_says_of_every_capture_what_each_source_tells(case: Capture) -> None:
    named = [row for row in ROWS if row.names(case)]

    assert len(named) <= 1
    assert told(case) == (named[0] if named else ALL_OTHERS).cells


def test_every_name_in_the_table_is_that_of_a_capture() -> None:
    patterns = [pattern for row in ROWS for pattern in row.patterns]

    assert ROWS
    for pattern in patterns:
        assert any(fnmatchcase(case.name, pattern) for case in captures() if case.count), pattern


def lines_of(configuration: str) -> list[str]:
    return [line for line in configuration.splitlines() if line and not line.startswith(";")]


def test_the_recommended_lines_are_those_of_the_snippet_and_of_the_tests_asterisks() -> None:
    _, _, rest = DOCUMENT.read_text().partition("```ini\n")
    recommended = lines_of(rest.partition("```")[0])

    assert len(recommended) == 5
    for path in ("deploy/asterisk/logger.conf", "tests/lab/etc/common/logger.conf"):
        assert lines_of((ROOT / path).read_text()) == recommended
