"""Tried as a new user would: a bare Debian 12, a real Asterisk under a real attack, and nothing but the documents."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.asterisk import Asterisk
from tests.lab.daemon import ROOT, elements
from tests.lab.documents import blocks
from tests.lab.guarding import guess
from tests.lab.machine import Machine, booted
from tests.lab.waiting import until
from tests.lab.wheels import wheelhouse

pytestmark = [pytest.mark.asterisk, pytest.mark.timeout(400)]

ATTACKER, BYSTANDER = "10.99.150.1", "10.99.150.2"
FIVE_MINUTES = 300.0


@pytest.fixture
def debian(asterisk22: Asterisk, debian12_root: Path, tmp_path: Path) -> Iterator[Machine]:
    """A bare Debian 12 in the network of Asterisk, and in its `/etc/asterisk` what that Asterisk reads."""
    with booted(debian12_root, tmp_path, wheelhouse(), ROOT, asterisk22.server) as machine:
        for name in ("apt-get", "asterisk"):  # the packages are there, and Asterisk's files are another chroot's
            machine.sh(f"printf '#!/bin/sh\\necho {name} \"$@\" >> /tmp/called\\n' > /usr/local/bin/{name}")
            machine.sh(f"chmod +x /usr/local/bin/{name}")
        machine.sh("mkdir /etc/asterisk")
        yield machine
        asterisk22.server.run(["nft", "flush", "ruleset"])


async def test_the_first_attacker_of_a_real_asterisk_is_banned_within_five_minutes_by_the_documents_alone(
    asterisk22: Asterisk, debian: Machine
) -> None:
    lab = asterisk22.full_log.parents[1] / "etc/manager.conf"
    before = lab.read_text()
    (debian.root / "etc/asterisk/manager.conf").write_text(before)
    install, service, manager, start = blocks("docs/install.md", "Debian and Ubuntu")

    began = time.monotonic()
    await asyncio.to_thread(debian.sh, install, PIP_NO_INDEX="1", PIP_FIND_LINKS="/wheels")
    await asyncio.to_thread(debian.sh, f"{service}\n{manager}")
    try:
        lab.write_text((debian.root / "etc/asterisk/manager.conf").read_text())
        assert debian.sh("cat /tmp/called").splitlines()[-1] == "asterisk -rx manager reload"
        asterisk22.cli("manager reload")
        told = await asyncio.to_thread(debian.sh, start)
        assert "FAIL" not in told
        await guess(asterisk22, ATTACKER, 5)
        await until(lambda: ATTACKER in elements(asterisk22.server, "unproven4"), what="the ban in the kernel")
        took = time.monotonic() - began
        print(f"from nothing to the first ban: {took:.1f} s")
        assert took < FIVE_MINUTES

        with pytest.raises(TimeoutError):
            await guess(asterisk22, ATTACKER, 1)
        await guess(asterisk22, BYSTANDER, 1)
        assert ATTACKER in await asyncio.to_thread(debian.sh, blocks("README.md")[1].replace("192.0.2.7", ATTACKER))
        assert ATTACKER not in elements(asterisk22.server, "unproven4")
    finally:
        await asyncio.to_thread(debian.sh, "systemctl stop amiguard", check=False)
        lab.write_text(before)
        asterisk22.cli("manager reload")
