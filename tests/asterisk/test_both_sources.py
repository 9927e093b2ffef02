"""AMI and the log together, at real Asterisks: every attempt counts once, and nobody is blamed for another."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path

import pytest

from tests.lab import iax
from tests.lab.asterisk import SERVER4, VICTIM, Asterisk
from tests.lab.daemon import Daemon, Site
from tests.lab.mixture import LIES, LINE, liar, lie, mix, sip
from tests.lab.sip import Phone
from tests.lab.waiting import until

pytestmark = pytest.mark.asterisk

BOTH = {"AMI_USERNAME": "secmon", "AMI_SECRET": "secmon-secret"}
BARRIERS = iter(range(1, 250))


@pytest.fixture(params=["asterisk22", "asterisk16"])
def asterisk(request: pytest.FixtureRequest) -> Asterisk:
    found: Asterisk = request.getfixturevalue(request.param)
    return found


@asynccontextmanager
async def guarded(asterisk: Asterisk, folder: Path, log: Path, settings: dict[str, str]) -> AsyncIterator[Daemon]:
    site = Site(asterisk.server, folder, {"ASTERISK_LOG": str(log), **settings})
    daemon = site.start()
    try:
        await daemon.told("log-opened")
        if "AMI_USERNAME" in settings:
            await daemon.told("ami-connected")
        yield daemon
        assert await daemon.stop() == 0
        assert daemon.errors == ""
    finally:
        asterisk.server.run(["nft", "flush", "ruleset"])


def failures(daemon: Daemon) -> Counter[str]:
    return Counter(line["source.ip"] for line in daemon.lines("failure", "injection"))


def has_told(daemon: Daemon, made: Counter[str]) -> bool:
    return made <= failures(daemon)


async def a_second_later() -> None:
    """Let a new second begin: amiguard writes at most 500 failures in each."""
    now = time.time()
    await until(lambda: time.time() // 1 > now // 1, what="the next second")


async def all_told(asterisk: Asterisk, daemon: Daemon) -> None:
    """Wait until both witnesses have told of everything so far: each tells of something that only it can know."""
    address = f"10.99.152.{next(BARRIERS)}"
    await sip(asterisk, address, user="%0d%0aX%3a%20y")
    await until(lambda: any(line["source.ip"] == address for line in daemon.lines("injection")), 20, "AMI's last word")
    address = f"10.99.153.{next(BARRIERS)}"
    await iax.register(asterisk.attackers, address, SERVER4, b"last")
    await until(lambda: failures(daemon)[address] == 1, 20, "the log's last word")


@pytest.mark.parametrize("log", ["plain", "json"])
async def test_a_thousand_mixed_attempts_count_once_each(asterisk: Asterisk, tmp_path: Path, log: str) -> None:
    path = asterisk.full_log if log == "plain" else asterisk.json_log
    lies = {liar(number): one for number, one in enumerate(LIES) if log == "json" or not one.forges_plain}
    async with guarded(asterisk, tmp_path, path, BOTH | {"MAXRETRY": "1000"}) as daemon:
        made = Counter[str]()
        async for part in mix(asterisk):
            made += part
            await until(partial(has_told, daemon, made), 20, f"{made}")
            await a_second_later()
        await lie(asterisk, lies)
        await all_told(asterisk, daemon)
        counted = failures(daemon)

        assert made.total() + len(lies) >= 1000
        assert {source: counted[source] for source in made} == dict(made)
        unseen = {source for source, one in lies.items() if log == "json" and one.hidden_from_json}
        assert {source for source in lies if not counted[source]} <= unseen
        assert VICTIM not in counted
        assert daemon.lines("overload") == []


async def guesses(asterisk: Asterisk, source: str, times: int, transport: str = "udp", via: str = "") -> None:
    """Try so many wrong passwords; who is banned meanwhile gets no answer."""
    with suppress(TimeoutError, OSError, EOFError):
        async with asterisk.connect(source, transport) as connection:
            for _ in range(times):
                async with asyncio.timeout(0.5):
                    await Phone(connection, "6001", "wrong", via=via).register()


@pytest.mark.parametrize("log", ["plain", "json"])
async def test_a_log_alone_bans_whom_ami_bans(asterisk: Asterisk, tmp_path: Path, log: str) -> None:
    path = asterisk.full_log if log == "plain" else asterisk.json_log
    ways = {"10.99.154.1": "udp", "10.99.154.2": "tcp", "10.99.154.3": "tls", "10.99.154.4": "ws", "fd99:1::54": "udp"}
    async with guarded(asterisk, tmp_path, path, {}) as daemon:
        for source, transport in ways.items():
            await guesses(asterisk, source, 5, transport)
        for _ in range(5):
            await iax.register(asterisk.attackers, "10.99.154.6", SERVER4, b"6101")
        bans = await daemon.told("ban", len(ways) + 1)
        await guesses(asterisk, "10.99.154.7", 4)
        await until(lambda: failures(daemon)["10.99.154.7"] == 4, what="four failures")

        assert {line["source.ip"] for line in daemon.lines("ban")} == {*ways, "10.99.154.6"}
        assert {line["amiguard.failures"] for line in bans} == {5}


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_chan_sip_bans_the_true_sender_whom_the_via_header_hides(
    asterisk16: Asterisk, tmp_path: Path, transport: str
) -> None:
    source = "10.99.155.1"
    async with guarded(asterisk16, tmp_path, asterisk16.full_log, BOTH) as daemon:
        await guesses(asterisk16, source, 6, transport, f";maddr={VICTIM}")
        await daemon.told("ban")
        await all_told(asterisk16, daemon)

        assert source in daemon.banned()
        assert VICTIM not in failures(daemon)


@pytest.mark.parametrize("log", ["plain", "json"])
async def test_a_line_in_a_dumped_packet_is_a_datagram_s_word_at_most(
    asterisk22: Asterisk, tmp_path: Path, log: str
) -> None:
    path = asterisk22.full_log if log == "plain" else asterisk22.json_log
    body = f"\n{LINE}\n"
    head = (
        "OPTIONS sip:10.99.0.1 SIP/2.0", "Via: SIP/2.0/UDP 10.99.155.2;branch=z9hG4bKd1;rport",
        "From: <sip:x@10.99.0.1>;tag=1", "To: <sip:x@10.99.0.1>", "Call-ID: dump", f"Content-Length: {len(body)}",
    )  # fmt: skip
    async with guarded(asterisk22, tmp_path, path, BOTH) as daemon:
        async with asterisk22.connect("10.99.155.2") as connection:
            await connection.send("\r\n".join([*head, "", body]).encode())
        await until(lambda: LINE.encode() in asterisk22.full_log.read_bytes(), what="the dumped packet")
        await all_told(asterisk22, daemon)
        told = [line["amiguard.evidence"] for line in daemon.lines("failure") if line["source.ip"] == VICTIM]

        assert told == (["datagram"] if log == "plain" else [])
