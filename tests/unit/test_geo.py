"""Countries, from a database that was made for these tests: tests/data/README.md."""

from __future__ import annotations

import asyncio
import os
import shutil
from contextlib import closing
from pathlib import Path

import pytest

from amiguard.geo import Countries
from amiguard.journal import Action
from amiguard.model import parse_target
from amiguard.settings import load
from tests.lab.journal import RecordingJournal
from tests.lab.waiting import until

DATABASE = Path(__file__).parents[1] / "data/countries.mmdb"


@pytest.mark.parametrize(
    ("target", "code"),
    [
        ("192.0.2.7", "DE"),
        ("192.0.2.128/25", "DE"),
        ("198.51.100.1", "FR"),
        ("203.0.113.255", "US"),
        ("10.0.0.1", ""),
        ("2001:db8::1", ""),
        ("2001:db8:ffff::1", ""),
    ],
)
async def test_a_country_is_told_by_its_code_and_nothing_else_is(target: str, code: str) -> None:
    with closing(Countries(DATABASE, RecordingJournal())) as countries:
        assert countries(parse_target(target)) == code


async def test_a_database_that_is_gone_broken_or_renewed_ends_nothing_and_each_is_told_once(tmp_path: Path) -> None:
    path, journal = tmp_path / "countries.mmdb", RecordingJournal()
    countries, address = Countries(path, journal), parse_target("192.0.2.7")

    async def told(times: int, code: str) -> None:
        for _ in range(3):
            assert await asyncio.to_thread(countries, address) == code
        await until(lambda: journal.count(Action.GEOIP_FAILED) == times)

    def renew() -> None:
        shutil.copy(DATABASE, tmp_path / "new")
        (tmp_path / "new").rename(path)

    await told(1, "")
    renew()
    await told(1, "DE")
    path.unlink()
    await told(2, "")
    path.write_bytes(b"no database")
    await told(3, "")
    renew()
    await told(3, "DE")
    os.truncate(path, 700)
    await told(4, "")
    assert all(str(path) in line.message for line in journal.lines)
    countries.close()


def test_the_setting_wants_a_file(tmp_path: Path) -> None:
    login = {"AMIGUARD_AMI_USERNAME": "u", "AMIGUARD_AMI_SECRET": "s"}

    assert load(environ=login).geoip_database is None
    assert load(environ=login | {"AMIGUARD_GEOIP_DATABASE": str(DATABASE)}).geoip_database == DATABASE
