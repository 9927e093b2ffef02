"""How the daemon ends when a part of it breaks."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Sequence
from pathlib import Path

import pytest

from amiguard import daemon
from amiguard.guard import Guard
from amiguard.ports import Position
from amiguard.settings import Settings, load


async def broken(_: Guard) -> None:
    raise ValueError("a part broke")


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
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
    return load(None)


def test_a_part_that_breaks_ends_the_daemon_and_the_log_names_the_cause(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Guard, "_tick", broken)

    assert daemon.run(settings) == 1
    lines = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    told = [line["error.message"] for line in lines if line["event.action"] == "internal-error"]
    assert told == ["a part broke"]
    assert lines[-2]["event.action"] == "stop"


def test_a_hangup_while_the_daemon_starts_is_a_reload_once_it_has_started(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    start = Guard.start

    async def hung_up(guard: Guard) -> Sequence[Position]:
        os.kill(os.getpid(), signal.SIGHUP)
        return await start(guard)

    def stop_when_ready_again(state: str) -> None:
        told.append(state)
        if told.count("READY=1") > 1:
            os.kill(os.getpid(), signal.SIGTERM)

    told: list[str] = []
    monkeypatch.setattr(Guard, "start", hung_up)
    monkeypatch.setattr(daemon, "notify", stop_when_ready_again)

    assert daemon.run(settings) == 0
    assert '"settings-reloaded"' in capfd.readouterr().out
