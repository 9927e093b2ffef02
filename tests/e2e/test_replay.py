"""`amiguard replay` and `amiguard explain` as processes: what they write where, and how they end."""

from __future__ import annotations

import gzip
import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from tests.lab.captures import VICTIM, capture
from tests.lab.past import failed, logged_in, written
from tests.lab.terminal import ROOT, seen_on_terminal

COMMAND = (sys.executable, "-m", "amiguard")
PLAIN = {name: value for name, value in os.environ.items() if not name.startswith("AMIGUARD_")} | {"TZ": "UTC"}
PATIENCE = 60
LINE = failed("2026-11-22 10:00:00").decode().strip()
HOSTILE = "\x1b[2J\x1b]0;owned\x07\u202e"


def amiguard(
    *arguments: str | Path, given: bytes = b"", environ: dict[str, str] | None = None
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [*COMMAND, *map(str, arguments)],
        cwd=ROOT,
        env=PLAIN | (environ or {}),
        input=given,
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    )


def on_terminal(*arguments: str | Path) -> bytes:
    """Return what a terminal is sent, by standard output and standard error alike."""
    command = [*COMMAND, *map(str, arguments)]
    code, seen = seen_on_terminal(command, PLAIN | {"COLUMNS": "300"}, out=True, err=True, patience=PATIENCE)
    assert code == 0
    return seen


def test_bans_false_bans_and_totals_are_lines_of_text(tmp_path: Path) -> None:
    log = written(
        tmp_path / "full",
        *(failed("2026-11-22 10:00:00", account=str(number)) for number in range(5)),
        logged_in("2026-11-22T10:00:09", "192.0.2.1", "6001"),
    )

    ended = amiguard("replay", "--timezone", "Europe/Berlin", log)
    ban, false_ban, *totals = ended.stdout.decode().splitlines()

    assert ended.returncode == 0
    assert ban == (
        "2026-11-22 10:00:00  192.0.2.1        banned for 5d: wrong-password, 5 failures, SIP, datagram, log; "
        "tried 0, 1, 2, 3, 4"
    )
    assert false_ban.startswith("likely false ban or guessed password: 192.0.2.1 was banned 1 times, and logged in 1")
    assert ["failures", "5"] in [line.split() for line in totals]


def test_settings_come_from_options_then_from_the_environment_and_need_no_login(tmp_path: Path) -> None:
    log = written(tmp_path / "full", LINE.encode() + b"\n")

    for arguments, environ, bantime in (
        ((), {}, None),
        ((), {"AMIGUARD_MAXRETRY": "1"}, 432_000),
        (("--maxretry", "1", "--bantime", "1h"), {"AMIGUARD_MAXRETRY": "7"}, 3_600),
    ):
        ended = amiguard("replay", "--json", *arguments, log, environ=environ)
        bans = [row for line in ended.stdout.splitlines() if (row := json.loads(line))["type"] == "ban"]
        assert (ended.returncode, ended.stderr) == (0, b"")
        assert [ban["bantime"] for ban in bans] == ([bantime] if bantime else [])


@pytest.mark.parametrize(
    ("arguments", "environ", "complaint"),
    [
        ((), {}, "Missing argument"),
        (("--maxretry", "0", "-"), {}, "AMIGUARD_MAXRETRY (from --maxretry): '0' is not allowed"),
        (("-",), {"AMIGUARD_FINDTIME": "soon"}, "AMIGUARD_FINDTIME: 'soon' is no duration"),
        (("--timezone", "Mars/Phobos", "-"), {}, "ASTERISK_TIMEZONE"),
    ],
)
def test_wrong_usage_ends_with_2(arguments: tuple[str, ...], environ: dict[str, str], complaint: str) -> None:
    ended = amiguard("replay", *arguments, environ=environ)

    assert ended.returncode == 2
    assert complaint in ended.stderr.decode()


def test_a_file_that_cannot_be_read_ends_with_1_after_the_others(tmp_path: Path) -> None:
    log = written(tmp_path / "full", (LINE.encode() + b"\n") * 5)

    ended = amiguard("replay", tmp_path / "none", log)

    assert ended.returncode == 1
    assert ended.stderr.decode() == f"amiguard: can't read {tmp_path / 'none'}: No such file or directory\n"
    assert b"192.0.2.1" in ended.stdout


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_standard_input_is_read_too(pack: type[bytes]) -> None:
    ended = amiguard("replay", "--json", "-", given=pack((LINE.encode() + b"\n") * 5))

    assert json.loads(ended.stdout.splitlines()[0])["address"] == "192.0.2.1"


def test_a_capture_is_replayed(tmp_path: Path) -> None:
    raw = written(tmp_path / "ami.raw", capture("22-pjsip/reg-wrong-x10").raw)

    ended = amiguard("replay", "--ami", "--json", raw)

    assert json.loads(ended.stdout.splitlines()[0])["address"] == "10.99.130.5"


