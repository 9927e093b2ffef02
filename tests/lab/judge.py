"""Runs raw AMI bytes through the pure core, as the daemon does: framer, parser, weights, attempts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from amiguard.asterisk.events import HOLD, EventParser
from amiguard.asterisk.framing import Framer
from amiguard.asterisk.schema import SecurityEvent
from amiguard.asterisk.weights import Signal, failure_of, row_of
from amiguard.attempts import Attempts, key_of
from amiguard.model import Address, Failure
from tests.lab.captures import BANNER


def chunked(data: bytes, size: int) -> Iterator[bytes]:
    """Cut `data` into pieces of `size` bytes."""
    return (data[start : start + size] for start in range(0, len(data), size))


def parse(chunks: Iterable[bytes], parser: EventParser, *, now: int = 0) -> list[SecurityEvent]:
    """Return every event in the chunks; a banner stands before them."""
    framer = Framer()
    framer.feed(BANNER)
    events: list[SecurityEvent] = []
    for chunk in chunks:
        for block in framer.feed(chunk):
            events += parser.feed(block, now)
        if framer.idle:
            events += parser.idle()
    return events + parser.release(now + HOLD) + parser.close()


def failures(events: Iterable[SecurityEvent], *, now: int = 0) -> list[Failure]:
    """Return the attempts that count."""
    attempts = Attempts()
    counted: list[Failure | None] = []
    for event in events:
        row = row_of(event)
        if row.signal is Signal.CHALLENGE:
            key = key_of(event.service, event.address, event.port, event.session)
            counted.append(attempts.challenged(key, "ami"))
        elif row.signal is Signal.PROBE:
            counted.append(attempts.probe(failure_of(event, row, now, "ami")))
        elif row.signal is Signal.GUESS:
            counted.append(attempts.guess(failure_of(event, row, now, "ami")))
    return [failure for failure in counted if failure is not None]


def judge(raw: bytes, size: int) -> Counter[Address]:
    """Return how many attempts each address made, by bytes that arrive in pieces of `size`."""
    return Counter(failure.address for failure in failures(parse(chunked(raw, size), EventParser())))
