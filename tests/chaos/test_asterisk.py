"""A real Asterisk 22 that restarts, and whose manager port strangers keep busy."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.lab.ami import PORT
from tests.lab.asterisk import SERVER4, Asterisk, running
from tests.lab.daemon import Daemon, Site
from tests.lab.guarding import BOTH, guarded, guesses
from tests.lab.transports import bound
from tests.lab.waiting import until

pytestmark = pytest.mark.asterisk

FIRST, SECOND = "10.99.160.1", "10.99.160.2"
STRANGER = "10.99.160.9"
IDLERS = 51
"""One more than `authlimit` lets wait for their login (manager.c, default 50)."""

LOGIN_TIMEOUT = 30
"""Seconds that Asterisk gives them (manager.c, `authtimeout`)."""


def dropped(asterisk: Asterisk, daemon: Daemon) -> set[str]:
    """Return whom the kernel drops."""
    return set(Site(asterisk.server, daemon.log.parent, {}).kernel())


async def banned(asterisk: Asterisk, daemon: Daemon, address: str) -> None:
    await guesses(asterisk, address, 5)
    await until(lambda: address in dropped(asterisk, daemon), 20, f"{address} is dropped")


async def test_a_restart_of_asterisk_lets_nobody_in_and_is_over_when_it_is_back(
    asterisk22_root: Path, tmp_path: Path
) -> None:
    with running(asterisk22_root, "pjsip", tmp_path / "asterisk") as asterisk:
        async with guarded(asterisk, tmp_path, [asterisk.full_log], BOTH) as daemon:
            await banned(asterisk, daemon, FIRST)

            asterisk.cli("core restart now")

            await daemon.told("ami-lost")
            assert FIRST in dropped(asterisk, daemon)
            await daemon.told("ami-connected", 2, timeout=60)
            await banned(asterisk, daemon, SECOND)
            assert {FIRST, SECOND} <= dropped(asterisk, daemon)
            assert daemon.lines("internal-error") == []

            lost = len(daemon.lines("ami-lost"))
            asterisk.cli("core restart now")
            await daemon.told("ami-lost", lost + 1)
            assert await daemon.stop() == 0
            assert {FIRST, SECOND} <= dropped(asterisk, daemon)


@contextmanager
def idlers(asterisk: Asterisk) -> Iterator[None]:
    """Keep so many connections to the manager port without ever logging in."""
    with ExitStack() as stack:
        for _ in range(IDLERS):
            opened = stack.enter_context(bound(asterisk.attackers, STRANGER, socket.SOCK_STREAM))
            opened.settimeout(5)
            opened.connect((SERVER4, PORT))
        yield


async def test_idle_connections_at_the_manager_port_cost_no_ban_and_keep_a_new_daemon_out_only_while_they_last(
    asterisk22: Asterisk, tmp_path: Path
) -> None:
    async with guarded(asterisk22, tmp_path, [asterisk22.full_log], BOTH) as daemon:
        with idlers(asterisk22):
            await banned(asterisk22, daemon, FIRST)
            assert daemon.lines("ami-lost") == []

            other = Site(asterisk22.server, tmp_path / "other", BOTH | {"FIREWALL_TABLE": "other"})
            other.folder.mkdir()
            late = other.start()
            await late.told("ami-lost")
            assert late.lines("ami-connected") == []
            assert await late.stop() == 0
            late = other.start()
            await late.told("ami-lost")
        await late.told("ami-connected", timeout=LOGIN_TIMEOUT + 30)
        await banned(asterisk22, daemon, SECOND)
        await late.told("ban")
        assert await late.stop() == 0
