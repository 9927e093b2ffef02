"""The configuration that deploy/asterisk offers, in a real Asterisk: it is taken, amiguard hears, `check` agrees."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from amiguard.check import Finding, check
from amiguard.settings import load
from tests.lab.asterisk import Asterisk
from tests.lab.waiting import wait_until

pytestmark = pytest.mark.asterisk

DEPLOY = Path(__file__).parents[2] / "deploy/asterisk"
SECRET = "b1c2d3e4"
BOTH = pytest.mark.parametrize("name", ["asterisk22", "asterisk16"])


@contextmanager
def configured(asterisk: Asterisk, **files: str) -> Iterator[Path]:
    """Give Asterisk other configuration files until the end of the block; yields their folder."""
    etc = asterisk.full_log.parents[1] / "etc"
    before = {name: (etc / f"{name}.conf").read_text() for name in files}
    try:
        for name, text in files.items():
            (etc / f"{name}.conf").write_text(text)
            asterisk.cli(f"{name} reload")
        yield etc
    finally:
        for name, text in before.items():
            (etc / f"{name}.conf").write_text(text)
            asterisk.cli(f"{name} reload")


async def checked(asterisk: Asterisk, etc: Path, **settings: str) -> dict[str, list[Finding]]:
    """Return what `amiguard check` finds, run where Asterisk runs."""
    own = {"AMI_USERNAME": "amiguard", "AMI_SECRET": SECRET, "FIREWALL": "dry-run", "DATABASE": str(etc / "db")}
    loaded = load(environ={f"AMIGUARD_{name}": value for name, value in (own | settings).items()})
    found: dict[str, list[Finding]] = {}
    with asterisk.server.entered():
        async for finding in check(loaded, etc):
            found.setdefault(finding.name, []).append(finding)
    return found


@BOTH
async def test_the_snippets_make_asterisk_tell_everything(name: str, request: pytest.FixtureRequest) -> None:
    asterisk: Asterisk = request.getfixturevalue(name)
    snippet = (DEPLOY / "manager.conf").read_text().replace("CHANGE-ME", SECRET)
    general = "[general]\nenabled = yes\nbindaddr = 127.0.0.1\n"

    with configured(asterisk, manager=general + snippet, logger=(DEPLOY / "logger.conf").read_text()) as etc:
        logs = (asterisk.json_log, asterisk.full_log)
        wait_until(lambda: all(log.read_bytes().count(b"\n") > 1 for log in logs), what="lines in both logs")
        found = await checked(asterisk, etc, ASTERISK_LOG=" ".join(map(str, logs)))
        shown = asterisk.cli("manager show user amiguard")

    assert [finding for one in found.values() for finding in one if not finding.ok] == []
    assert "asterisk" not in found
    assert "'amiguard' gets security events" in found["ami"][0].text
    assert "JSON lines, which nobody can forge" in found["log"][0].text
    assert "security" in shown


@BOTH
async def test_amiguard_on_another_host_speaks_tls_with_it(name: str, request: pytest.FixtureRequest) -> None:
    asterisk: Asterisk = request.getfixturevalue(name)
    snippet = (DEPLOY / "manager-tls.conf").read_text().replace("CHANGE-ME", SECRET)
    for there, here in (
        ("192.0.2.10/", "10.99.0.1/"),
        ("/etc/asterisk/keys/asterisk.pem", "/lab/keys/server.pem"),
        ("/etc/asterisk/keys/asterisk.key", "/lab/keys/server.key"),
    ):
        assert there in snippet
        snippet = snippet.replace(there, here)

    with configured(asterisk, manager=snippet) as etc:
        tls = {"AMI_TLS": "true", "AMI_HOST": "10.99.0.1", "AMI_PORT": "5039", "AMI_TLS_CA": str(asterisk.ca)}
        found = await checked(asterisk, etc, **tls)

    assert found["ami"][0].ok, found["ami"][0].text
    assert "asterisk" not in found


async def test_what_is_missing_is_named_by_line_and_shows_in_the_login_too(asterisk22: Asterisk) -> None:
    snippet = (DEPLOY / "manager.conf").read_text().replace("CHANGE-ME", SECRET)
    careless = "[general]\nenabled = yes\nbindaddr = 0.0.0.0\n" + snippet.replace("read = security", "read = call")

    with configured(asterisk22, manager=careless) as etc:
        found = await checked(asterisk22, etc)

    assert not found["ami"][0].ok
    advice = {finding.text.partition(": ")[0].rpartition("/")[2]: finding.ok for finding in found["asterisk"]}
    assert advice == {"manager.conf:3": True, "manager.conf:13": False}
