"""What becomes of a mail while the server is away, busy, broken or says no."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.smtp import Envelope
from typing_extensions import override

from amiguard.journal import Action
from amiguard.notifiers.mail import Mail
from amiguard.notifiers.spool import HELD_LIMIT
from amiguard.ports import Notice, NoticeKind
from tests.lab.journal import RecordingJournal
from tests.lab.waiting import until, wait_until
from tests.smtp.mailing import NOW, ban_notice, clock, letters, mail_settings, mailing
from tests.smtp.servers import Sink, body, die_in_data, hang, raw_server, smtp_server

pytestmark = [pytest.mark.smtp, pytest.mark.usefixtures("impatient")]

ROOT = Path(__file__).parents[2]
START = Notice(NoticeKind.START, NOW, text="nftables, 3 bans restored")
STOP = Notice(NoticeKind.STOP, NOW, text="SIGTERM")


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def litter(spool: Path) -> None:
    """Fill a spool with what is no mail: four files that are named like one, and one that is not."""
    spool.mkdir()
    for number, content in enumerate((b"", b"{}\n", b"[" * 100_000, json.dumps({"to": [1]}).encode())):
        (spool / f"{NOW}-ban-{number:016x}.mail").write_bytes(content)
    (spool / "README").write_bytes(b"not ours")


def holds(spool: Path, least: int) -> bool:
    return len(letters(spool)) >= least


@contextmanager
def full_disk(folder: Path) -> Iterator[None]:
    """Make `folder` a file system of one page, which a page's worth of other data fills."""
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4k", "amiguard-test", folder], check=True)
    try:
        (folder / "other").write_bytes(bytes(4096))
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


async def test_start_ban_and_stop_arrive_in_order_and_leave_the_spool_empty(
    spool: Path, journal: RecordingJournal
) -> None:
    async with smtp_server(Sink()) as sink, mailing(mail_settings(spool, sink.port), journal) as mail:
        for notice in (START, ban_notice(), STOP):
            mail.post(notice)
        await until(lambda: len(sink.envelopes) == 3 and not letters(spool))
    assert [message["Subject"].partition(": ")[2] for message in sink.messages] == [
        "started",
        "banned 198.51.100.7 (wrong-password, 5 failures)",
        "stopped",
    ]
    assert [line.fields["recipients"] for line in journal.of(Action.MAIL_SENT)] == [1, 1, 1]
    assert journal.of(Action.MAIL_FAILED) == []


async def test_only_the_chosen_events_are_mailed(spool: Path, journal: RecordingJournal) -> None:
    async with smtp_server(Sink()) as sink:
        settings = mail_settings(spool, sink.port, events=frozenset({NoticeKind.STOP}))
        async with mailing(settings, journal) as mail:
            for notice in (START, ban_notice(), STOP):
                mail.post(notice)
            await until(lambda: bool(sink.envelopes) and not letters(spool))
        await mail.drain(5)
    assert [message["Subject"] for message in sink.messages] == ["[amiguard] pbx1.example.org: stopped"]


async def test_an_alert_is_mailed_at_once_and_its_repetitions_together(spool: Path, journal: RecordingJournal) -> None:
    def alert(text: str, action: Action) -> Notice:
        return Notice(NoticeKind.ALERT, NOW, text=text, action=action)

    async with smtp_server(Sink()) as sink:
        async with mailing(mail_settings(spool, sink.port), journal) as mail:
            mail.post(alert("no events", Action.AMI_LOST))
            mail.post(alert("events again", Action.AMI_CONNECTED))
            for number in range(3):
                mail.post(alert(f"no events, {number}", Action.AMI_LOST))
            await until(lambda: len(sink.envelopes) == 2 and not letters(spool))
        await mail.drain(5)
    assert [message["Subject"].partition(": ")[2] for message in sink.messages] == [
        "ami-lost",
        "ami-connected",
        "ami-lost, 3 more times",
    ]
    assert "no events, 0\nno events, 1\nno events, 2\n" in body(sink.messages[2])


async def test_a_mail_that_is_put_off_arrives_later_with_the_same_message_id(
    spool: Path, journal: RecordingJournal
) -> None:
    sink = Sink(data=["451 try later", "421 busy, closing"])
    async with smtp_server(sink), mailing(mail_settings(spool, sink.port), journal) as mail:
        mail.post(ban_notice())
        await until(lambda: len(sink.envelopes) == 1 and not letters(spool))
    assert sink.sessions >= 3
    assert len(journal.of(Action.MAIL_FAILED)) == 2
    assert "451 try later" in str(journal.of(Action.MAIL_FAILED)[0].fields["error"])


async def test_a_mail_that_is_put_off_does_not_hold_up_the_next(spool: Path, journal: RecordingJournal) -> None:
    sink = Sink(data=["451 not you"])
    async with smtp_server(sink), mailing(mail_settings(spool, sink.port), journal) as mail:
        mail.post(START)
        mail.post(STOP)
        await until(lambda: len(sink.envelopes) == 2)


class OneMailASession(Sink):
    @override
    async def handle_DATA(self, server: Any, session: Any, envelope: Envelope) -> str:
        asyncio.get_running_loop().call_soon(server.transport.close)
        return await super().handle_DATA(server, session, envelope)


