"""Attackers that others wrote, as they come: sipvicious and SIPp. `pytest -s` prints rows of docs/performance.md."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.lab.asterisk import SERVER4, Asterisk, running
from tests.lab.guarding import BOTH, guarded
from tests.lab.netns import NetworkNamespace
from tests.lab.waiting import until

pytestmark = pytest.mark.asterisk

BIN = Path(sys.executable).parent


class Attacker(NamedTuple):
    name: str
    source: str
    command: Sequence[str | Path]


ATTACKERS = [
    Attacker("svcrack", "10.99.157.1", [BIN / "sipvicious_svcrack", "-u", "6001", "-r", "1-9999", SERVER4]),
    Attacker("svwar", "10.99.157.2", [BIN / "sipvicious_svwar", "-e", "100-9999", SERVER4]),
    Attacker("sipp uac", "10.99.157.3", ["sipp", "-sn", "uac", "-m", "1000", SERVER4]),
]
TELLS_WHO_EXISTS = "[general](+)\nalwaysauthreject = no\n"
"""What svwar needs: it gives up where unknown accounts are challenged like the others, as PJSIP does."""
COUNTERS = """
table inet probe {
    counter sent { }
    counter passed { }
    chain early { type filter hook prerouting priority -400; ip saddr %s counter name sent; }
    chain late { type filter hook input priority 0; ip saddr %s counter name passed; }
}
"""


@asynccontextmanager
async def counted(server: NetworkNamespace, source: str) -> AsyncIterator[None]:
    """Count the packets of a source before and behind the bans."""
    server.run(["nft", "-f", "-"], stdin=COUNTERS % (source, source))
    yield
    server.run(["nft", "delete", "table", "inet", "probe"])


def packets(server: NetworkNamespace, counter: str) -> int:
    words = server.run(["nft", "list", "counter", "inet", "probe", counter]).stdout.split()
    return int(words[words.index("packets") + 1])


def start(asterisk: Asterisk, attacker: Attacker, folder: Path) -> subprocess.Popen[bytes]:
    """Start an attacker, who takes the address that the kernel prefers."""
    route = ["ip", "route", "replace", "10.99.0.0/17", "dev", "veth0", "src", attacker.source]
    asterisk.attackers.run(route)
    environment = {"HOME": str(folder), "PATH": "/usr/bin:/bin", "TERM": "dumb"}
    with (folder / "attacker").open("wb") as output:
        return asterisk.attackers.popen(attacker.command, stdout=output, stderr=output, env=environment, cwd=folder)


@pytest.fixture(scope="module")
def talkative(asterisk16_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asterisk]:
    also = {"sip.conf": TELLS_WHO_EXISTS}
    with running(asterisk16_root, "sip", tmp_path_factory.mktemp("talkative"), also) as made:
        yield made


@pytest.mark.parametrize("attacker", ATTACKERS, ids=lambda attacker: attacker.name)
async def test_an_attacker_that_others_wrote_is_banned(
    request: pytest.FixtureRequest, tmp_path: Path, attacker: Attacker
) -> None:
    asterisk: Asterisk = request.getfixturevalue("talkative" if attacker.name == "svwar" else "asterisk22")
    server, source = asterisk.server, attacker.source
    async with guarded(asterisk, tmp_path, [asterisk.json_log], BOTH) as daemon, counted(server, source):
        process = start(asterisk, attacker, tmp_path)
        (ban,) = await daemon.told("ban")
        assert ban["source.ip"] == source
        until_ban = packets(server, "passed")
        sent = packets(server, "sent")
        await until(lambda: packets(server, "sent") > sent, 30, "a packet of the banned one")
        process.kill()
        process.wait()

        first = next(line for line in daemon.lines("failure") if line["source.ip"] == source)
        begin, end = (datetime.fromisoformat(line["@timestamp"]) for line in (first, ban))
        passed, late = packets(server, "passed"), packets(server, "passed") - until_ban
        print(f"\n| {attacker.name} | {(end - begin).total_seconds():.2f} s | {passed} | {late} |")
        assert late <= 1
