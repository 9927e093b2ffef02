"""Old logs, replayed: who would have been banned, when and why."""

from __future__ import annotations

import gzip
import json
import os
import tracemalloc
from pathlib import Path

import pytest

from amiguard.model import Ban, Reason, Target
from amiguard.replay.bans import MAX_BANS, Bans
from amiguard.replay.files import MAX_LINE
from tests.lab.blocks import block
from tests.lab.captures import capture
from tests.lab.past import Past, failed, logged_in, written


@pytest.fixture
def past(capsys: pytest.CaptureFixture[str]) -> Past:
    return Past(lambda: capsys.readouterr().out)


# -- files ------------------------------------------------------------------------------------------------------------


def test_rotated_logs_are_one_log_in_whatever_order_they_are_named(past: Past, tmp_path: Path) -> None:
    old = tmp_path / "full.1.gz"
    old.write_bytes(gzip.compress(failed("2026-11-21 23:58:00") * 3))
    new = written(tmp_path / "full", failed("2026-11-22 00:00:01") * 2)

    for paths in ((old, new), (new, old)):
        bans = past(*paths).of("ban")
        assert [(ban["since"], ban["failures"]) for ban in bans] == [("2026-11-22T00:00:01Z", 5)]


def test_what_two_logs_tell_counts_once(past: Past, tmp_path: Path) -> None:
    full, messages = (written(tmp_path / name, failed("2026-11-22 10:00:00") * 4) for name in ("full", "messages"))

    assert past(full, messages).banned == []
    assert past.totals["failures"] == 4


def test_gzip_is_known_by_its_first_bytes_and_not_by_its_name(past: Past, tmp_path: Path) -> None:
    zipped = written(tmp_path / "full", gzip.compress(failed("2026-11-22 10:00:00") * 5))
    plain = written(tmp_path / "other.gz", failed("2026-11-22 10:00:00", "192.0.2.2") * 5)

    assert past(zipped, plain).banned == ["192.0.2.1", "192.0.2.2"]


def test_a_file_that_cannot_be_read_does_not_stop_the_others(past: Past, tmp_path: Path) -> None:
    torn = written(tmp_path / "torn.gz", gzip.compress(os.urandom(1 << 16))[:-4000])
    good = written(tmp_path / "full", failed("2026-11-22 10:00:00") * 5)

    past(tmp_path / "none", tmp_path, torn, good)

    assert past.banned == ["192.0.2.1"]
    assert not past.well
    assert past.faults[0] == f"can't read {tmp_path / 'none'}: No such file or directory"
    assert past.faults[1] == f"can't read {tmp_path}: Is a directory"
    assert past.faults[2].startswith(f"can't read {torn}: ")


def test_a_line_without_an_end_and_one_that_is_endless_cost_no_other(past: Past, tmp_path: Path) -> None:
    endless = b"x" * (3 * MAX_LINE) + b"\n"
    log = written(tmp_path / "full", failed("2026-11-22 10:00:00") * 4, endless, failed("2026-11-22 10:00:01")[:-1])

    assert past(log).banned == ["192.0.2.1"]
    assert past.totals["read"] == 6


def test_a_log_of_something_else_is_noticed(past: Past, tmp_path: Path) -> None:
    other = written(tmp_path / "passwd", b"root:x:0:0:root:/root:/bin/bash\n" * 3)

    assert past(other).faults == [
        "no line of this tells of a login: is it Asterisk's log, and is NOTICE or SECURITY among its levels?"
    ]
    assert past.well
    assert past(written(tmp_path / "full", failed("2026-11-22 10:00:00"))).faults == []
    assert past(written(tmp_path / "empty", b"")).faults == []


def test_a_capture_of_something_else_is_unreadable(past: Past, tmp_path: Path) -> None:
    past(written(tmp_path / "ami", b"x" * (2 << 20)), ami=True)

    assert not past.well
    assert "an AMI block is longer" in past.faults[0]


