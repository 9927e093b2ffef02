"""What the rules make of attacks on a real Asterisk: nobody is locked out, and who keeps below `maxretry` is found."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from tests.lab.asterisk import Asterisk, running
from tests.lab.daemon import Daemon
from tests.lab.guarding import BOTH, guarded
from tests.lab.office import accounts, power_returns
from tests.lab.past import Past, written
from tests.lab.sip import Phone
from tests.lab.waiting import until

pytestmark = pytest.mark.asterisk

OFFICE, SCANNER, GUESSER, LUCKY, SLOW = (f"10.99.180.{number}" for number in range(1, 6))
PROBER = "10.99.180.6"
BOTNET = [f"10.99.181.{number}" for number in range(12)]
PHONES = [str(number) for number in range(8001, 8201)]
SILENCE = 32
"""Seconds after which a challenge counts as unanswered."""


@pytest.fixture(scope="module")
def asterisk(asterisk22_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asterisk]:
    with running(asterisk22_root, "pjsip", tmp_path_factory.mktemp("rules"), {"pjsip.conf": accounts(PHONES)}) as made:
        yield made


async def request(asterisk: Asterisk, source: str, account: str, *passwords: str | None) -> None:
    """Register once with each password; None asks and never answers."""
    for password in passwords:
        async with asterisk.connect(source) as connection:
            await Phone(connection, account, password).register()


def addresses(daemon: Daemon, action: str) -> list[str]:
    return [line["source.ip"] for line in daemon.lines(action)]


async def test_scanners_botnets_and_guessed_passwords_are_found_and_an_office_of_200_phones_is_spared(
    asterisk: Asterisk, tmp_path: Path
) -> None:
    settings = BOTH | {"LEARNING_TIME": "1s"}
    async with guarded(asterisk, tmp_path, [asterisk.json_log], settings) as daemon:
        learned = time.monotonic() + 1.1
        await request(asterisk, LUCKY, "6001", "pw6001")  # the first event: phones have a second to show themselves
        await until(lambda: time.monotonic() > learned, what="the second of learning to be over")
        await request(asterisk, GUESSER, "6002", *["guess"] * 3)
        for account in PHONES[:12]:
            await request(asterisk, SCANNER, account, None)
        assert await power_returns(asterisk, OFFICE, PHONES) == [200] * len(PHONES)
        for account in PHONES[:12]:
            await request(asterisk, SCANNER, account, None)
        assert await power_returns(asterisk, OFFICE, PHONES) == [200] * len(PHONES), "after an hour, again"
        async with asterisk.connect(PROBER) as connection:
            for account in PHONES[:12]:
                assert await Phone(connection, account).register("OPTIONS") == 401
        for source in BOTNET:
            await request(asterisk, source, "6001", "guess")
        await request(asterisk, GUESSER, "6002", "pw6002")

        (attacked,) = await daemon.told("account-under-attack")
        assert (attacked["user.name"], attacked["amiguard.addresses"]) == ("6001", 10)
        (guessed,) = await daemon.told("suspected-compromise")
        assert (guessed["user.name"], guessed["source.ip"]) == ("6002", GUESSER)
        scans = await daemon.told("ban", 2, timeout=SILENCE + 10)
        assert [scan["event.reason"] for scan in scans] == ["scan", "scan"]
        assert sorted(addresses(daemon, "ban")) == [SCANNER, PROBER]


async def test_who_stays_below_maxretry_is_caught_with_the_twentieth_guess(asterisk: Asterisk, tmp_path: Path) -> None:
    async with guarded(asterisk, tmp_path, [asterisk.json_log], BOTH | {"FINDTIME": "1s"}) as daemon:
        for number in range(20):
            await request(asterisk, SLOW, "6001", "guess")
            await daemon.told("failure", number + 1)
            again = time.monotonic() + 0.27  # so that the fifth guess is more than a second after the first
            await until(partial(passed, again), what="the time that a patient one waits")

        (ban,) = await daemon.told("ban")
        assert (ban["source.ip"], ban["amiguard.failures"]) == (SLOW, 20)


def passed(moment: float) -> bool:
    return time.monotonic() > moment


async def test_who_guesses_once_in_11_minutes_is_caught_with_the_twentieth_guess(
    asterisk: Asterisk, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    begin = asterisk.full_log.stat().st_size
    await request(asterisk, GUESSER, "6001", *["guess"] * 25)

    def notices() -> list[bytes]:
        lines = asterisk.full_log.read_bytes()[begin:].splitlines(True)
        return [line for line in lines if GUESSER.encode() in line and b" NOTICE[" in line]

    await until(lambda: len(notices()) == 25, what="all lines, which a thread of Asterisk's writes")

    start = datetime(2026, 1, 1, tzinfo=UTC)
    times = [(start + timedelta(minutes=11) * number).strftime("%F %T.000+0000") for number in range(25)]
    slowly = [b"[%s]" % at.encode() + line.partition(b"]")[2] for at, line in zip(times, notices(), strict=True)]
    past = Past(lambda: capsys.readouterr().out)(written(tmp_path / "full", *slowly))

    (ban,) = past.of("ban")
    assert (ban["address"], ban["failures"]) == (GUESSER, 20)
    assert ban["since"] == "2026-01-01T03:29:00Z"
