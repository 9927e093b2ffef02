"""A million forged sources, replayed from a log: how much memory and time they cost, and whether an attacker hides."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from tests.bench.table import Figure
from tests.lab.daemon import ROOT
from tests.lab.past import logged_in

SOURCES = 1_000_000
A_SECOND = 1_000
"""Forged sources, by the time of the lines."""

ATTACKERS = 100
GUESSES = 5
WHO = {"lwp": 1, "callid": ""}
START = datetime(2026, 1, 1, tzinfo=UTC)
ALLOWED = "11.0.0.0/24"
"""Forged too, and never banned."""

PHONES = "11.0.1."
"""Phones are known at each of these 256 addresses; forged too, each failure on another account, and never banned."""


async def forged() -> list[Figure]:
    """Measure one failure of each source, then five."""
    return [figure for times in (1, GUESSES) for figure in _replayed(times)]


def _replayed(times: int) -> list[Figure]:
    with tempfile.NamedTemporaryFile() as logins:
        logins.writelines(_logins())
        logins.flush()
        return _replayed_beside(logins.name, times)


def _replayed_beside(logins: str, times: int) -> list[Figure]:
    start = time.perf_counter()
    log = subprocess.Popen([sys.executable, "-m", __spec__.name, str(times)], stdout=subprocess.PIPE, cwd=ROOT)
    replay = subprocess.Popen(
        [sys.executable, "-m", "amiguard", "replay", "--json", "--timezone", "UTC", logins, "-"],
        stdin=log.stdout,
        stdout=subprocess.PIPE,
        env={"PATH": os.environ["PATH"], "AMIGUARD_IGNOREIP": ALLOWED},
        cwd=ROOT,
    )
    with log, replay:
        assert replay.stdout is not None
        banned, spared, totals = set[str](), Counter[str](), {"failures": 0, "bans": 0}
        for line in replay.stdout:
            row = json.loads(line)
            if row["type"] == "totals":
                totals = row
            elif row["type"] == "ban" and row["address"].startswith("198.51.100."):
                banned.add(row["address"])
            elif row["type"] == "ban" and row["address"].startswith(("11.0.0.", PHONES)):
                spared[row["address"][:7]] += 1
        _, status, usage = os.wait4(replay.pid, 0)
        replay.returncode = os.waitstatus_to_exitcode(status)
    assert log.returncode == replay.returncode == 0
    name = f"{SOURCES:,} sources with {'one failure' if times == 1 else f'{times} failures'} each"
    return [
        Figure(f"{name}: attackers among them that were not banned", ATTACKERS - len(banned), "", 0),
        Figure(f"{name}: allowed ones that were banned", spared["11.0.0."], "", 0),
        Figure(f"{name}: addresses of known phones that were banned", spared[PHONES], "", 0),
        Figure(f"{name}: failures counted", totals["failures"], ""),
        Figure(f"{name}: bans", totals["bans"], ""),
        Figure(f"{name}: resident at the peak", usage.ru_maxrss * 1024 / 1e6, "MB", 300),
        Figure(f"{name}: CPU", usage.ru_utime + usage.ru_stime, "s"),
        Figure(f"{name}: time, with making the lines", time.perf_counter() - start, "s"),
    ]


def _lines(times: int) -> Iterator[bytes]:
    """Yield the lines of each forged source; a hundred attackers guess in between, all along."""
    every = SOURCES // (ATTACKERS * GUESSES)
    for number in range(SOURCES):
        at = START + timedelta(milliseconds=number * 1000 // A_SECOND)
        stamp = f"[{at:%F %T}.{at.microsecond // 1000:03d}+0000]"
        address = f"11.{number >> 16}.{number >> 8 & 255}.{number & 255}"
        for attempt in range(times):
            account = number + (attempt if address.startswith(PHONES) else 0)
            yield _line(stamp, address, account, f"{number}-{attempt}")
        if number % every == 0:
            guess = number // every
            yield _line(stamp, f"198.51.100.{guess // GUESSES}", number, f"{number}-{guess % GUESSES + times}")


def _line(stamp: str, address: str, account: int, session: str) -> bytes:
    who = f"Request 'REGISTER' from '<sip:{account % 1000}@pbx>' failed for '{address}:5060'"
    what = f"{who} (callid: {session}) - Failed to authenticate"
    return f"{stamp} NOTICE[1] res_pjsip/pjsip_distributor.c: {what}\n".encode()


def _logins() -> Iterator[bytes]:
    """Yield the lines of a JSON log in which the phones log in, each with an account of its own."""
    for number in range(256):
        line = logged_in(f"{START:%FT%T}", f"{PHONES}{number}", f"phone-{number}").decode()
        stamp, _, message = line.rstrip().partition(" SECURITY[1] res_security_log.c: ")
        location = {"filename": "res_security_log.c", "function": "security_event_stasis_cb", "line": 1}
        told = {"location": location, "level": "SECURITY", "message": message}
        row = {"hostname": "pbx", "timestamp": f"{stamp[1:-1]}.000+0000", "identifiers": WHO, "logmsg": told}
        yield json.dumps(row, separators=(",", ":")).encode() + b"\n"


if __name__ == "__main__":
    sys.stdout.buffer.writelines(_lines(int(sys.argv[1])))
