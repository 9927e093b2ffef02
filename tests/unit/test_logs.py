from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typing_extensions import override

from amiguard.errors import FirewallError
from amiguard.journal import Action, Journal
from amiguard.logs import StructuredJournal, open_journal
from amiguard.logs.catalogue import CATALOGUE
from amiguard.logs.entry import Level
from amiguard.model import Ban, Origin, Reason, Target
from tests.lab.doc_tables import BAN, FAILURE, MANUAL, NOW

SECRET = "canary-4711"


@dataclass
class Clock:
    now: int = NOW

    def __call__(self) -> int:
        return self.now


class Log:
    """A journal that writes to a file, and what stands in it."""

    def __init__(self, path: Path, format: str = "ecs", level: str = "info", limit: int = 500) -> None:  # noqa: A002 -- as in the product
        self.clock = Clock()
        self._path = path
        self._file = path.open("w")
        self.journal = open_journal(
            "console" if format == "console" else "ecs", level, clock=self.clock, stream=self._file, limit=limit
        )

    def text(self) -> str:
        return self._path.read_text()

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text().splitlines()]

    def close(self) -> None:
        self._file.close()


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    log = Log(tmp_path / "log")
    yield log
    log.close()


@contextmanager
def piped(*, limit: int = 500) -> Iterator[tuple[StructuredJournal, int, Clock]]:
    """A journal that writes into a pipe of one page, and the pipe's other end."""
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    os.set_blocking(reader, False)
    clock = Clock()
    with os.fdopen(writer, "w") as stream:
        yield open_journal("ecs", "info", clock=clock, stream=stream, limit=limit), reader, clock
    with suppress(OSError):
        os.close(reader)


def drained(reader: int) -> bytes:
    content = b""
    with suppress(BlockingIOError):
        while piece := os.read(reader, 65_536):
            content += piece
    return content


def test_the_journal_fulfils_the_port(log: Log) -> None:
    journal: Journal = log.journal

    journal.write(Action.STOP)

    assert [line["event.action"] for line in log.lines()] == ["stop"]


def test_a_failure_line_has_the_documented_fields(log: Log) -> None:
    log.clock.now = NOW + 5_000

    log.journal.write(Action.FAILURE, failure=FAILURE)

    (line,) = log.lines()
    assert next(iter(line)) == "@timestamp"
    del line["host.name"]
    assert line == {
        "@timestamp": "2025-12-01T12:00:00.123Z",
        "log.level": "info",
        "message": "wrong-password from 192.0.2.77",
        "ecs.version": "9.4.0",
        "service.name": "amiguard",
        "event.kind": "event",
        "event.category": ["authentication"],
        "event.type": ["start"],
        "event.action": "failure",
        "event.outcome": "failure",
        "event.reason": "wrong-password",
        "event.code": "ChallengeResponseFailed",
        "source.ip": "192.0.2.77",
        "source.port": 5071,
        "user.name": "1000",
        "network.transport": "udp",
        "network.protocol": "sip",
        "asterisk.service": "PJSIP",
        "asterisk.transport": "UDP",
        "asterisk.session_id": "a84b4c76e66710",
        "amiguard.evidence": "datagram",
        "amiguard.weight": 1,
        "amiguard.source": "ami",
        "related.ip": ["192.0.2.77"],
    }


@pytest.mark.parametrize(("transport", "network"), [("TCP", "tcp"), ("TLS", "tcp"), ("WS", "tcp"), ("WSS", "tcp")])
def test_the_transport_is_told_in_asterisks_and_in_the_networks_words(log: Log, transport: str, network: str) -> None:
    log.journal.write(Action.FAILURE, failure=FAILURE._replace(transport=transport))

    assert (log.lines()[0]["asterisk.transport"], log.lines()[0]["network.transport"]) == (transport, network)


def test_a_ban_line_tells_its_length_in_seconds_and_its_end(log: Log) -> None:
    log.journal.write(Action.BAN, ban=BAN)

    (line,) = log.lines()
    assert line["amiguard.bantime"] == 432_000
    assert line["amiguard.until"] == "2025-12-06T12:00:00.123Z"
    assert (line["amiguard.failures"], line["amiguard.earlier_bans"], line["amiguard.origin"]) == (5, 1, "local")
    assert line["event.outcome"] == "success"
    assert line["related.user"] == ["1000", "admin"]


def test_a_permanent_ban_of_a_network_has_no_end_and_no_source_ip(log: Log) -> None:
    log.journal.write(Action.BAN, ban=MANUAL)

    (line,) = log.lines()
    assert line["amiguard.bantime"] == -1
    assert line["source.address"] == "198.51.100.0/24"
    assert not {"amiguard.until", "source.ip", "related.ip"} & line.keys()


def test_a_plain_field_wins_over_that_of_a_ban_wherever_it_stands(log: Log) -> None:
    log.journal.write(Action.UNBAN, origin=Origin.MANUAL, ban=BAN, outcome="unknown")

    assert log.lines()[0]["amiguard.origin"] == "manual"
    assert log.lines()[0]["event.outcome"] == "unknown"
    assert log.text().count("event.outcome") == 1


