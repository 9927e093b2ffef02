"""A bar that shows how far the reading is, where somebody looks."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn
from rich.text import Text

from amiguard.replay.files import size


class Bar(NamedTuple):
    """`advance` takes how many bytes more were read, `write` a line for standard output that leaves the bar whole."""

    advance: Callable[[int], object]
    write: Callable[[str], object]


@contextmanager
def progress_of(paths: Sequence[Path]) -> Iterator[Bar]:
    """Show the reading of these files on standard error, if that is a terminal."""
    if not sys.stderr.isatty():
        yield Bar(lambda _: None, _print)
        return
    sizes = [size(path) for path in paths]
    console = Console(stderr=True)
    columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, redirect_stdout=False, redirect_stderr=False) as progress:
        task = progress.add_task("", total=None if None in sizes else sum(filter(None, sizes)))
        one_screen = sys.stdout.isatty()
        yield Bar(
            lambda count: progress.advance(task, count),
            (lambda line: console.print(Text(line), soft_wrap=True)) if one_screen else _print,
        )


def _print(line: str) -> None:
    sys.stdout.write(f"{line}\n")