# -- time -------------------------------------------------------------------------------------------------------------


def test_a_ban_ends_by_the_time_of_the_lines(past: Past, tmp_path: Path) -> None:
    times = ("2026-11-22 10:00:00", "2026-11-22 10:30:00", "2026-11-22 11:00:01")
    log = written(tmp_path / "full", *(failed(time) * 5 for time in times))

    bans = past(log, bantime="1h").of("ban")

    assert [(ban["since"], ban["until"], ban["earlier"]) for ban in bans] == [
        ("2026-11-22T10:00:00Z", "2026-11-22T11:00:00Z", 0),
        ("2026-11-22T11:00:01Z", "2026-11-22T12:00:01Z", 1),
    ]
    assert past.totals["while_banned"] == 5


def test_attempts_further_apart_than_findtime_ban_nobody(past: Past, tmp_path: Path) -> None:
    log = written(tmp_path / "full", *(failed(f"2026-11-22 1{hour}:00:00") for hour in range(5)))

    assert past(log).banned == []
    assert past(log, findtime="5h", bantime="-1").of("ban")[0]["until"] is None
    assert past(log, findtime="5h", ignoreip="192.0.2.0/24").banned == []
    assert past.totals["allowed"] == 1


def test_a_line_of_a_wrong_time_does_not_silence_those_behind_it(past: Past, tmp_path: Path) -> None:
    for wrong in ("2099-01-01 00:00:00", "2026-11-22 11:00:00", "1999-01-01 00:00:00"):
        log = written(
            tmp_path / "full",
            failed("2026-11-22 10:00:00") * 2,
            failed(wrong, "192.0.2.9") * 9,
            failed("2026-11-22 10:00:01") * 5,
        )
        assert set(past(log).banned) == {"192.0.2.9", "192.0.2.1"}


def test_a_year_that_no_line_names_is_that_of_the_file(past: Past, tmp_path: Path) -> None:
    log = written(tmp_path / "full", failed("Nov 22 10:00:00") * 5)
    os.utime(log, (1_700_700_000, 1_700_700_000))  # 2023-11-23

    assert past(log).of("ban")[0]["since"] == "2023-11-22T10:00:00Z"


def test_a_wrong_zone_is_noticed(past: Past, tmp_path: Path) -> None:
    log = written(tmp_path / "full", capture("22-pjsip/reg-wrong-x10").full_log)

    assert past(log, asterisk_timezone="America/New_York").faults[0].endswith("is --timezone right?")
    assert past(log).faults == []


# -- what comes of it -------------------------------------------------------------------------------------------------


def test_who_logged_in_from_a_banned_address_is_listed_and_who_logged_in_elsewhere_is_not(
    past: Past, tmp_path: Path
) -> None:
    full = written(tmp_path / "full", failed("2026-11-22 10:00:00") * 5, failed("2026-11-22 10:00:00", "192.0.2.2") * 5)
    security = written(
        tmp_path / "security",
        logged_in("2026-11-22T09:00:00", "192.0.2.1", "6001"),
        logged_in("2026-11-22T10:30:00", "192.0.2.1", "6002"),
        logged_in("2026-11-22T10:31:00", "192.0.2.1", "6001"),
        logged_in("2026-11-22T10:32:00", "192.0.2.3", "6003"),
    )

    past(full, security)

    assert past.banned == ["192.0.2.1", "192.0.2.2"]
    assert past.of("false-ban") == [
        {
            "type": "false-ban",
            "address": "192.0.2.1",
            "bans": 1,
            "logins": 3,
            "while_banned": 2,
            "first": "2026-11-22T09:00:00Z",
            "last": "2026-11-22T10:31:00Z",
            "evidence": "datagram",
            "accounts": ["6001", "6002"],
        }
    ]


