"""Takes the README's picture of the page: `python -m tests.browser.screenshot` (as root).

A made-up day, since nobody waits for a real one: attackers from the ranges that RFC 5737 and RFC 3849 keep for
documents."""

from __future__ import annotations

import asyncio
import random
import tempfile
import time
from pathlib import Path

from playwright.async_api import ViewportSize, async_playwright
from typing_extensions import override

from amiguard.control.server import ControlServer
from amiguard.control.settings import Address, ControlSettings
from amiguard.control.stream import Stream
from amiguard.journal import Action, Journal
from amiguard.logs import open_journal
from amiguard.model import Address as Source
from amiguard.model import Ban, Drops, Evidence, Failure, Origin, Reason, Target
from tests.lab.chromium import FLAGS, program
from tests.lab.chroots import chroot
from tests.lab.journal import RecordingJournal
from tests.lab.ports import free_port
from tests.unit.control.conftest import FakeGuard

PICTURE = Path(__file__).parents[2] / "docs" / "images" / "page.png"
SIZE = ViewportSize(width=1200, height=830)
DAY = 24 * 60
MINUTE = 60_000

BANS = (
    ("192.0.2.77", 3, Reason.WRONG_PASSWORD, 5, ("100", "101", "102", "admin"), "UDP", 48_211),
    ("203.0.113.9", 9, Reason.UNKNOWN_ACCOUNT, 5, ("9999", "00441", "sipvicious"), "UDP", 112_934),
    ("198.51.100.23", 26, Reason.WRONG_PASSWORD, 5, ("trunk", "provider"), "TLS", 961),
    ("2001:db8:5::1f", 44, Reason.INJECTION, 1, ("<script>alert(1)</script>",), "TCP", 12),
    ("203.0.113.140", 71, Reason.WRONG_PASSWORD, 5, ("2000", "2001", "2002", "2003"), "UDP", 20_407),
    ("192.0.2.14", 133, Reason.ACL, 5, ("1000",), "TCP", 75),
    ("198.51.100.88", 190, Reason.WRONG_PASSWORD, 5, ("asterisk", "root"), "UDP", 7_730),
)


class Day(FakeGuard):
    """A guard whose day is made up, minute by minute."""

    def __init__(self, now: int) -> None:
        super().__init__()
        for address, ago, reason, failures, accounts, transport, packets in reversed(BANS):
            since = now - ago * MINUTE
            target = Target(address)
            evidence = Evidence.DATAGRAM if transport == "UDP" else Evidence.CONNECTED
            self.running[target] = Ban(
                target,
                since,
                since + 5 * DAY * MINUTE,
                reason,
                evidence=evidence,
                failures=failures,
                accounts=accounts,
                service="PJSIP",
                transport=transport,
                source="ami",
            )
            self.counted[target] = Drops(packets, packets * 420)
        target = Target("198.51.100.128/25")
        self.running[target] = Ban(
            target, now - MINUTE, None, Reason.MANUAL, Origin.MANUAL, comment="scans us every night"
        )

    @override
    def status(self) -> dict[str, object]:
        return {
            "ready": True,
            "uptime": 1_562_400,
            "sources": [
                {"name": "ami", "where": "127.0.0.1:5038", "up": True, "error": ""},
                {"name": "log", "where": "/var/log/asterisk/amiguard.json", "up": True, "error": ""},
            ],
            "firewall": {"up": True, "error": "", "enforces": True},
            "store": {"up": True, "error": ""},
            "notifiers": [{"name": "mail", "where": "localhost", "error": ""}],
            "feeds": [
                {"name": "voipbl", "where": "https://voipbl.org", "up": True, "error": "", "entries": 43_210},
            ],
            "bans": {"active": len(self.running), "waiting": 0},
            "jail": {"tracked": 41},
            "dropped": {"packets": 1_284_551, "bytes": 539_511_420},
            "totals": {"failures": self.counters.failures, "bans": self.counters.bans},
        }


async def main() -> None:
    """Let the day pass, and take the picture."""
    chance = random.Random(7)
    moment = int(time.time() * 1000) - DAY * MINUTE
    guard, stream, port = Day(moment + DAY * MINUTE), Stream(), free_port()
    with tempfile.TemporaryDirectory() as folder, (Path(folder) / "log").open("w") as log:
        journal = open_journal("ecs", "info", clock=lambda: moment, stream=log, tap=stream.publish)
        settings = ControlSettings(Path(folder) / "sock", http=Address("127.0.0.1", port))
        server = ControlServer(settings, guard, RecordingJournal(), lambda: moment, stream)
        for minute in range(DAY):
            moment += MINUTE
            night = 1 + 5 * (minute // 60 in {14, 15, 16, 20})
            guard.counters.failures += max(0, int(chance.gauss(0.6, 1.4) * night))
            guard.counters.bans += chance.random() < 0.012 * night
            guard.timeline.note(moment)
        tell(journal, guard, moment)
        await server.start()
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(
                executable_path=program(chroot("chromium"), Path(folder)), args=FLAGS
            )
            page = await browser.new_page(viewport=SIZE, color_scheme="light", locale="en-GB", timezone_id="UTC")
            await page.goto(f"http://127.0.0.1:{port}/")
            await page.wait_for_selector("#events li")
            await page.wait_for_selector("#rows tr")
            await page.screenshot(path=PICTURE)
            await browser.close()
        await server.close()


def tell(journal: Journal, guard: Day, moment: int) -> None:
    """Write what the picture's live events show."""
    first = BANS[0]
    for number in range(4):
        failure = Failure(
            address=Source(Target(first[0])),
            at=moment - 4_000 + number * 900,
            reason=first[2],
            weight=1,
            evidence=Evidence.DATAGRAM,
            code="ChallengeResponseFailed",
            service="PJSIP",
            transport="UDP",
            port=5060,
            account=first[4][number],
            session="x",
            source="ami",
        )
        journal.write(Action.FAILURE, failure=failure)
    journal.write(Action.BAN, f"{first[0]} is banned", ban=guard.running[Target(first[0])])


if __name__ == "__main__":
    asyncio.run(main())
