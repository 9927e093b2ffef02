"""A process to be killed: `child SPOOL PORT` mails a start and a ban; `child SPOOL` writes letters until it dies."""

from __future__ import annotations

import asyncio
import itertools
import sys
from pathlib import Path

from amiguard.notifiers.spool import Letter, Spool, letter_name
from amiguard.ports import Notice, NoticeKind
from tests.lab.journal import RecordingJournal
from tests.smtp.mailing import NOW, ban_notice, clock, mail_settings, mailing


async def mail(spool: Path, port: int) -> None:
    async with mailing(mail_settings(spool, port), RecordingJournal()) as notifier:
        notifier.post(Notice(NoticeKind.START, NOW))
        notifier.post(ban_notice())
        await asyncio.Event().wait()


def fill(folder: Path) -> None:
    spool = Spool(folder, 10_000)
    spool.open()
    for number in itertools.count():
        name = letter_name(clock(), NoticeKind.BAN, f"{number:016x}")
        spool.add(Letter(name, ("admin@example.org",), b"x" * 50_000 + b"the end\r\n"))


if __name__ == "__main__":
    if len(sys.argv) > 2:
        asyncio.run(mail(Path(sys.argv[1]), int(sys.argv[2])))
    else:
        fill(Path(sys.argv[1]))
