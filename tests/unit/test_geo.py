"""Countries, from a database that was made for these tests: tests/data/README.md."""

from __future__ import annotations

import os
import shutil
from contextlib import closing
from pathlib import Path

import pytest

from amiguard.geo import Countries
from amiguard.model import parse_target
from amiguard.settings import load

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
def test_a_country_is_told_by_its_code_and_nothing_else_is(target: str, code: str) -> None:
    with closing(Countries(DATABASE)) as countries:
        assert countries(parse_target(target)) == code


def test_a_database_that_is_gone_broken_or_renewed_ends_nothing(tmp_path: Path) -> None:
    path = tmp_path / "countries.mmdb"
    countries, address = Countries(path), parse_target("192.0.2.7")

    assert countries(address) == ""
    path.write_bytes(b"no database")
    assert countries(address) == ""
    shutil.copy(DATABASE, tmp_path / "new")
    (tmp_path / "new").rename(path)
    assert countries(address) == "DE"
    os.truncate(path, 700)
    assert countries(address) in {"", "DE"}
    countries.close()


def test_the_setting_wants_a_file(tmp_path: Path) -> None:
    login = {"AMIGUARD_AMI_USERNAME": "u", "AMIGUARD_AMI_SECRET": "s"}

    assert load(environ=login).geoip_database is None
    assert load(environ=login | {"AMIGUARD_GEOIP_DATABASE": str(DATABASE)}).geoip_database == DATABASE
