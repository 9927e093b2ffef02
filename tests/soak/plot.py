"""A plot of a soak as SVG: one panel a quantity, over the same minutes."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import NamedTuple

WIDTH, PANEL, LEFT, RIGHT, TOP, GAP = 900, 110, 70, 20, 50, 44
INK, GRID, LINE = "#222", "#ddd", "#1f6f8b"


class Series(NamedTuple):
    """One quantity: its name with its unit, and its values at `minutes`."""

    name: str
    minutes: Sequence[float]
    values: Sequence[float]


def plot(title: str, series: Sequence[Series]) -> str:
    """Return the whole document. Every panel begins at zero, so that growth can't hide."""
    end = max(one.minutes[-1] for one in series)
    height = TOP + len(series) * (PANEL + GAP)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif">',
        f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>',
        _text(LEFT, 24, title, size=14),
    ]
    for number, one in enumerate(series):
        parts += _panel(one, TOP + number * (PANEL + GAP), end)
    return "\n".join([*parts, "</svg>\n"])


def _panel(one: Series, top: float, end: float) -> list[str]:
    highest = max(*one.values, 1e-9) * 1.1
    right, bottom = WIDTH - RIGHT, top + 16 + PANEL - 16

    def x(minute: float) -> float:
        return LEFT + (right - LEFT) * minute / end

    def y(value: float) -> float:
        return bottom - (PANEL - 16) * value / highest

    points = " ".join(f"{x(at):.1f},{y(value):.1f}" for at, value in zip(one.minutes, one.values, strict=True))
    grid = [highest / 1.1 * share for share in (0, 0.5, 1)]
    lines = [f'<path d="M{LEFT} {y(at):.1f}H{right}" stroke="{GRID}"/>' for at in grid]
    labels = [_text(LEFT - 6, y(at) + 4, f"{at:.3g}", anchor="end") for at in grid]
    minutes = [_text(x(end * share), bottom + 16, f"{end * share:.3g} min", anchor="middle") for share in (0, 0.5, 1)]
    curve = f'<polyline points="{points}" fill="none" stroke="{LINE}" stroke-width="1.5"/>'
    return [_text(LEFT, top + 8, one.name), *lines, *labels, *minutes, curve]


def _text(x: float, y: float, text: str, *, anchor: str = "start", size: int = 12) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" fill="{INK}">{escape(text)}</text>'
