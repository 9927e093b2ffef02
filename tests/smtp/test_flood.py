"""How many mails a flood of bans makes, and what a post costs while it lasts."""

from __future__ import annotations

import time
import tracemalloc
from pathlib import Path

import pytest

from amiguard.journal import Action
from amiguard.notifiers.mail import Mail
from tests.lab.journal import RecordingJournal
from tests.lab.waiting import until
from tests.smtp.mailing import ban_notice, clock, letters, mail_settings, mailing
from tests.smtp.servers import Sink, body, hang, raw_server, smtp_server

pytestmark = pytest.mark.smtp


async def test_ten_thousand_bans_make_one_mail_at_once_and_one_digest(spool: Path, journal: RecordingJournal) -> None:
    async with smtp_server(Sink()) as sink, mailing(mail_settings(spool, sink.port, digest=1), journal) as mail:
        for number in range(10_000):
            name = "100" if number % 2 else f"guess{number}"
            mail.post(ban_notice(f"198.18.{number // 256}.{number % 256}", accounts=(name,)))
        await until(lambda: len(sink.envelopes) == 2, 10)
        first, digest = sink.messages
        assert "banned 198.18.0.0 (" in first["Subject"]
        assert "9999 further bans in 1 second" in digest["Subject"]
        text = body(digest)
        assert "    9999  wrong password" in text
        assert '    5000  "100"' in text
        assert "198.18.0.1: wrong password, failures: 5, until " in text
        assert "and 9949 more" in text
        assert text.count("198.18.") == 50 + 10, "the newest, and those with the most failures"
        assert len(digest.as_bytes()) < 50_000

        # Quiet again for an interval: the next one is told by itself.
        await until(lambda: mail._pace._digest.wait(clock()) is None and not mail._pace._digest._left(clock()))
        mail.post(ban_notice("203.0.113.9"))
        await until(lambda: len(sink.envelopes) == 3)
        assert "banned 203.0.113.9 (" in sink.messages[2]["Subject"]
    assert journal.of(Action.MAIL_FAILED) == []


async def test_posting_is_cheap_and_bounded_in_memory_while_the_server_hangs(
    spool: Path, journal: RecordingJournal
) -> None:
    async with raw_server(hang) as port:
        mail = Mail(mail_settings(spool, port), clock, journal)
        notices = [
            ban_notice(
                f"198.18.{number // 256}.{number % 256}", accounts=tuple(f"{number}-{i}" * 20 for i in range(10))
            )
            for number in range(20_000)
        ]
        for notice in notices[:2000]:
            mail.post(notice)
        tracemalloc.start()
        began = time.perf_counter()
        for notice in notices[2000:]:
            mail.post(notice)
        each = (time.perf_counter() - began) / 18_000
        grown, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert grown < 100_000
        assert each < 0.001
        await mail.drain(0.1)
    assert len(letters(spool)) == 2
