"""How the daemon ends when a part of it breaks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from amiguard import daemon
from amiguard.guard import Guard
from amiguard.settings import load


async def broken(_: Guard) -> None:
    raise ValueError("a part broke")


def test_a_part_that_breaks_ends_the_daemon_and_the_log_names_the_cause(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "messages"
    log.touch()
    for name, value in {
        "ASTERISK_LOG": log,
        "FIREWALL": "dry-run",
        "LOG_FORMAT": "ecs",
        "DATABASE": tmp_path / "amiguard.db",
        "CONTROL_SOCKET": tmp_path / "amiguard.sock",
    }.items():
        monkeypatch.setenv(f"AMIGUARD_{name}", str(value))
    monkeypatch.setattr(Guard, "_tick", broken)

    assert daemon.run(load(None)) == 1
    lines = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    told = [line["error.message"] for line in lines if line["event.action"] == "internal-error"]
    assert told == ["a part broke"]
    assert lines[-2]["event.action"] == "stop"
