"""`amiguard replay`: reads the files side by side in the order of their times, and shows what comes of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from heapq import merge
from operator import attrgetter
from pathlib import Path

from amiguard.chansip import Report
from amiguard.clock import steady_clock
from amiguard.errors import SourceError
from amiguard.replay.files import Progress, opened
from amiguard.replay.progress import progress_of
from amiguard.replay.replaying import Replay
from amiguard.replay.show import Lines, Objects, Show
from amiguard.replay.telling import Tally, capture, log
from amiguard.settings import Settings
from amiguard.settings.policy import policy_of
from amiguard.wiring import zone_of

MANY = 20
"""One line in so many that goes back in time is more than a forged one: the zone is wrong."""

Complain = Callable[[str], object]


def replay(
    paths: Sequence[Path], settings: Settings, complain: Complain, *, ami: bool = False, json: bool = False
) -> bool:
    """Replay logs, or AMI captures, as if they were one; show bans as they come, false bans and totals at the end.

    Returns whether every file could be read; `complain` was told of those that could not."""
    zone, now, tally = zone_of(settings), steady_clock()(), Tally()
    faults: list[str] = []

    def telling(number: int, path: Path, progress: Progress) -> Iterator[Report]:
        """Yield what a file reports, up to where it can be read."""
        try:
            with opened(path, progress) as file:
                yield from capture(file, now, tally) if ami else log(file, number, zone, now, tally)
        except SourceError as error:
            faults.append(f"can't read {path}: {error}")

    with progress_of(paths) as bar:
        show: Show = Objects(bar.write) if json else Lines(bar.write, zone)
        judged = Replay(policy_of(settings), settings.ignored_targets, show.ban, log_followed=not ami)
        for report in merge(
            *(telling(number, path, bar.advance) for number, path in enumerate(paths, 1)), key=attrgetter("at")
        ):
            judged.take(report)
        judged.finish()
        for false_ban in judged.false_bans():
            show.false_ban(false_ban)
        show.totals(judged, tally)
    for fault in faults:
        complain(fault)
    if tally.backwards * MANY > tally.recognised:
        complain(f"{tally.backwards} lines are earlier than the line before them: is --timezone right?")
    if tally.read and not tally.recognised and not ami:
        complain("no line of this tells of a login: is it Asterisk's log, and is NOTICE or SECURITY among its levels?")
    return not faults
