"""The command line, as a real process against a real control socket."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from amiguard import __version__
from amiguard.check import Finding, check
from amiguard.cli.commands import app
from amiguard.model import Ban, Drops, Reason, Target
from amiguard.settings import load
from tests.lab.journal import RecordingJournal
from tests.lab.shell import Ended, Shell
from tests.lab.terminal import ROOT
from tests.unit.control.conftest import ALLOWED, NOW, FakeGuard, serving


@pytest.fixture
def guard() -> FakeGuard:
    return FakeGuard()


@pytest.fixture
async def amiguard(tmp_path: Path, guard: FakeGuard) -> AsyncIterator[Shell]:
    path = tmp_path / "amiguard.sock"
    server = serving(path, guard, RecordingJournal())
    await server.start()
    yield Shell(path)
    await server.close()


def attacked(guard: FakeGuard) -> None:
    """Let an attacker who writes to terminals be banned."""
    target = Target("198.51.100.7")
    accounts = ("\x1b[2J\x1b]0;owned\x07", "\u202e100", "[red]x[/red]")
    guard.running[target] = Ban(target, NOW, NOW + 90_000, Reason.WRONG_PASSWORD, failures=5, accounts=accounts)


async def test_a_ban_is_set_shown_and_lifted(amiguard: Shell, guard: FakeGuard) -> None:
    assert await amiguard("ban", "192.0.2.1", "--time", "1h 30m", "--reason", "scanner") == Ended(
        0, "192.0.2.1 is banned until 2027-01-15T09:30:00Z\n", ""
    )
    assert await amiguard("ban", "198.51.100.9/24", "--time", "-1") == Ended(
        0, "198.51.100.0/24 is banned for ever\n", ""
    )
    assert guard.running[Target("192.0.2.1")].comment == "scanner"

    listed = await amiguard("banned")
    assert [line.split() for line in listed.out.splitlines()] == [
        ["192.0.2.1", "1:30:00", "manual", "0", "0", "scanner"],
        ["198.51.100.0/24", "for", "ever", "manual", "0", "0", "-"],
    ]

    assert await amiguard("unban", "198.51.100.0/24") == Ended(0, "198.51.100.0/24 is no longer banned\n", "")
    assert await amiguard("unban", "--all") == Ended(0, "bans lifted: 1\n", "")
    assert await amiguard("banned") == Ended(0, "", "")


async def test_every_answer_comes_as_json_too(amiguard: Shell, guard: FakeGuard) -> None:
    ban = json.loads((await amiguard("ban", "192.0.2.1", "--json")).out)
    assert (ban["address"], ban["remaining"]) == ("192.0.2.1", 600)
    assert json.loads((await amiguard("banned", "--json")).out) == [ban]
    assert json.loads((await amiguard("status", "--json")).out) == guard.status()
    assert json.loads((await amiguard("unban", "192.0.2.1", "--json")).out) == ban
    assert json.loads((await amiguard("unban", "--all", "--json")).out) == {"unbanned": 0}
    assert json.loads((await amiguard("version", "--json")).out) == {"version": __version__}


async def test_a_no_of_the_daemon_ends_with_1(amiguard: Shell, guard: FakeGuard) -> None:
    assert await amiguard("ban", ALLOWED) == Ended(1, "", f"amiguard: {ALLOWED} is in the allowlist\n")
    assert await amiguard("unban", "192.0.2.1") == Ended(1, "", "amiguard: 192.0.2.1 is not banned\n")
    assert await amiguard("banned", "192.0.2.1") == Ended(1, "192.0.2.1 is not banned\n", "")
    guard.ready = False
    status = await amiguard("status")
    assert status.code == 1
    assert [line.split() for line in status.out.splitlines()] == [
        ["ready", "no"],
        ["bans.active", "0"],
        ["totals.failures", "0"],
        ["totals.bans", "0"],
        ["sources.ami.name", "ami"],
        ["sources.ami.up", "no"],
    ]


@pytest.mark.parametrize(
    "arguments",
    [
        ["ban", "phone.example"],
        ["ban", "192.0.2.1", "--time", "soon"],
        ["ban", "192.0.2.1", "--time", "0"],
        ["ban"],
        ["unban"],
        ["unban", "192.0.2.1", "--all"],
        ["banned", "192.0.2.0/33"],
        ["explode"],
    ],
)
async def test_wrong_usage_ends_with_2_and_changes_nothing(
    amiguard: Shell, guard: FakeGuard, arguments: list[str]
) -> None:
    attacked(guard)
    ended = await amiguard(*arguments)

    assert (ended.code, ended.out) == (2, "")
    assert ended.err
    assert list(guard.running) == ["198.51.100.7"]


@pytest.mark.parametrize("command", [["status"], ["banned"], ["ban", "192.0.2.1"], ["unban", "--all"]])
async def test_no_daemon_ends_with_3(tmp_path: Path, command: list[str]) -> None:
    ended = await Shell(tmp_path / "nobody.sock")(*command)

    assert (ended.code, ended.out) == (3, "")
    assert ended.err.startswith(f"amiguard: the daemon can't be reached at {tmp_path}/nobody.sock: ")


async def test_the_socket_may_be_named_by_an_option_or_a_dotenv_file(amiguard: Shell, tmp_path: Path) -> None:
    env_file = tmp_path / "amiguard.env"
    with env_file.open("w") as file:
        file.write(f"AMIGUARD_CONTROL_SOCKET={amiguard.socket}\nAMIGUARD_AMI_PORT=none\n")

    assert (await Shell(tmp_path / "nobody.sock")("status", "--socket", str(amiguard.socket))).code == 0
    assert (await Shell()("status", "--env-file", str(env_file))).code == 0


async def test_what_an_attacker_wrote_can_not_drive_a_terminal(amiguard: Shell, guard: FakeGuard) -> None:
    attacked(guard)

    piped = (await amiguard("banned")).out
    shown = await asyncio.to_thread(amiguard.on_terminal, "banned")

    for text in (piped, shown):
        assert "\\x1b[2J\\x1b]0;owned\\x07" in text
        assert "\\u202e100" in text
        assert "[red]x[/red]" in text
    assert "\x1b" not in piped
    assert not {"\x1b[2J", "\x1b]0;", "\x07", "\u202e"} & {
        part for part in ("\x1b[2J", "\x1b]0;", "\x07", "\u202e") if part in shown
    }


async def test_what_was_dropped_has_a_column_where_it_is_counted(amiguard: Shell, guard: FakeGuard) -> None:
    for target in map(Target, ("192.0.2.1", "192.0.2.2")):
        guard.running[target] = Ban(target, NOW, None, Reason.ACL)
    guard.counted[Target("192.0.2.1")] = Drops(3, 1200)

    lines = (await amiguard("banned")).out.splitlines()

    assert [line.split()[6:] for line in lines] == [["3", "packets", "-"], ["-", "-"]]


async def test_a_country_has_a_column_where_one_is_known(amiguard: Shell, guard: FakeGuard) -> None:
    for target in map(Target, ("192.0.2.1", "192.0.2.2")):
        guard.running[target] = Ban(target, NOW, None, Reason.ACL)
    guard.placed[Target("192.0.2.1")] = "DE"

    lines = (await amiguard("banned")).out.splitlines()

    assert [line.split()[:4] for line in lines] == [
        ["192.0.2.1", "DE", "for", "ever"],
        ["192.0.2.2", "-", "for", "ever"],
    ]


async def test_a_terminal_gets_a_table_with_a_header_and_a_pipe_does_not(amiguard: Shell, guard: FakeGuard) -> None:
    attacked(guard)

    assert "reason" in await asyncio.to_thread(amiguard.on_terminal, "banned")
    assert "\t" not in (await amiguard("banned")).out
    assert "\n" not in (await amiguard("banned")).out.strip()


async def test_run_ends_with_2_and_a_line_for_each_wrong_setting(tmp_path: Path) -> None:
    env_file = tmp_path / "amiguard.env"
    with env_file.open("w") as file:
        file.write("AMIGUARD_MAXRETRY=many\nAMIGUARD_AMI_PORT=none\nAMIGUARD_AMI_SECRET=geheim\n")

    for command in ("run", "check"):
        ended = await Shell(tmp_path / "amiguard.sock")(command, "--env-file", str(env_file))

        lines = ended.err.splitlines()
        assert (ended.code, ended.out) == (2, "")
        assert all(line.startswith("amiguard: AMIGUARD_") for line in lines)
        for name in ("MAXRETRY", "AMI_PORT", "AMI_USERNAME"):
            assert any(line.startswith(f"amiguard: AMIGUARD_{name}") for line in lines)
        assert "geheim" not in ended.err


async def test_the_version_is_told_without_loading_what_it_does_not_need() -> None:
    code = (
        "import sys, amiguard.cli; print(sorted({'aiohttp', 'pyroute2', 'structlog', 'jinja2'} & sys.modules.keys()))"
    )
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code, cwd=ROOT, stdout=subprocess.PIPE)
    out, _ = await process.communicate()

    assert out == b"[]\n"
    assert CliRunner().invoke(app, ["version"]).output == f"amiguard {__version__}\n"


async def test_check_tries_everything_although_everything_fails(tmp_path: Path) -> None:
    settings = load(
        environ={
            "AMIGUARD_AMI_USERNAME": "amiguard",
            "AMIGUARD_AMI_SECRET": "geheim",
            "AMIGUARD_AMI_PORT": "1",
            "AMIGUARD_FIREWALL": "dry-run",
            "AMIGUARD_DATABASE": str(tmp_path),
            "AMIGUARD_MAIL_TO": "root@example.com",
            "AMIGUARD_SMTP_HOST": "127.0.0.1",
            "AMIGUARD_SMTP_PORT": "1",
            "AMIGUARD_WEBHOOK_URL": "http://127.0.0.1:1/geheim",
            "AMIGUARD_REDIS_URL": "redis://:geheim@127.0.0.1:1",
            "AMIGUARD_FEEDS": "voipbl=http://127.0.0.1:1/geheim",
            "AMIGUARD_CROWDSEC_URL": "http://127.0.0.1:1",
            "AMIGUARD_CROWDSEC_API_KEY": "geheim",
        }
    )

    findings: list[Finding] = [finding async for finding in check(settings, tmp_path)]

    assert [(finding.name, finding.ok) for finding in findings] == [
        ("settings", True),
        ("ami", False),
        ("log", True),
        ("time", True),
        ("firewall", True),
        ("database", False),
        ("mail", False),
        ("webhook", False),
        ("fleet", False),
        ("feeds", False),
        ("crowdsec", False),
    ]
    assert all(finding.text for finding in findings)
    assert "geheim" not in str(findings)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("[2026-11-22 10:07:56] NOTICE[1] chan_sip.c: x", "plain lines, believed like UDP datagrams"),
        ('{"hostname":"pbx","timestamp":"2026-11-22 10:07:56"}', "JSON lines, which nobody can forge"),
        ("", "no line yet"),
    ],
)
async def test_check_says_what_kind_of_log_it_is(line: str, said: str, tmp_path: Path) -> None:
    log = tmp_path / "full"
    log.write_text(line and line + "\n")
    settings = load(environ={"AMIGUARD_ASTERISK_LOG": str(log), "AMIGUARD_FIREWALL": "dry-run"})

    [found] = [finding async for finding in check(settings) if finding.name == "log"]

    assert found.ok
    assert said in found.text


async def test_check_ends_with_1_when_something_fails_and_says_so_in_lines_or_json(tmp_path: Path) -> None:
    env_file = tmp_path / "amiguard.env"
    with env_file.open("w") as file:
        file.write("AMIGUARD_AMI_USERNAME=amiguard\nAMIGUARD_AMI_SECRET=geheim\nAMIGUARD_AMI_PORT=1\n")
        file.write(f"AMIGUARD_FIREWALL=dry-run\nAMIGUARD_DATABASE={tmp_path}/amiguard.db\n")
    shell = Shell(tmp_path / "amiguard.sock")

    plain = await shell("check", "--asterisk-etc", str(tmp_path), "--env-file", str(env_file))
    machine = await shell("check", "--asterisk-etc", str(tmp_path), "--env-file", str(env_file), "--json")

    assert (plain.code, machine.code) == (1, 1)
    assert [line.split()[:2] for line in plain.out.splitlines()] == [
        ["ok", "settings"],
        ["FAIL", "ami"],
        ["ok", "log"],
        ["ok", "time"],
        ["ok", "firewall"],
        ["ok", "database"],
        ["ok", "mail"],
        ["ok", "webhook"],
        ["ok", "fleet"],
        ["ok", "feeds"],
        ["ok", "crowdsec"],
    ]
    assert [json.loads(line)["ok"] for line in machine.out.splitlines()] == [True, False, *[True] * 9]


async def test_check_names_a_zone_that_is_not_asterisks(tmp_path: Path) -> None:
    log = tmp_path / "full"
    log.write_text("[2026-11-22 10:07:56] NOTICE[1] chan_sip.c: x\n")
    os.utime(log, (1795338476, 1795338476))  # 2026-11-22 09:07:56 UTC
    given = {"AMIGUARD_ASTERISK_LOG": str(log), "AMIGUARD_FIREWALL": "dry-run"}

    async def found(zone: str) -> Finding:
        settings = load(environ=given | {"AMIGUARD_ASTERISK_TIMEZONE": zone})
        [found] = [finding async for finding in check(settings, tmp_path) if finding.name == "time"]
        return found

    assert (await found("Europe/Berlin")).ok
    for zone, when in (("UTC", "3600 s after"), ("Europe/Helsinki", "3600 s before")):
        wrong = await found(zone)
        assert not wrong.ok
        assert f"{log} names a time {when} its writing: set AMIGUARD_ASTERISK_TIMEZONE" in wrong.text


async def test_check_names_what_to_change_in_asterisk(tmp_path: Path) -> None:
    (tmp_path / "manager.conf").write_text("[general]\nenabled = yes\nbindaddr = 127.0.0.1\n[amiguard]\nread = call\n")
    settings = load(environ={"AMIGUARD_AMI_USERNAME": "amiguard", "AMIGUARD_AMI_SECRET": "x", "AMIGUARD_AMI_PORT": "1"})

    found = [finding async for finding in check(settings, tmp_path) if finding.name == "asterisk"]

    assert found[0] == Finding(
        "asterisk",
        ok=False,
        text=f"{tmp_path}/manager.conf:5: amiguard gets no security events: read = security",
    )