def test_an_error_is_shown_by_type_and_message_and_its_traceback_only_at_debug(tmp_path: Path) -> None:
    def fail() -> None:
        password = SECRET
        raise FirewallError(f"refused after {len(password)} tries", 1)

    logs = {level: Log(tmp_path / level, level=level) for level in ("info", "debug")}
    try:
        fail()
    except FirewallError as error:
        for log in logs.values():
            log.journal.write(Action.FIREWALL_FAILED, error=error)
            log.close()

    (quiet,), (loud,) = logs["info"].lines(), logs["debug"].lines()
    assert (quiet["error.type"], quiet["error.message"]) == ("FirewallError", "refused after 11 tries")
    assert "error.stack_trace" not in quiet
    assert "in fail" in loud["error.stack_trace"]
    assert SECRET not in logs["info"].text() + logs["debug"].text()


@pytest.mark.parametrize("level", ["debug", "info", "warning", "error"])
def test_lines_below_the_level_are_left_out(tmp_path: Path, level: str) -> None:
    log = Log(tmp_path / "log", level=level)
    for action in Action:
        log.journal.write(action)
    log.close()

    expected = [action.value for action, entry in CATALOGUE.items() if entry.level >= Level[level.upper()]]
    assert sorted(line["event.action"] for line in log.lines()) == sorted(expected)


def test_text_is_cut_to_256_characters_and_lists_to_32_items(log: Log) -> None:
    failure = FAILURE._replace(account="a" * 9_000, session="b" * 9_000)
    log.journal.write(Action.FAILURE, "m" * 9_000, failure=failure)
    log.journal.write(Action.BAN, ban=BAN._replace(comment="c" * 9_000))
    log.journal.write(Action.CONTROL, names=["n"] * 9_000)

    first, second, third = log.lines()
    assert first["user.name"] == "a" * 256
    assert first["asterisk.session_id"] == "b" * 256
    assert first["message"] == "m" * 1_024
    assert second["amiguard.comment"] == "c" * 256
    assert third["amiguard.names"] == ["n"] * 32


def test_lone_surrogates_become_text_that_every_reader_of_json_takes(log: Log) -> None:
    log.journal.write(Action.FAILURE, failure=FAILURE._replace(account="x\udcff\ud800 Zoë"))

    assert log.lines()[0]["user.name"] == r"x\udcff\ud800 Zoë"


def test_nul_is_written_out_since_readers_in_c_take_it_for_the_end(log: Log) -> None:
    log.journal.write(Action.FAILURE, failure=FAILURE._replace(account="1000\x00 trunk"))

    assert log.lines()[0]["user.name"] == r"1000\x00 trunk"


class Unprintable:
    @override
    def __str__(self) -> str:
        raise RuntimeError("no")


def test_a_value_that_cannot_be_shown_does_not_cost_the_line(log: Log) -> None:
    log.journal.write(Action.BAN, ban=BAN, odd=Unprintable())
    log.journal.write(Action.BAN, big=10**5000)

    assert [(line["event.action"], line["amiguard.unshown"]) for line in log.lines()] == [
        ("ban", "RuntimeError"),
        ("ban", "ValueError"),
    ]


def test_plain_values_keep_their_json_type(log: Log) -> None:
    log.journal.write(
        Action.CONTROL, i=1, f=1.5, n=float("nan"), t=True, none=None, l=[1, "x"], e=Reason.ACL, p=Path("/x"), event="e"
    )

    line = log.lines()[0]
    assert [line[f"amiguard.{name}"] for name in ("i", "f", "n", "t", "none", "l", "e", "p", "event")] == [
        *(1, 1.5, "nan", True, None, ["1", "x"], "acl", "/x", "e"),
    ]


def test_a_flood_of_failures_is_limited_and_what_was_left_out_is_told_a_second_later(tmp_path: Path) -> None:
    log = Log(tmp_path / "log", limit=3)
    for _ in range(10):
        log.journal.write(Action.FAILURE, failure=FAILURE)
    for _ in range(5):
        log.journal.write(Action.INJECTION, failure=FAILURE)
    for _ in range(10):
        log.journal.write(Action.BAN, ban=BAN)
    log.clock.now += 1_000
    log.journal.write(Action.FAILURE, failure=FAILURE)
    log.close()

    actions = [line["event.action"] for line in log.lines()]
    assert actions == ["failure"] * 3 + ["injection"] * 3 + ["ban"] * 10 + ["overload", "failure"]
    overload = log.lines()[-2]
    assert overload["message"] == "left out lines: 7 failure, 2 injection"
    assert overload["amiguard.left_out"] == 9


def test_what_was_left_out_is_told_at_the_end_too(tmp_path: Path) -> None:
    log = Log(tmp_path / "log", limit=1)
    for _ in range(3):
        log.journal.write(Action.FAILURE, failure=FAILURE)
    log.journal.close()
    log.close()

    assert [line["event.action"] for line in log.lines()] == ["failure", "overload"]