def test_names_that_drive_a_terminal_are_written_out(tmp_path: Path) -> None:
    log = written(
        tmp_path / "full",
        failed("2026-11-22 10:00:00", account=HOSTILE) * 5,
        logged_in("2026-11-22T10:00:09", "192.0.2.1", HOSTILE),
    )
    out = amiguard("replay", log).stdout + amiguard("explain", "-", given=log.read_bytes()).stdout
    seen = on_terminal("replay", log)

    assert b"\x1b" not in out
    assert rb"\x1b[2J" in out
    assert b"owned\x07" not in out + seen
    assert b"\x1b[2J" not in seen
    assert "\u202e".encode() not in out + seen
    assert b"192.0.2.1" in seen


def test_a_bar_is_shown_on_a_terminal_and_nowhere_else(tmp_path: Path) -> None:
    log = written(tmp_path / "full", failed("2026-11-22 10:00:00") * 5)

    assert "━".encode() in on_terminal("replay", log)
    ended = amiguard("replay", log)
    assert "━".encode() not in ended.stdout
    assert ended.stderr == b""


def test_100_mb_of_log_take_no_more_memory_than_a_few(tmp_path: Path) -> None:
    other = b"[2026-11-22 10:00:00] VERBOSE[1] pbx.c: " + b"x" * 4_000 + b"\n"
    log = written(tmp_path / "full", other * 25_000, failed("2026-11-22 10:00:00") * 5)
    limit = 100 << 20

    ended = subprocess.run(
        [*COMMAND, "replay", "--json", str(log)],
        cwd=ROOT,
        env=PLAIN,
        capture_output=True,
        timeout=PATIENCE,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_DATA, (limit, limit)),
    )

    assert json.loads(ended.stdout.splitlines()[0])["address"] == "192.0.2.1"


# -- explain ----------------------------------------------------------------------------------------------------------


def test_a_line_is_explained() -> None:
    ended = amiguard("explain", LINE)
    rows = dict(line.split("  ", 1) for line in ended.stdout.decode().splitlines())
    said = {name: value.strip() for name, value in rows.items()}

    assert ended.returncode == 0
    assert said["rule"] == "Registration from '%s' failed for '%s' - %s"
    assert said["address"] == "192.0.2.1 port 5060"
    assert said["account"] == "100"
    assert said["address because"].startswith("it stands behind every text")
    assert said["conclusion"].startswith("counts 1 (wrong-password): ")


def test_a_line_that_no_rule_reads_is_held_against_the_nearest_and_ends_with_1() -> None:
    ended = amiguard("explain", "--json", LINE.replace("Wrong", "Wrung"))
    said = json.loads(ended.stdout)

    assert ended.returncode == 1
    assert (said["matched"], said["counts"], said["conclusion"]) == (False, False, "no rule fits")
    assert (said["nearest_rule"], said["stopped_at"]) == (
        "Registration from '%s' failed for '%s' - %s",
        "Wrung password",
    )


def test_an_event_of_the_manager_interface_is_explained_whatever_became_of_its_line_ends() -> None:
    raw = capture("22-pjsip/reg-wrong-udp").raw.split(b"\r\n\r\n")[1]

    for given in (raw, raw.replace(b"\r\n", b"\n") + b"\n\n"):
        ended = amiguard("explain", "--ami", "--json", "-", given=given)
        said = json.loads(ended.stdout)
        assert ended.returncode == 0
        assert (said["matched"], said["counts"], said["event"]) == (True, True, "PJSIP ChallengeResponseFailed")
        assert said["address"].startswith("10.99.130.5 port ")


def test_a_forged_event_is_explained_by_its_true_sender() -> None:
    ended = amiguard("explain", "--ami", "--json", "-", given=capture("22-pjsip/h-pct-forged").raw)
    said = [json.loads(line) for line in ended.stdout.splitlines()]

    assert any("smuggled" in each["rule"] and "injection" in each["conclusion"] for each in said)
    assert not any(VICTIM in each["address"] for each in said)


def test_an_event_of_another_form_is_explained_by_where_it_stops() -> None:
    raw = capture("22-pjsip/reg-wrong-udp").raw.split(b"\r\n\r\n")[1]

    ended = amiguard("explain", "--ami", "--json", "-", given=raw.replace(b"Service: ", b"Servant: "))
    assert ended.returncode == 1
    assert json.loads(ended.stdout)["conclusion"] == "Service does not stand in its place"
    assert amiguard("explain", "--ami", "-", given=b"Event: Hangup\r\n\r\n").returncode == 1
    assert amiguard("explain", "--ami", "-").returncode == 1
