"""A mail's whole way through a real mail server, as Debian ships it, into a mailbox."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from amiguard.journal import Action
from amiguard.notifiers.mail import probe
from amiguard.ports import Notice, NoticeKind
from tests.lab.journal import RecordingJournal
from tests.lab.waiting import until
from tests.smtp.mailing import NOW, ban_notice, letters, mail_settings, mailing
from tests.smtp.opensmtpd import PORT, OpenSmtpd, opensmtpd
from tests.smtp.servers import body, parsed

pytestmark = [pytest.mark.smtp, pytest.mark.netns]


@pytest.fixture(scope="module")
def server(servers_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenSmtpd]:
    with opensmtpd(servers_root, tmp_path_factory.mktemp("opensmtpd")) as running:
        yield running


def test_start_ban_and_stop_reach_the_mailbox(server: OpenSmtpd, spool: Path, journal: RecordingJournal) -> None:
    hostile = "x\r\nBcc: victim@example.org\r\n\r\n.\r\nMAIL FROM:<evil@example.org>"

    async def send() -> None:
        async with mailing(mail_settings(spool, PORT), journal) as mail:
            mail.post(Notice(NoticeKind.START, NOW, text="nftables"))
            mail.post(ban_notice(accounts=(hostile, "n" * 5000, "名前")))
            mail.post(Notice(NoticeKind.STOP, NOW, text="SIGTERM"))
            await until(lambda: len(server.delivered()) == 3 and not letters(spool), 20, "three mails in the box")

    with server.namespace.entered():
        asyncio.run(send())
    assert journal.of(Action.MAIL_FAILED) == []
    messages = {message["Subject"]: message for message in map(parsed, (p.read_bytes() for p in server.delivered()))}
    host = "[amiguard] pbx1.example.org:"
    banned = f"{host} banned 198.51.100.7 (wrong-password, 5 failures)"
    assert set(messages) == {f"{host} started", banned, f"{host} stopped"}
    message = messages[banned]
    assert message["Bcc"] is None
    assert message["To"] == "admin@example.org"
    for kind in ("plain", "html"):
        text = body(message, kind)
        assert "x\\r\\nBcc: victim@example.org\\r\\n\\r\\n.\\r\\nMAIL FROM:" in text
        assert "名前" in text
        assert "n" * 256 + "…" in text
        assert "amiguard unban 198.51.100.7" in text


def test_a_probe_finds_the_server(server: OpenSmtpd, spool: Path) -> None:
    with server.namespace.entered():
        assert asyncio.run(probe(mail_settings(spool, PORT))) == "127.0.0.1 port 25 answers in clear text"