async def test_a_server_that_takes_one_mail_a_session_gets_them_all_and_nothing_has_failed(
    spool: Path, journal: RecordingJournal
) -> None:
    earlier = Mail(mail_settings(spool, 1), clock, RecordingJournal())
    for notice in (START, ban_notice(), STOP):
        earlier.post(notice)
    await earlier.drain(1)
    async with smtp_server(OneMailASession()) as sink, mailing(mail_settings(spool, sink.port), journal) as mail:
        await until(lambda: len(sink.envelopes) == 3 and not letters(spool))
    assert sink.sessions == 3
    assert journal.of(Action.MAIL_FAILED) == []
    assert mail.status()["error"] == ""


@pytest.mark.parametrize("kind", ["data", "rcpt"])
async def test_a_mail_that_is_refused_for_good_is_given_up(spool: Path, journal: RecordingJournal, kind: str) -> None:
    sink = Sink(data=["554 no"]) if kind == "data" else Sink(rcpt={"admin@example.org": ["550 no such user"]})
    async with smtp_server(sink), mailing(mail_settings(spool, sink.port), journal) as mail:
        mail.post(ban_notice())
        await until(lambda: bool(journal.of(Action.MAIL_FAILED)) and not letters(spool))
        mail.post(STOP)
        await until(lambda: len(sink.envelopes) == 1)
    assert [message["Subject"] for message in sink.messages] == ["[amiguard] pbx1.example.org: stopped"]
    assert [line.fields["recipients"] for line in journal.of(Action.MAIL_FAILED)] == [1]


async def test_a_recipient_who_is_put_off_gets_the_mail_later_and_the_others_get_it_once(
    spool: Path, journal: RecordingJournal
) -> None:
    rcpt = {"late@example.org": ["450 greylisted"], "gone@example.org": ["550 no such user"]}
    async with smtp_server(Sink(rcpt=rcpt)) as sink:
        to = ("now@example.org", "late@example.org", "gone@example.org")
        async with mailing(mail_settings(spool, sink.port, to=to), journal) as mail:
            mail.post(ban_notice())
            await until(lambda: len(sink.envelopes) == 2 and not letters(spool))
    assert [envelope.rcpt_tos for envelope in sink.envelopes] == [["now@example.org"], ["late@example.org"]]
    assert len({message["Message-ID"] for message in sink.messages}) == 1
    assert [line.fields.get("recipients") for line in journal.of(Action.MAIL_FAILED)] == [1, None]


async def test_a_server_that_dies_in_the_middle_of_a_mail_does_not_cost_the_mail(
    spool: Path, journal: RecordingJournal
) -> None:
    async with raw_server(die_in_data) as port, mailing(mail_settings(spool, port), journal) as mail:
        mail.post(ban_notice())
        await until(lambda: bool(journal.of(Action.MAIL_FAILED)))
    assert len(letters(spool)) == 1
    async with smtp_server(Sink(), port=port) as sink, mailing(mail_settings(spool, port), journal):
        await until(lambda: len(sink.envelopes) == 1)


async def test_what_waits_for_a_dead_server_is_sent_after_a_restart(spool: Path, journal: RecordingJournal) -> None:
    async with raw_server(hang) as port:
        pass
    async with mailing(mail_settings(spool, port), journal) as mail:
        mail.post(START)
        mail.post(ban_notice())
        await until(lambda: len(letters(spool)) == 2)
    mail.post(STOP)
    await mail.drain(2)
    assert [line.fields["count"] for line in journal.of(Action.MAIL_FAILED)][-1] == 3
    async with smtp_server(Sink()) as sink, mailing(mail_settings(spool, sink.port), journal):
        await until(lambda: len(sink.envelopes) == 3 and not letters(spool))
    ends = [message["Subject"].rpartition(": ")[2].partition(" ")[0] for message in sink.messages]
    assert ends == ["started", "banned", "stopped"]


@pytest.mark.parametrize("steps", range(10))
async def test_cancelling_ends_delivery_at_whatever_step_it_comes(
    spool: Path, journal: RecordingJournal, steps: int
) -> None:
    async with smtp_server(Sink()) as sink:
        mail = Mail(mail_settings(spool, sink.port), clock, journal)
        mail.post(ban_notice())
        task = asyncio.create_task(mail.run())

        def cancel_after(left: int) -> None:
            if left:
                asyncio.get_running_loop().call_soon(cancel_after, left - 1)
            else:
                task.cancel()

        sink.before_data = partial(cancel_after, steps)
        await until(task.done, what="the end of a cancelled run")
    assert task.cancelled()


async def test_what_waits_survives_kill_9(spool: Path, journal: RecordingJournal) -> None:
    async with raw_server(hang) as port:
        pass
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.smtp.child", str(spool), str(port), cwd=ROOT
    )
    try:
        await until(lambda: len(letters(spool)) == 2, 20)
    finally:
        child.kill()
        await child.wait()
    async with smtp_server(Sink()) as sink, mailing(mail_settings(spool, sink.port), journal):
        await until(lambda: len(sink.envelopes) == 2 and not letters(spool))


