"""What the daemon's process holds once it runs, and how its settings come to it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from amiguard.errors import SettingsError
from amiguard.settings import load
from amiguard.settings.apart import load_apart
from amiguard.settings.hosts import Endpoint

ROOT = Path(__file__).parents[2]
CANARY = "canary-4711-of-the-manager"
UNUSED = ("pydantic", "typer", "aiohttp", "rich", "jinja2", "prometheus_client", "dns", "redis")

STARTED = """
import sys
sys.argv[1:] = ["run"]
from amiguard import cli, daemon
daemon.run = lambda settings, env_file: print(*sys.modules)
cli.main()
"""


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "amiguard_ami_secret").write_text(CANARY)
    monkeypatch.setenv("AMIGUARD_SECRETS_DIR", str(tmp_path))
    monkeypatch.setenv("AMIGUARD_AMI_USERNAME", "amiguard")


def held() -> set[str]:
    """What is imported when the settings are there, and nothing was made of them yet."""
    run = subprocess.run([sys.executable, "-c", STARTED], check=True, cwd=ROOT, capture_output=True, text=True)
    return set(run.stdout.split())


def test_the_daemon_holds_no_library_that_only_checks_settings_or_that_nobody_asked_for() -> None:
    assert held() & set(UNUSED) == set()


def test_nftables_is_imported_while_the_settings_are_checked_unless_another_firewall_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert "amiguard.firewalls.nftables" in held()

    monkeypatch.setenv("AMIGUARD_FIREWALL", "dry-run")
    assert "amiguard.firewalls.nftables" not in held()


def test_settings_that_are_checked_apart_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AMIGUARD_HTTP_LISTEN", "[::1]:9180")
    monkeypatch.setenv("AMIGUARD_IGNOREIP", "192.0.2.1 office.example.org")
    monkeypatch.setenv("AMIGUARD_FIREWALL_PORTS", "udp:5060")
    here, apart_ = load(), load_apart()

    for name, value in here.plain().items():
        assert getattr(apart_, name) == value
    assert apart_.http_listen == Endpoint("::1", 9180)
    assert apart_.ami_secret.get_secret_value() == CANARY
    assert apart_.ignored_names == ("office.example.org",)


def test_they_are_frozen_and_show_no_secret() -> None:
    settings = load_apart()

    with pytest.raises(AttributeError, match="frozen"):
        settings.maxretry = 1
    assert CANARY not in f"{settings!r} {settings.ami_secret!r} {settings.ami_secret}"


def test_each_mistake_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AMIGUARD_MAXRETRY", "many")
    monkeypatch.setenv("AMIGUARD_BANTIM", "1d")

    with pytest.raises(SettingsError) as error:
        load_apart()
    assert [problem.split()[0].rstrip(":") for problem in error.value.problems] == [
        "AMIGUARD_BANTIM",
        "AMIGUARD_MAXRETRY",
    ]


def test_a_dotenv_file_is_read_there(tmp_path: Path) -> None:
    (tmp_path / "env").write_text("AMIGUARD_MAXRETRY=7\n")

    assert load_apart(tmp_path / "env").maxretry == 7


def test_what_takes_too_long_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = tmp_path / "slow"
    slow.write_text("#!/bin/sh\nkill -ALRM $$\n")
    slow.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(slow))

    with pytest.raises(SettingsError, match="within"):
        load_apart()


def test_a_process_that_dies_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")

    with pytest.raises(SettingsError, match="exit status 1"):
        load_apart()


def test_a_process_that_cant_be_started_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", os.devnull)

    with pytest.raises(SettingsError, match="Permission denied"):
        load_apart()


def test_an_amiguard_that_was_upgraded_meanwhile_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    newer = tmp_path / "amiguard" / "settings"
    newer.mkdir(parents=True)
    for folder in (newer, newer.parent):
        (folder / "__init__.py").touch()
    (newer / "__main__.py").write_text('import sys\nsys.stdout.buffer.write(b"camiguard.settings.moved\\nThing\\n.")\n')
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    with pytest.raises(SettingsError, match="upgraded"):
        load_apart()
