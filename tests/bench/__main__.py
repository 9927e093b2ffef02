"""`make bench`: what amiguard costs on this machine, as a Markdown table. Needs root; leaves nothing behind.

python -m tests.bench [PART ...]        measures these, all by default
python -m tests.bench --write           measures all, and puts the table into docs/performance.md"""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path
from threading import Timer

from tests.bench.part import ROWS, TABLES
from tests.bench.table import machine

ROOT = Path(__file__).parents[2]
PLACE = ROOT / "docs/performance.md"
BEGIN, END = "<!-- results: begin -->\n", "\n<!-- results: end -->"
HEADER = "| part | figure | measured | goal | met |\n|---|---|---|---|---|\n"

PATIENCE = 900.0
"""Seconds that one part gets."""


def main(arguments: list[str]) -> int:
    """Measure one part after the other, for they would disturb each other. Return 1 where one failed; what the others
    measured is told all the same."""
    writing = arguments == ["--write"]
    names = [*ROWS, *TABLES] if writing or not arguments else arguments
    if strange := set(names) - ROWS.keys() - TABLES.keys():
        sys.exit(f"no such part: {' '.join(strange)}; there are {' '.join([*ROWS, *TABLES])}")
    text = f"{machine()}\n\n{HEADER}"
    print(text, end="", flush=True)
    failed = False
    for name in sorted(names, key=lambda name: name in TABLES):  # rows of the first table first
        told, status = measured(name)
        text += told
        failed = failed or status != 0
    if writing:
        before, _, rest = PLACE.read_text().partition(BEGIN)
        PLACE.write_text(before + BEGIN + text + END + rest.partition(END)[2])
    return int(failed)


def measured(name: str) -> tuple[str, int]:
    """Let a process measure one part. Return what it told, which is printed too, and how it ended."""
    began, told = time.monotonic(), ""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.bench.part", name], cwd=ROOT, stdout=subprocess.PIPE, encoding="utf-8"
    ) as part:
        assert part.stdout is not None
        too_long = Timer(PATIENCE, part.send_signal, [signal.SIGINT])
        too_long.start()
        for line in part.stdout:
            print(line, end="", flush=True)
            told += line
        too_long.cancel()
    if part.returncode:
        missing = f"| {name} | failed: it ended with status {part.returncode} | | | NO |\n"
        print(missing, end="", flush=True)
        told += missing
    print(f"{name}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    return told, part.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
