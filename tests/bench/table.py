"""How figures are told."""

from __future__ import annotations

import os
import platform
import sqlite3
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple


class Figure(NamedTuple):
    """One measured number. `goal` is the most that it should be; None = it is only told."""

    name: str
    value: float
    unit: str
    goal: float | None = None

    @property
    def met(self) -> str:
        """Whether the goal is met, in a word."""
        if self.goal is None:
            return ""
        return "yes" if self.value <= self.goal else "NO"


def quantiles(name: str, seconds: Sequence[float], p50: float | None = None, p99: float | None = None) -> list[Figure]:
    """Return the usual quantiles of these durations in milliseconds; the goals are milliseconds too."""
    ordered = sorted(seconds)

    def at(share: float) -> float:
        return ordered[min(int(share * len(ordered)), len(ordered) - 1)] * 1000

    return [
        Figure(f"{name}: p50", at(0.50), "ms", p50),
        Figure(f"{name}: p95", at(0.95), "ms"),
        Figure(f"{name}: p99", at(0.99), "ms", p99),
        Figure(f"{name}: max", ordered[-1] * 1000, "ms"),
    ]


def machine() -> str:
    """Return when and where this was measured."""
    cpu = next(
        (line.partition(": ")[2] for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line),
        platform.machine(),
    )
    load = os.getloadavg()[0]
    return (
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC · {len(os.sched_getaffinity(0))} x {cpu} · load before {load:.1f} · "
        f"Linux {platform.release()} · Python {platform.python_version()} · SQLite {sqlite3.sqlite_version}"
    )


def show(title: str, figures: Iterable[Figure]) -> None:
    """Print one group of figures as rows of a Markdown table."""
    for figure in figures:
        goal = "" if figure.goal is None else f"≤ {figure.goal:g} {figure.unit}"
        print(f"| {title} | {figure.name} | {number(figure.value)} {figure.unit} | {goal} | {figure.met} |")
    sys.stdout.flush()


def show_beside(against: Mapping[str, str], rows: Mapping[str, Mapping[str, float]]) -> None:
    """Print rows of figures with a column for each name of `against`; in brackets how many times that is of whom it is
    compared with."""
    print(f"| figure | {' | '.join(against)} |\n|{'---|' * (1 + len(against))}")
    for figure, row in rows.items():
        cells = []
        for name, other in against.items():
            cell = number(row[name]) if name in row else ""
            if name in row and name != other and row.get(other):
                cell += f" ({number(row[name] / row[other])} x)"
            cells.append(cell)
        print(f"| {figure} | {' | '.join(cells)} |")
    sys.stdout.flush()


def number(value: float) -> str:
    """Return three digits that matter, whole numbers in full."""
    if float(value).is_integer():
        return f"{value:,.0f}"
    digits = 2 if abs(value) < 10 else 1 if abs(value) < 100 else 0
    return f"{value:,.{digits}f}"