def test_a_pipe_that_nobody_reads_neither_blocks_nor_loses_a_ban() -> None:
    with piped(limit=10**9) as (journal, reader, clock):
        began = time.monotonic()
        for _ in range(3_000):
            journal.write(Action.FAILURE, failure=FAILURE)
        for _ in range(200):
            journal.write(Action.BAN, ban=BAN)
        assert time.monotonic() - began < 30
        content = drained(reader)
        for _ in range(2_000):
            clock.now += 1_000
            journal.write(Action.STOP)
            content += drained(reader)
        journal.close()
        content += drained(reader)

    actions = [json.loads(line)["event.action"] for line in content.splitlines()]
    assert actions.count("ban") == 200
    assert actions.count("stop") == 2_000
    (overload,) = [json.loads(line) for line in content.splitlines() if b'"overload"' in line]
    assert overload["amiguard.left_out"] == 3_000 - actions.count("failure") > 0


def test_a_line_that_a_pipe_took_in_part_is_completed_later() -> None:
    with piped() as (journal, reader, _clock):
        for number in range(40):
            journal.write(Action.CONTROL, "x" * 1_000, number=number)
        content = drained(reader)
        journal.close()
        while piece := drained(reader):
            content += piece
            journal.close()

    assert [json.loads(line)["amiguard.number"] for line in content.splitlines()] == list(range(40))


def test_a_reader_that_is_gone_is_no_error() -> None:
    with piped() as (journal, reader, _clock):
        os.close(reader)
        for _ in range(100):
            journal.write(Action.BAN, ban=BAN)
        journal.close()


def test_a_full_disk_is_no_error() -> None:
    with Path("/dev/full").open("w") as stream:
        journal = open_journal(clock=Clock(), stream=stream)
        for _ in range(5_000):
            journal.write(Action.BAN, ban=BAN)
        journal.close()


def test_a_closed_output_is_no_error(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w") as stream:
        journal = open_journal(clock=Clock(), stream=stream)
    journal.write(Action.BAN, ban=BAN)
    journal.close()


def test_standard_output_is_the_default(capfd: pytest.CaptureFixture[str]) -> None:
    open_journal(clock=Clock()).write(Action.STOP, "bye")

    assert json.loads(capfd.readouterr().out)["message"] == "bye"


def test_a_console_line_is_for_people(tmp_path: Path) -> None:
    log = Log(tmp_path / "log", "console")
    log.journal.write(Action.BAN, "192.0.2.77 is banned", ban=BAN._replace(accounts=("a b",)))
    log.close()

    text = log.text()
    assert text.startswith("2025-12-01T12:00:00.123Z warning ban: 192.0.2.77 is banned  event.outcome=success ")
    assert "amiguard.bantime=432000" in text
    assert "related.user='a b'" in text
    assert "\x1b" not in text


def test_nothing_a_stranger_wrote_drives_a_terminal(tmp_path: Path) -> None:
    log = Log(tmp_path / "log", "console")
    log.journal.write(Action.FAILURE, failure=FAILURE._replace(account="\x1b[2J\n\r\x9b\u202eevil\u2028"))
    log.close()

    assert log.text().removesuffix("\n").isprintable()
    assert r"user.name=\x1b[2J\n\r\x9b\u202eevil\u2028" in log.text()


ANY = st.text(max_size=300) | st.text(alphabet='\x00\x1b\n\r"\\{}\ud800\udfff\u2028\x85e', max_size=20)


@given(texts=st.tuples(ANY, ANY, ANY, ANY, ANY, ANY, ANY), people=st.booleans())
def test_any_text_in_any_field_is_exactly_one_line(texts: tuple[str, ...], people: bool) -> None:
    account, session, code, service, transport, message, field = texts
    failure = FAILURE._replace(
        account=account, session=session, code=code, service=service, transport=transport, port=0
    )
    ban = Ban(Target("192.0.2.1"), NOW, None, Reason.ACL, accounts=(account, session), comment=field, service=service)
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb") as output, os.fdopen(writer, "w") as stream:
        journal = open_journal("console" if people else "ecs", clock=Clock(), stream=stream)
        journal.write(Action.FAILURE, message, failure=failure)
        journal.write(Action.BAN, message, ban=ban, target=field, error=ValueError(field), more=[field, message])
        stream.close()
        content = output.read()

    assert content.isascii() or people
    lines = content.decode().split("\n")
    assert len(lines) == 3
    if people:
        assert all(line.isprintable() for line in lines)
    else:
        first, second = (json.loads(line) for line in lines[:2])
        assert first["source.ip"] == "192.0.2.77"
        assert (first["event.action"], second["event.action"]) == ("failure", "ban")
        assert second["amiguard.bantime"] == -1
        assert all(len(value) <= 10 * 1_024 for value in (*first.values(), *second.values()) if isinstance(value, str))
