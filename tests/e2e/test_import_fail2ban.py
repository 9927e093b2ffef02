"""`amiguard import-fail2ban`: what a real fail2ban has banned, a real amiguard bans for the time that is left."""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from tests.lab.daemon import ROOT
from tests.lab.fail2ban import banned_by_fail2ban
from tests.lab.stage import Stage
from tests.lab.terminal import seen_on_terminal

pytestmark = pytest.mark.netns

HOUR = 3600
ONE, TWO, LIFTED, FOR_EVER, ALLOWED, OTHER = (f"198.18.0.{number}" for number in range(1, 7))
SIX, NETWORK = "2001:db8::1", "198.18.7.0/24"


@pytest.fixture
def database(servers_root: Path, tmp_path: Path) -> Path:
    """What fail2ban leaves: bans of an hour, one that was lifted, a permanent one, one of sshd."""
    return banned_by_fail2ban(
        servers_root,
        tmp_path,
        {"asterisk": f"{HOUR}", "asterisk-ever": "-1", "sshd": f"{HOUR}"},
        [
            f"set asterisk banip {ONE} {TWO} {LIFTED} {ALLOWED} {SIX} {NETWORK}",
            f"set asterisk-ever banip {FOR_EVER} {TWO}",
            f"set sshd banip {OTHER}",
            f"set asterisk unbanip {LIFTED}",
        ],
    )


def imported(place: Stage, *arguments: str | Path) -> tuple[int, str, str]:
    """Run the command beside the daemon; return its exit code and what it writes."""
    socket = place.site.folder / "control.sock"
    command = [sys.executable, "-m", "amiguard", "import-fail2ban", "--socket", socket, *arguments]
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=ROOT, timeout=60)
    return done.returncode, done.stdout, done.stderr


async def test_the_bans_that_run_are_carried_over_with_the_time_that_is_left(place: Stage, database: Path) -> None:
    place.site.settings["IGNOREIP"] = f"127.0.0.0/8 {ALLOWED}"
    daemon = await place.site.up()

    code, out, _ = imported(place, "--json", database)

    assert (code, json.loads(out)) == (0, {"banned": 5, "known": 0, "allowed": 1})
    bans = {ban["address"]: ban async for ban in daemon.control.bans()}
    assert bans.keys() == {ONE, TWO, SIX, NETWORK, FOR_EVER}
    assert {address for address, ban in bans.items() if ban["until"] is None} == {TWO, FOR_EVER}
    assert bans[ONE]["comment"] == "fail2ban, jail asterisk"
    left = place.site.kernel()[ONE]
    assert left is not None
    assert HOUR - 60 < left <= HOUR
    assert not await place.arrives(ONE)
    assert not await place.arrives("198.18.7.9")
    assert await place.arrives(OTHER)

    assert imported(place, database)[1] == "0 banned, 5 were banned already, 1 are never banned\n"


async def test_a_bar_shows_on_a_terminal_how_far_it_is_and_nowhere_else(place: Stage, database: Path) -> None:
    await place.site.up()
    command = [sys.executable, "-m", "amiguard", "import-fail2ban", "--socket", str(place.site.folder / "control.sock")]
    shown = partial(seen_on_terminal, [*command, str(database)], os.environ, out=False, err=True, patience=60)

    code, seen = await asyncio.to_thread(shown)

    assert code == 0
    assert b"6/6" in seen
    assert imported(place, database) == (0, "0 banned, 6 were banned already, 0 are never banned\n", "")


async def test_a_dry_run_shows_whom_and_bans_nobody(place: Stage, database: Path) -> None:
    daemon = await place.site.up()

    code, out, _ = imported(place, "--dry-run", "--json", "--jail", "sshd", "--jail", "asterisk-ever", database)

    assert code == 0
    assert {(row["address"], row["left"] == -1) for row in map(json.loads, out.splitlines())} == {
        (OTHER, False),
        (TWO, True),
        (FOR_EVER, True),
    }
    assert [ban async for ban in daemon.control.bans()] == []


async def test_what_is_over_or_no_address_is_left_out_and_what_can_not_be_read_is_told(
    place: Stage, database: Path, tmp_path: Path
) -> None:
    await place.site.up()
    with sqlite3.connect(database) as connection:
        connection.execute("UPDATE bips SET timeofban = timeofban - 3600 WHERE ip = ?", [ONE])
        connection.execute("UPDATE bips SET ip = 'root' WHERE ip = ?", [SIX])
    connection.close()

    code, out, err = imported(place, "--dry-run", database)
    assert code == 0
    assert ONE not in out
    assert "1 of all bans are of no address" in err

    for file, said in ((tmp_path / "none", "there is no"), (place.site.database, "can't be read as a database")):
        code, out, err = imported(place, file)
        assert (code, out) == (1, "")
        assert said in err
    code, _, err = imported(place, "--jail", "exim", database)
    assert code == 1
    assert "no ban in these jails; there are" in err


async def test_without_a_daemon_it_says_so(place: Stage, database: Path) -> None:
    code, out, err = imported(place, database)

    assert (code, out) == (3, "")
    assert "the daemon can't be reached" in err
