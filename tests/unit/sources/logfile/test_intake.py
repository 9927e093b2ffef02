"""From a log line to the sink: which witness, and whose clock."""

from __future__ import annotations

from datetime import UTC
from pathlib import Path

import pytest

from amiguard.asterisk.schema import SecurityEvent
from amiguard.journal import Action
from amiguard.model import Timestamp
from amiguard.sources.logfile.intake import SKEW, LogIntake
from tests.lab.journal import RecordingJournal

NOW = 1_795_356_000_000  # 2026-11-22 14:00:00 UTC
HOUR = 3_600_000
MESSAGE = (
    "res_pjsip/pjsip_distributor.c: Request 'REGISTER' from '<sip:6001@10.99.0.1>' failed for '10.99.130.5:42356' "
    "(callid: 831a270b76d8-0) - Failed to authenticate"
)


class Handed:
    """An intake, and what it told."""

    def __init__(self) -> None:
        self.told: list[tuple[SecurityEvent, str, Timestamp]] = []
        self.journal = RecordingJournal()
        self.intake = LogIntake(
            lambda event, source, at: self.told.append((event, source, at)), UTC, self.journal, lambda: NOW
        )

    def take(self, line: str, path: Path = Path("/nonexistent/full"), *, live: bool = True) -> None:
        self.intake.take(path, line.encode(), live)


def line(clock: str) -> str:
    return f"[2026-11-22 {clock}] NOTICE[123] {MESSAGE}"


def test_a_line_that_was_read_late_counts_at_its_own_time() -> None:
    told = Handed()
    told.take(line("13:55:00"), live=False)

    [(event, source, at)] = told.told
    assert (event.address, event.port, event.session, source) == ("10.99.130.5", 42356, "831a270b76d8-0", "log")
    assert at == NOW - 300_000


def test_no_line_is_from_the_future() -> None:
    told = Handed()
    told.take(line("14:00:01"))
    told.take(line("15:00:00"), live=False)

    assert [at for _, _, at in told.told] == [NOW, NOW]


@pytest.mark.parametrize("clock", ["13:00:00", "15:00:00", "13:58:00"])
def test_a_line_that_was_just_written_in_another_zone_counts_now_and_the_log_says_so(clock: str) -> None:
    told = Handed()
    told.take(line(clock))

    assert [at for _, _, at in told.told] == [NOW]
    assert len(told.journal.of(Action.LOG_ALARM)) == 1


def test_a_delay_of_seconds_is_no_other_zone() -> None:
    told = Handed()
    told.take(line("13:59:00"))

    assert [at for _, _, at in told.told] == [NOW - 60_000]
    assert SKEW > 60_000
    assert not told.journal.of(Action.LOG_ALARM)


def test_an_event_that_asterisk_could_not_issue_is_an_alarm() -> None:
    told = Handed()
    told.take(
        "[2026-11-22 14:00:00] ERROR[1] security_events.c: Failed to issue security event of type InvalidAccountID."
    )

    assert not told.told
    assert told.intake.alarms == 1
    assert len(told.journal.of(Action.LOG_ALARM)) == 1


def test_an_object_in_the_middle_of_a_plain_log_is_not_believed_like_a_json_log(tmp_path: Path) -> None:
    security = (
        '{"hostname":"pbx","timestamp":"2026-11-22 14:00:00","identifiers":{"lwp":1,"callid":null},'
        '"logmsg":{"location":{"filename":"res_security_log.c","function":"f","line":1},"level":"SECURITY","message":'
        '"SecurityEvent=\\"InvalidPassword\\",EventTV=\\"2026-11-22T14:00:00.000+0000\\",Severity=\\"Error\\",'
        'Service=\\"PJSIP\\",EventVersion=\\"2\\",AccountID=\\"6001\\",SessionID=\\"x\\",'
        'LocalAddress=\\"IPV4/TCP/10.99.0.1/5060\\",RemoteAddress=\\"IPV4/TCP/9.9.9.9/5060\\""}}'
    )
    plain, json_log = tmp_path / "full", tmp_path / "amiguard.json"
    plain.write_text(line("13:59:59") + "\n")
    json_log.write_text(security + "\n")
    told = Handed()
    told.take(security, plain)
    told.take(security, json_log)

    assert [event.transport for event, _, _ in told.told] == ["", "TCP"]
