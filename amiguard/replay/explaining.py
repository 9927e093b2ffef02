"""`amiguard explain`: what becomes of a log line, or of an event of the manager interface, and why."""

from __future__ import annotations

import io
import json as encoding
import os
import sys
from collections.abc import Iterator
from datetime import tzinfo
from typing import BinaryIO

from amiguard.asterisk.explain import explain as explain_blocks
from amiguard.asterisk.framing import MAX_BLOCK
from amiguard.asterisk.log.explain import Explanation
from amiguard.asterisk.log.explain import explain as explain_line
from amiguard.asterisk.log.reading import LogReader
from amiguard.clock import steady_clock
from amiguard.control.display import show
from amiguard.replay.files import lines
from amiguard.settings import Settings
from amiguard.wiring import zone_of

STDIN = "-"


def explain(line: str, settings: Settings, *, ami: bool = False, json: bool = False) -> bool:
    """Explain a line, or each of standard input for `-`; return whether any was recognised."""
    stream: BinaryIO = sys.stdin.buffer if line == STDIN else io.BytesIO(os.fsencode(line))
    found = iter(explain_blocks(stream.read(MAX_BLOCK))) if ami else _lines(stream, zone_of(settings))
    recognised = False
    for number, explanation in enumerate(found):
        recognised = recognised or explanation.matched
        if json:
            fields = {name.replace(" ", "_"): value for name, value in explanation.fields}
            values = {"matched": explanation.matched, "counts": explanation.counts, **fields}
            sys.stdout.write(encoding.dumps(values) + "\n")
            continue
        if number:
            sys.stdout.write("\n")
        show(("", ""), [[(name, "bold"), (value, "")] for name, value in explanation.fields])
    return recognised


def _lines(stream: BinaryIO, zone: tzinfo) -> Iterator[Explanation]:
    reader, now = LogReader(zone), steady_clock()()
    return (explain_line(line, zone, now, reader) for line in lines(stream) if line)
