"""AMI and the log together, at real Asterisks: every attempt counts once, and nobody is blamed for another."""

from __future__ import annotations

from collections import Counter
from functools import partial
from pathlib import Path

import pytest

from tests.lab import iax
from tests.lab.asterisk import SERVER4, VICTIM, Asterisk
from tests.lab.guarding import BOTH, a_second_later, all_told, failures, guarded, guesses, has_told
from tests.lab.mixture import LIES, LINE, liar, lie, mix
from tests.lab.waiting import until

pytestmark = pytest.mark.asterisk


@pytest.fixture(params=["asterisk22", "asterisk16"])
def asterisk(request: pytest.FixtureRequest) -> Asterisk:
    found: Asterisk = request.getfixturevalue(request.param)
    return found


def logs_of(asterisk: Asterisk, kind: str) -> tuple[Path, ...]:
    return {
        "plain": (asterisk.full_log,),
        "json": (asterisk.json_log,),
        "both": (asterisk.json_log, asterisk.full_log),
    }[kind]


@pytest.mark.parametrize("log", ["plain", "json", "both"])
async def test_a_thousand_mixed_attempts_count_once_each(asterisk: Asterisk, tmp_path: Path, log: str) -> None:
    lies = {liar(number): one for number, one in enumerate(LIES) if log == "json" or not one.forges_plain}
    async with guarded(asterisk, tmp_path, logs_of(asterisk, log), BOTH | {"MAXRETRY": "1000"}) as daemon:
        made = Counter[str]()
        async for part in mix(asterisk):
            made += part
            await until(partial(has_told, daemon, made), 20, f"{made}")
            if len(made) % 4 == 0:
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


@pytest.mark.parametrize("log", ["plain", "json"])
async def test_a_log_alone_bans_whom_ami_bans(asterisk: Asterisk, tmp_path: Path, log: str) -> None:
    ways = {"10.99.154.1": "udp", "10.99.154.2": "tcp", "10.99.154.3": "tls", "10.99.154.4": "ws", "fd99:1::54": "udp"}
    async with guarded(asterisk, tmp_path, logs_of(asterisk, log), {}) as daemon:
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
    async with guarded(asterisk16, tmp_path, logs_of(asterisk16, "plain"), BOTH) as daemon:
        await guesses(asterisk16, source, 6, transport, f";maddr={VICTIM}")
        await daemon.told("ban")
        await all_told(asterisk16, daemon)

        assert source in daemon.banned()
        assert VICTIM not in failures(daemon)


@pytest.mark.parametrize("log", ["plain", "json"])
async def test_a_line_in_a_dumped_packet_is_a_datagram_s_word_at_most(
    asterisk22: Asterisk, tmp_path: Path, log: str
) -> None:
    body = f"\n{LINE}\n"
    head = (
        "OPTIONS sip:10.99.0.1 SIP/2.0", "Via: SIP/2.0/UDP 10.99.155.2;branch=z9hG4bKd1;rport",
        "From: <sip:x@10.99.0.1>;tag=1", "To: <sip:x@10.99.0.1>", "Call-ID: dump", f"Content-Length: {len(body)}",
    )  # fmt: skip
    async with guarded(asterisk22, tmp_path, logs_of(asterisk22, log), BOTH) as daemon:
        async with asterisk22.connect("10.99.155.2") as connection:
            await connection.send("\r\n".join([*head, "", body]).encode())
        await until(lambda: LINE.encode() in asterisk22.full_log.read_bytes(), what="the dumped packet")
        await all_told(asterisk22, daemon)
        told = [line["amiguard.evidence"] for line in daemon.lines("failure") if line["source.ip"] == VICTIM]

        assert told == (["datagram"] if log == "plain" else [])