def test_a_login_over_a_connection_is_listed_from_a_capture_too(past: Past, tmp_path: Path) -> None:
    login = block("SuccessfulAuth", remote="IPV4/TLS/192.0.2.1/5061", AccountID="6001")
    guess = block("ChallengeResponseFailed", remote="IPV4/TLS/192.0.2.1/5061")

    (found,) = past(written(tmp_path / "ami", guess * 5, login), ami=True).of("false-ban")

    assert (found["address"], found["evidence"], found["accounts"]) == ("192.0.2.1", "connected", ["6001"])


def test_a_json_log_keeps_the_proof_that_a_plain_one_loses(past: Past, tmp_path: Path) -> None:
    plain = next(line for line in capture("16-pjsip/reg-wrong-tls6").full_log.splitlines() if b"ResponseFailed" in line)
    stamp, _, message = plain.partition(b"] SECURITY")
    line = {
        "hostname": "pbx",
        "timestamp": stamp[1:].decode(),
        "identifiers": {"lwp": 1, "callid": ""},
        "logmsg": {
            "location": {"filename": "res_security_log.c", "function": "f", "line": 1},
            "level": "SECURITY",
            "message": message.partition(b": ")[2].decode(),
        },
    }
    json_log = written(tmp_path / "full.json", json.dumps(line).encode() + b"\n")

    (by_plain,) = past(written(tmp_path / "full", plain + b"\n"), maxretry="1").of("ban")
    (by_json,) = past(json_log, maxretry="1").of("ban")

    assert (by_plain["evidence"], by_plain["transport"]) == ("datagram", "")
    assert (by_json["evidence"], by_json["transport"]) == ("connected", "TLS")
    assert by_plain["since"] == by_json["since"]


def test_the_totals_say_what_was_read(past: Past, tmp_path: Path) -> None:
    lost = (
        b"[2026-11-22 10:00:00] ERROR[1] security_events.c: Failed to issue security event of type InvalidPassword.\n"
    )
    other = b"[2026-11-22 10:00:00] VERBOSE[1] pbx.c: hello\n"
    log = written(tmp_path / "full", other * 3, lost, failed("2026-11-22 10:00:00") * 7)

    assert past(log).totals == {
        "type": "totals",
        "read": 11,
        "recognised": 8,
        "failures": 5,
        "while_banned": 2,
        "offenders": 1,
        "offenders_complete": True,
        "bans": 1,
        "allowed": 0,
        "injections": 0,
        "alerts": {},
        "backwards": 0,
        "alarms": {"event-lost": 1},
    }


def test_a_flood_of_addresses_takes_a_fixed_amount_of_memory() -> None:
    bans = Bans(lambda: 0, lambda _: None)
    for number in range(MAX_BANS + 10):
        bans.submit(Ban(Target(str(number)), 0, None, Reason.ACL))

    assert len(bans.active) == MAX_BANS
    assert len(bans.history) + bans.history.forgotten == MAX_BANS + 10
    assert len(bans.history) <= MAX_BANS


def test_what_a_rule_only_alerts_of_stands_in_the_totals(past: Past, tmp_path: Path) -> None:
    lines = [failed(f"2026-11-22 10:00:{number:02}", f"192.0.2.{number}") for number in range(12)]

    assert past(written(tmp_path / "full", *lines)).totals["alerts"] == {"account-under-attack": 1}


@pytest.mark.parametrize("zipped", [False, True])
def test_memory_does_not_grow_with_the_log(zipped: bool, past: Past, tmp_path: Path) -> None:
    def log(repeated: int) -> Path:
        lines = [failed("2026-11-22 10:00:00", f"192.0.2.{number}") for number in range(200)]
        data = b"".join(lines) * repeated
        return written(tmp_path / "full", gzip.compress(data, 1) if zipped else data)

    def peak(path: Path) -> int:
        tracemalloc.start()
        past(path, maxretry="1000", findtime="1s")
        _, highest = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return highest

    peak(log(10))
    short, long = peak(log(10)), peak(log(100))

    assert long < short + (1 << 20)
