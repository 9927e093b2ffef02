"""What must hold of any bytes, one function a parser. Fuzzing and `test_corpus.py` call the same functions."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import UTC
from itertools import pairwise
from pathlib import Path

from amiguard.asterisk.events import EventParser
from amiguard.asterisk.framing import BLOCK_END, FrameError, Framer
from amiguard.asterisk.log.reading import Kind, LogReader
from amiguard.asterisk.log.reading import Reading as Line
from amiguard.asterisk.schema import SecurityEvent
from amiguard.control import requests
from amiguard.errors import FeedError, InvalidAddress, InvalidMessage, SettingsError
from amiguard.feeds.reading import Reading
from amiguard.fleet import messages
from amiguard.listed import Listed, target_at
from amiguard.model import parse_address, parse_target
from amiguard.notifiers.rdap import registration
from amiguard.settings import Settings, load
from amiguard.stores.rows import bans_of, row_of
from tests.lab.captures import BANNER

FIVE_DIGITS = 99_999
"""What a port is at most: Asterisk writes no larger ones, and nobody depends on it."""

LIMIT = 5_000
"""Entries of a list."""

NOW = 1_800_000_000_000
INSTANCE = "0" * 16
ADDRESS = ipaddress.ip_address("198.51.100.7")
FIELDS = sorted(Settings.model_fields)

Target = Callable[[bytes], None]


def ami_stream(data: bytes) -> None:
    """The first bytes say where the stream is cut; how it is cut changes nothing, and no block stops the parser."""
    cuts, stream = data[:4], BANNER + data[4:]
    whole, pieces = Framer(), Framer()
    try:
        blocks = whole.feed(stream)
    except FrameError:
        return
    ends = sorted({0, len(stream), *(len(stream) * cut // 256 for cut in cuts)})
    assert [block for start, end in pairwise(ends) for block in pieces.feed(stream[start:end])] == blocks
    parser = EventParser()
    for number, block in enumerate(blocks):
        assert BLOCK_END not in block
        _are_events(parser.feed(block, NOW + number))
    _are_events(parser.idle())
    _are_events(parser.release(NOW + 10_000))
    _are_events(parser.close())


def log_lines(data: bytes) -> None:
    """A plain log: whatever its lines hold, each names one address or none, and is no proof of it."""
    for reading in _read(data, Kind.PLAIN):
        assert reading.event is None or reading.event.transport not in {"TCP", "TLS", "WS", "WSS"}


def json_log(data: bytes) -> None:
    """A log of JSON objects."""
    for _ in _read(data, Kind.JSON):
        pass


def fleet_message(data: bytes) -> None:
    """What another node tells is refused, or is told on as it is."""
    try:
        message = messages.decode(data, NOW, 0)
    except InvalidMessage:
        return
    assert parse_target(message.change.target) == message.change.target
    again = messages.encode(message.change, "node", INSTANCE, NOW)
    assert len(again) <= messages.LARGEST
    assert messages.encode(messages.decode(again, NOW, 0).change, "node", INSTANCE, NOW) == again


def control_body(data: bytes) -> None:
    """What a client of the control interface sends is refused in a sentence, or is within bounds."""
    with suppress(requests.BadRequest, InvalidAddress):
        wanted = requests.read_ban(data)
        assert parse_target(wanted.target) == wanted.target
        assert wanted.bantime is None or 1000 <= wanted.bantime <= requests.LONGEST * 1000
        assert wanted.comment.isprintable()
    with suppress(requests.BadRequest, InvalidAddress):
        target, comment = requests.read_allow(data)
        assert parse_target(target) == target
        assert comment.isprintable()
    text = data.decode(errors="surrogateescape")
    with suppress(requests.BadRequest, InvalidAddress):
        page = requests.read_page(dict(pair.partition("=")[::2] for pair in text.split("&") if pair))
        assert 1 <= page.limit <= requests.PAGE[1]
    with suppress(requests.BadRequest):
        assert requests.read_after({}, {"Last-Event-ID": text}) >= 0


def settings(data: bytes) -> None:
    """Each line is a value; the byte before it says of which setting. All are read, or refused in a line each."""
    environ = {}
    for line in data.split(b"\n"):
        if line:
            field = FIELDS[line[0] % len(FIELDS)]
            environ[f"AMIGUARD_{field.upper()}"] = line[1:].decode(errors="surrogateescape").replace("\0", "")
    environ.pop("AMIGUARD_GEOIP_DATABASE", None)  # may be any file of this machine
    problems: list[str] = []
    try:
        load(environ=environ)
    except SettingsError as error:
        problems = error.problems
    names = [line.partition(":")[0] for line in problems]
    assert len(names) == len(set(names))
    assert all(line.isprintable() for line in problems)


def whois_answer(data: bytes) -> None:
    """What a registry says is short, printable text, or none."""
    try:
        told = registration(data, ADDRESS)
    except (ValueError, RecursionError):
        return
    for text in (told.network, told.organisation, told.country, told.abuse):
        assert text == "" or text.isprintable()


def store_rows(data: bytes) -> None:
    """What stands in a row of the database is a ban that is written back alike, or is refused."""
    with suppress(ValueError, RecursionError):
        row = json.loads(data)
        if isinstance(row, list) and len(row) == 8 and all(isinstance(one, str | int | None) for one in row):
            (ban,) = bans_of([row])
            assert bans_of([row_of(ban)]) == [ban]


def feed_list(data: bytes) -> None:
    """The first byte says where a list is cut. Cut or not, it names the same public networks, or is refused."""
    cut, text = len(data) * (data[0] if data else 0) // 256, data[1:]
    whole, pieces = _networks([text]), _networks([text[:cut], text[cut:]])
    assert whole is None or pieces is None or whole == pieces
    for one in whole or ():
        assert parse_target(one) == one


TARGETS: dict[str, Target] = {
    "ami-stream": ami_stream,
    "log-lines": log_lines,
    "json-log": json_log,
    "fleet-message": fleet_message,
    "control-body": control_body,
    "settings": settings,
    "whois-answer": whois_answer,
    "store-rows": store_rows,
    "feed-list": feed_list,
}


def findings(name: str) -> list[bytes]:
    """Return the inputs that once broke a target; each was mended."""
    return [path.read_bytes() for path in sorted((Path(__file__).parent / "findings" / name).glob("*"))]


def _networks(parts: Iterable[bytes]) -> list[str] | None:
    """Read a list in these parts; None: it is refused."""
    reading, found = Reading(LIMIT), Listed()
    try:
        for part in parts:
            reading.feed(part)
        reading.finish()
    except FeedError:
        return None
    for _ in reading.ordered(found):
        pass
    return [target_at(width, number) for width, part in found.parts.items() for number in part.numbers]


def _read(data: bytes, kind: Kind) -> Iterable[Line]:
    reader = LogReader(UTC, kind)
    for line in data.split(b"\n"):
        reading = reader.read(line, NOW)
        if reading is not None:
            if reading.event is not None:
                _are_events([reading.event])
            yield reading


def _are_events(events: Iterable[SecurityEvent]) -> None:
    for event in events:
        assert parse_address(event.address) == event.address
        assert 0 <= event.port <= FIVE_DIGITS
        assert max(len(event.account), len(event.session)) <= 256
