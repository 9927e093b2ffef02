"""The table in docs/security.md on which source can know what."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import NamedTuple

from tests.lab.captures import Capture
from tests.lab.documents import ROOT

DOCUMENT = ROOT / "docs/security.md"


class Row(NamedTuple):
    cells: tuple[str, ...]
    """AMI, NOTICE lines, SECURITY lines, all together."""
    patterns: tuple[str, ...]

    def names(self, case: Capture) -> bool:
        """Tell whether this row is about the attack of a capture."""
        return any(fnmatchcase(case.name, pattern) for pattern in self.patterns)


def rows() -> list[Row]:
    """Return the table's rows; the first is about everything that no other names."""
    _, _, table = DOCUMENT.read_text().partition("| attack | AMI |")
    lines = (line.split(" | ") for line in table.partition("\n\n")[0].splitlines()[2:])
    return [Row(tuple(line[1:5]), tuple(re.findall(r"`([^`]+)`", line[5]))) for line in lines]
