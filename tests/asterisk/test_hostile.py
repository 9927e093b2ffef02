"""Everything that an attacker can write or forge, at real Asterisks: the victim is never banned, the attacker is."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from tests.lab.asterisk import VICTIM, Asterisk
from tests.lab.captures import Capture
from tests.lab.daemon import Daemon
from tests.lab.guarding import BOTH, all_told, failures, guarded
from tests.lab.hostile import attack, cases
from tests.lab.mutants import mutants, try_out
from tests.lab.waiting import until
from tests.lab.witnesses import Row, rows

pytestmark = pytest.mark.asterisk

ALL_OTHERS, *ROWS = rows()
TRIES = 2
"""So often each attack is made, and so many failures ban: the first packet of an attack bans nobody yet."""
SEED = int(os.environ.get("AMIGUARD_TEST_SEED", "1"))
MUTANTS = 120
BARRIERS = ("10.99.152.", "10.99.153.")
"""Whose failures `all_told` waits for."""
UNBELIEVED = {"16-sip/h-domain-seed9"}
"""chan_sip's calls with a wrong password: see docs/security.md."""
SETTINGS = BOTH | {"MAXRETRY": str(TRIES)}


@pytest.fixture(params=["asterisk22", "asterisk16"])
def asterisk(request: pytest.FixtureRequest) -> Asterisk:
    found: Asterisk = request.getfixturevalue(request.param)
    return found


def row_of(case: Capture) -> Row:
    return next((row for row in ROWS if row.names(case)), ALL_OTHERS)


def known(case: Capture, log: str) -> bool:
    """Tell whether every attempt of a capture must be seen: by AMI or in SECURITY lines, or by all that there is."""
    ami, _, security, together = row_of(case).cells
    seen = {together} if log == "both" else {ami, security}
    return case.count > 0 and case.name not in UNBELIEVED and bool({"yes", "yes, forged"} & seen)


def logs_of(asterisk: Asterisk, log: str) -> list[Path]:
    return [asterisk.json_log, *([asterisk.full_log] if log == "both" else [])]


def blamed(daemon: Daemon, address: str) -> set[str]:
    """Return with which evidence the log blames an address."""
    return {
        line["amiguard.evidence"]
        for line in daemon.lines("failure", "injection", "ban")
        if line["source.ip"] == address
    }


async def told(asterisk: Asterisk, daemon: Daemon, liars: dict[str, Capture]) -> None:
    """Tell all these lies as often as must lead to a ban; who is banned already need not try again."""
    for _ in range(TRIES):
        done = set(daemon.banned())
        await asyncio.gather(*(attack(asterisk, case, source) for source, case in liars.items() if source not in done))
    await all_told(asterisk, daemon)


@pytest.mark.parametrize("log", ["json", "both"])
async def test_whatever_attackers_write_bans_them_and_not_the_victim(
    asterisk: Asterisk, tmp_path: Path, log: str
) -> None:
    liars = {f"10.99.156.{number}": case for number, case in enumerate(cases(asterisk.driver, "hostile"), 1)}
    async with guarded(asterisk, tmp_path, logs_of(asterisk, log), SETTINGS) as daemon:
        earned = {source for source, case in liars.items() if known(case, log)}
        by_ami_alone = {source for source, case in liars.items() if row_of(case).cells[:2] == ("yes", "no")}
        for part in (by_ami_alone, liars.keys() - by_ami_alone):  # beside a forged event AMI's others may stay unseen
            await told(asterisk, daemon, {source: liars[source] for source in part})
        await until(lambda: earned <= set(daemon.banned()), what="a ban of everybody who earned it")

        assert blamed(daemon, VICTIM) <= ({"datagram"} if log == "both" else set())
        assert daemon.lines("ami-lost") == []


async def test_what_one_forged_datagram_does_is_a_datagram_s_word(asterisk: Asterisk, tmp_path: Path) -> None:
    async with guarded(asterisk, tmp_path, logs_of(asterisk, "both"), SETTINGS) as daemon:
        forged = cases(asterisk.driver, "spoof")
        for _ in range(TRIES):
            await asyncio.gather(*(attack(asterisk, case, VICTIM) for case in forged))
        await all_told(asterisk, daemon)

        assert blamed(daemon, VICTIM) == {"datagram"}
        assert daemon.lines("ami-lost") == []


async def test_no_text_at_all_blames_the_victim(asterisk: Asterisk, tmp_path: Path) -> None:
    texts = {f"10.99.158.{number}": mutant for number, mutant in enumerate(mutants(SEED, MUTANTS), 1)}
    async with guarded(asterisk, tmp_path, logs_of(asterisk, "json"), SETTINGS) as daemon:
        refused = await asyncio.gather(*(try_out(asterisk, mutant, source) for source, mutant in texts.items()))
        await all_told(asterisk, daemon)
        guessers = {source for source, was in zip(texts, refused, strict=True) if was}
        unseen = {source: texts[source] for source in guessers - failures(daemon).keys()}
        known = {address for address in failures(daemon) if not address.startswith(BARRIERS)}

        assert len(guessers) > MUTANTS / 5
        assert (unseen, known - texts.keys()) == ({}, set()), f"AMIGUARD_TEST_SEED={SEED}"
        assert daemon.lines("ami-lost") == []
