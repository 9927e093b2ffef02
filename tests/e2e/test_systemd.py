"""Installed on a Debian 12 as docs/install.md says, and run by the real systemd in the sandbox of our unit."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.lab.daemon import elements
from tests.lab.documents import ROOT, blocks
from tests.lab.fakeami import FakeAmi, Script
from tests.lab.guessing import attempts
from tests.lab.machine import Machine, booted
from tests.lab.waiting import until
from tests.lab.wheels import wheelhouse

pytestmark = [pytest.mark.netns, pytest.mark.timeout(300)]

ATTACKER = "198.18.0.7"
INSTALL, SERVICE, MANAGER, START = range(4)
"""The blocks of the section: what each is about."""

GENERAL = "[general]\nenabled = yes\nbindaddr = 127.0.0.1\n"
OPERATIONS = ROOT / "docs/operations.md"
EXPOSURE = 20
"""Tenths; systemd's own scale goes from 0 to 10."""


@pytest.fixture(scope="module")
def machine(debian12_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A machine on which amiguard was installed and never started."""
    with booted(debian12_root, tmp_path_factory.mktemp("machine"), wheelhouse(), ROOT) as machine:
        commands = blocks("docs/install.md", "Debian and Ubuntu")
        for name in ("apt-get", "asterisk"):  # the packages are there; Asterisk's part is played by another server
            machine.sh(f"printf '#!/bin/sh\\necho {name} \"$@\" >> /tmp/called\\n' > /usr/local/bin/{name}")
            machine.sh(f"chmod +x /usr/local/bin/{name}")
        machine.sh("mkdir /etc/asterisk")
        (machine.root / "etc/asterisk/manager.conf").write_text(GENERAL)
        machine.sh(commands[INSTALL], PIP_NO_INDEX="1", PIP_FIND_LINKS="/wheels")
        machine.sh(commands[SERVICE])
        machine.sh(commands[MANAGER])
        yield machine


def secret_of(machine: Machine) -> str:
    """Return the secret that the manager user got."""
    manager = (machine.root / "etc/asterisk/manager.conf").read_text()
    [secret] = re.findall(r"^secret = (\w{48})$", manager, re.MULTILINE)
    return str(secret)


@asynccontextmanager
async def asterisk(machine: Machine) -> AsyncIterator[FakeAmi]:
    """Listen where the machine's Asterisk does."""
    server = FakeAmi(Script(secret=secret_of(machine)), port=5038)
    with machine.namespace.entered():
        await server.__aenter__()
    try:
        yield server
    finally:
        await server.__aexit__(None, None, None)


async def sh(machine: Machine, script: str) -> str:
    """Run a script while the loop goes on."""
    return await asyncio.to_thread(machine.sh, script)


async def show(machine: Machine, *names: str) -> list[str]:
    shown = await sh(machine, f"systemctl show amiguard {' '.join(f'-p {name}' for name in names)}")
    found = dict(line.split("=", 1) for line in shown.splitlines())
    return [found[name] for name in names]


def test_systemd_finds_no_fault_in_the_unit_and_little_exposure(machine: Machine) -> None:
    unit = "/etc/systemd/system/amiguard.service"

    assert machine.sh(f"systemd-analyze verify {unit} 2>&1") == ""
    machine.sh(f"systemd-analyze security --offline=true --threshold={EXPOSURE} {unit}")


def test_the_man_page_is_where_man_looks(machine: Machine) -> None:
    assert ".TH AMIGUARD 1" in machine.sh("cat /usr/local/share/man/man1/amiguard.1")


async def test_the_service_protects_in_its_sandbox_reloads_and_comes_back(machine: Machine) -> None:
    async with asterisk(machine) as server:
        await sh(machine, blocks("docs/install.md", "Debian and Ubuntu")[START])
        assert (await sh(machine, "systemctl is-enabled amiguard")).strip() == "enabled"
        [pid] = await show(machine, "MainPID")
        told = await sh(machine, f"grep -E '^(Uid|CapEff|NoNewPrivs|Seccomp):' /proc/{pid}/status; id -Gn amiguard")
        assert re.search(rf"CapEff:\t{1 << 12:016x}\nNoNewPrivs:\t1\nSeccomp:\t2\namiguard asterisk\n", told)

        async def failures() -> int:
            status = json.loads(await sh(machine, "amiguard status --json"))
            return int(status["totals"]["failures"])

        async def guess(times: int) -> None:
            wanted = await failures() + times
            await server.play(b"".join(attempts([ATTACKER], times)))
            await until(lambda: _reached(failures, wanted), 20, "the failures")

        await guess(2)
        await sh(machine, "sed -i '$a AMIGUARD_MAXRETRY=3' /etc/amiguard/amiguard.env; systemctl reload amiguard")
        await until(lambda: _says(machine, "settings-reloaded"), 20, "the reload")
        assert elements(machine.namespace, "unproven4") == {}
        await guess(1)
        await until(lambda: [*elements(machine.namespace, "unproven4")] == [ATTACKER], what="the ban in the kernel")
        [shown] = re.findall(r"^\*\*journald\.\*\* `(journalctl .*?) \| jq", OPERATIONS.read_text(), re.MULTILINE)
        lines = [line for line in (await sh(machine, shown)).splitlines() if line.startswith("{")]
        assert [told["source.ip"] for told in map(json.loads, lines) if told["event.action"] == "ban"] == [ATTACKER]
        [_, lifting] = blocks("README.md")
        assert "is no longer banned" in await sh(machine, lifting.replace("192.0.2.7", ATTACKER))
        await guess(3)
        await until(lambda: [*elements(machine.namespace, "unproven4")] == [ATTACKER], what="the next ban")

        watched = "AMIGUARD_FIREWALL_OWNER=false\\nAMIGUARD_FIREWALL_COUNTERS=true"
        await sh(machine, f"sed -i '$a {watched}' /etc/amiguard/amiguard.env; systemctl reload amiguard")
        await until(lambda: _says(machine, "AMIGUARD_FIREWALL_OWNER"), 20, "the reload")
        machine.namespace.run(["nft", "flush", "ruleset"])
        await until(lambda: _says(machine, "firewall-healed"), 20, "the repair")
        assert [*elements(machine.namespace, "unproven4")] == [ATTACKER]

        await sh(machine, "systemctl kill --signal=KILL amiguard")
        await until(lambda: _restarted(machine, pid), 20, "the next life")
        assert json.loads(await sh(machine, "amiguard status --json"))["bans"]["active"] == 1
        await sh(machine, "systemctl stop amiguard")
        assert await show(machine, "Result", "ExecMainStatus") == ["success", "0"]
        assert [*elements(machine.namespace, "unproven4")] == [ATTACKER]


async def test_the_log_is_followed_beside_ami_as_the_document_says(machine: Machine) -> None:
    async with asterisk(machine):
        await sh(
            machine,
            "install -d -m2750 -g asterisk /var/log/asterisk; cp deploy/asterisk/logger.conf /etc/asterisk/\n"
            "date '+[%F %T.000%z] NOTICE[1] loader.c: ready' > /var/log/asterisk/full\n"
            """date '+{"hostname":"pbx","timestamp":"%F %T.000%z"}' > /var/log/asterisk/amiguard.json\n"""
            "systemctl start amiguard",
        )

        [commands] = blocks("docs/install.md", "Asterisk's log, beside AMI")
        checked = await sh(machine, commands)

        assert "FAIL" not in checked
        assert "amiguard.json: readable" in checked
        await until(lambda: _says(machine, "/var/log/asterisk/full is read from"), 20, "the log")
        assert "AMIGUARD_ASTERISK_LOG" in await sh(
            machine, "journalctl -u amiguard -o cat | grep settings-reloaded | tail -1"
        )
        await sh(machine, "systemctl stop amiguard")


async def test_a_secret_may_come_as_a_credential_of_systemd(machine: Machine) -> None:
    async with asterisk(machine):
        await sh(
            machine,
            "grep -v AMI_SECRET /etc/amiguard/amiguard.env > /tmp/env; cat /tmp/env > /etc/amiguard/amiguard.env\n"
            f"umask 077; echo {secret_of(machine)} > /etc/amiguard/secrets/ami_secret\n"
            "systemctl restart amiguard",
        )

        await until(lambda: _is_ready(machine), 20, "a login")
        await sh(machine, "systemctl stop amiguard")


async def _reached(failures: object, wanted: int) -> bool:
    assert callable(failures)
    return bool(await failures() >= wanted)


async def _says(machine: Machine, action: str) -> bool:
    return action in await sh(machine, "journalctl -u amiguard -o cat")


async def _restarted(machine: Machine, before: str) -> bool:
    state, pid, count = await show(machine, "ActiveState", "MainPID", "NRestarts")
    return state == "active" and pid != before and count == "1"


async def _is_ready(machine: Machine) -> bool:
    return bool(json.loads(await asyncio.to_thread(machine.sh, "amiguard status --json || true")).get("ready"))