async def test_the_spool_is_private(spool: Path, journal: RecordingJournal) -> None:
    mail = Mail(mail_settings(spool, 1), clock, journal)
    mail.post(ban_notice())
    await mail.drain(1)
    assert [mode(path) for path in (spool, *letters(spool))] == [0o700, 0o600]


async def test_a_full_spool_drops_the_oldest_bans_and_says_so(spool: Path, journal: RecordingJournal) -> None:
    for number in range(3):
        mail = Mail(mail_settings(spool, 1, waiting=3), clock, journal)
        mail.post(START)
        mail.post(ban_notice(f"198.51.100.{number}"))
        await mail.drain(1)
    assert len(letters(spool)) == 3
    assert all("-start-" in path.name for path in letters(spool))
    assert sum(line.fields["count"] == 1 for line in journal.of(Action.MAIL_FAILED) if "error" not in line.fields) == 3


async def test_a_full_disk_does_not_stop_mail(spool: Path, journal: RecordingJournal) -> None:
    with full_disk(spool):
        async with smtp_server(Sink(data=["451 try later"])) as sink:
            async with mailing(mail_settings(spool, sink.port), journal) as mail:
                mail.post(ban_notice())
                await until(lambda: len(sink.envelopes) == 1)
            await mail.drain(5)
        assert letters(spool) == []
    assert "No space left on device" in str(journal.of(Action.MAIL_FAILED)[0].fields["error"])


async def test_a_spool_that_cannot_be_made_does_not_stop_mail(tmp_path: Path, journal: RecordingJournal) -> None:
    (tmp_path / "file").touch()
    async with (
        smtp_server(Sink()) as sink,
        mailing(mail_settings(tmp_path / "file" / "spool", sink.port), journal) as mail,
    ):
        mail.post(ban_notice())
        await until(lambda: len(sink.envelopes) == 1)
    assert "Not a directory" in str(journal.of(Action.MAIL_FAILED)[0].fields["error"])


async def test_mails_that_find_no_room_in_memory_either_are_counted_as_lost_and_told_of(
    tmp_path: Path, journal: RecordingJournal
) -> None:
    (tmp_path / "file").touch()
    mail = Mail(mail_settings(tmp_path / "file" / "spool", 1), clock, journal)
    for _ in range(HELD_LIMIT + 3):
        mail.post(START)
        await mail.drain(1)
    assert (mail.status()["waiting"], mail.status()["lost"]) == (HELD_LIMIT, 3)
    told = [line.fields["count"] for line in journal.of(Action.MAIL_FAILED) if "the oldest are dropped" in line.message]
    assert told == [1, 1, 1]


async def test_a_file_in_the_spool_that_is_no_mail_is_given_up(spool: Path, journal: RecordingJournal) -> None:
    litter(spool)
    async with smtp_server(Sink()) as sink, mailing(mail_settings(spool, sink.port), journal) as mail:
        mail.post(STOP)
        await until(lambda: len(sink.envelopes) == 1)
    assert os.listdir(spool) == ["README"]  # noqa: PTH208 -- names, not paths
    assert len(journal.of(Action.MAIL_FAILED)) == 4


async def test_draining_sends_what_waits_and_keeps_to_its_grace(spool: Path, journal: RecordingJournal) -> None:
    async with smtp_server(Sink()) as sink:
        mail = Mail(mail_settings(spool, sink.port), clock, journal)
        for number in range(3):
            mail.post(ban_notice(f"198.51.100.{number}"))
        await mail.drain(5)
        subjects = [message["Subject"].partition(": ")[2] for message in sink.messages]
    assert [subject.partition(" ")[0] for subject in subjects] == ["banned", "2"]
    assert letters(spool) == []

    async with raw_server(hang) as port:
        mail = Mail(mail_settings(spool, port), clock, journal)
        mail.post(STOP)
        began = time.monotonic()
        await mail.drain(0.2)
        assert time.monotonic() - began < 2
    assert len(letters(spool)) == 1


async def test_a_letter_that_was_put_off_for_days_is_given_up(spool: Path, journal: RecordingJournal) -> None:
    async with smtp_server(Sink(data=["451 never"] * 9)) as sink:
        old = Mail(mail_settings(spool, 1), lambda: clock() - 6 * 86_400_000, journal)
        old.post(STOP)
        await old.drain(1)
        async with mailing(mail_settings(spool, sink.port), journal):
            await until(lambda: not letters(spool))
    assert sink.envelopes == []
    assert "451 never" in str(journal.of(Action.MAIL_FAILED)[-1].fields["error"])


def test_a_spool_whose_writer_is_killed_holds_whole_letters_only(spool: Path) -> None:
    argv = [sys.executable, "-m", "tests.smtp.child", str(spool)]
    for least in (20, 40, 60):
        child = subprocess.Popen(argv, cwd=ROOT)
        try:
            wait_until(partial(holds, spool, least), 20)
        finally:
            child.kill()
            child.wait(10)
    assert all(path.read_bytes().endswith(b"the end\r\n") for path in letters(spool))
