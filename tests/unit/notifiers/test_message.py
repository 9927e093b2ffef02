"""What a mail says, and that nothing an attacker wrote gets out of its place in it."""

from __future__ import annotations

import re
from email.headerregistry import DateHeader
from email.message import EmailMessage
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amiguard.journal import Action
from amiguard.model import Drops, Evidence, Origin, Reason, parse_target
from amiguard.notifiers.alerts import Alert
from amiguard.notifiers.digest import Digest
from amiguard.notifiers.message import Writer, draft
from amiguard.notifiers.rdap import Registration
from amiguard.notifiers.wording import clean
from amiguard.ports import Notice, NoticeKind
from tests.smtp.mailing import HOSTNAME, NOW, ban, mail_settings
from tests.smtp.servers import body, parsed

WRITER = Writer(mail_settings(Path("/nowhere"), 25))
HEADERS = {"From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "MIME-Version", "Content-Type"}


def written(notice: Notice, owner: Registration | None = None) -> EmailMessage:
    found = {notice.ban.target: owner} if notice.ban and owner else {}
    return parsed(WRITER.write(draft(notice, notice.at, HOSTNAME), found))


def ban_mail(target: str = "198.51.100.7", **changes: object) -> EmailMessage:
    return written(Notice(NoticeKind.BAN, NOW, ban(target, **changes)))


def test_a_ban_mail_tells_everything_in_text_and_in_html() -> None:
    message = ban_mail(earlier=2)
    assert message["Subject"] == f"[amiguard] {HOSTNAME}: banned 198.51.100.7 (wrong-password, 5 failures)"
    assert message["From"] == "amiguard@pbx1.example.org"
    assert message["To"] == "admin@example.org"
    assert message["Message-ID"].endswith(f"@{HOSTNAME}>")
    assert message.get_content_type() == "multipart/alternative"
    date = message["Date"]
    assert isinstance(date, DateHeader)
    assert date.datetime is not None
    assert date.datetime.timestamp() == NOW // 1000
    for kind in ("plain", "html"):
        text = body(message, kind)
        for words in (
            "198.51.100.7",
            "wrong password",
            "PJSIP over TLS",
            "proven: a connection was made from this address",
            "(5 days)",
            "banned 2 times before",
            "100",
            "alice",
            "amiguard unban 198.51.100.7",
            "amiguard 1.2.3",
        ):
            assert words in text, (kind, words)
    assert re.search(r"^Since +20\d\d-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d{4}$", body(message), re.MULTILINE)


def test_a_ban_that_nobody_proved_says_so() -> None:
    assert "not proven" in body(ban_mail(evidence=Evidence.DATAGRAM, transport="UDP"))


def test_a_permanent_ban_by_hand_needs_no_failures() -> None:
    message = ban_mail(
        "2001:db8::/64", reason=Reason.MANUAL, origin=Origin.MANUAL, until=None, failures=0, evidence=None,
        accounts=(), service="", transport="", comment="told by phone",
    )  # fmt: skip
    assert message["Subject"] == f"[amiguard] {HOSTNAME}: banned 2001:db8::/64 (manual)"
    text = body(message)
    for words in ("banned by hand", "permanent", "told by phone", "never banned before"):
        assert words in text
    for words in ("Failures", "Evidence", "Accounts", "Service"):
        assert words not in text


def test_a_ban_mail_shows_who_holds_the_address() -> None:
    notice = Notice(NoticeKind.BAN, NOW, ban())
    owner = Registration("TEST-NET-2", "198.51.100.0 - 198.51.100.255", "Example <Org>", "US", "abuse@example.net")
    message = written(notice, owner=owner)
    assert "Organisation  Example <Org>" in body(message)
    assert "Example &lt;Org&gt;" in body(message, "html")


@pytest.mark.parametrize(("kind", "word"), [(NoticeKind.START, "started"), (NoticeKind.STOP, "stopped")])
def test_start_and_stop_mails_carry_their_text(kind: NoticeKind, word: str) -> None:
    message = written(Notice(kind, NOW, text="nftables\n3 bans <restored>"))
    assert message["Subject"] == f"[amiguard] {HOSTNAME}: {word}"
    assert "\n3 bans <restored>\n" in body(message)
    assert "3 bans &lt;restored&gt;" in body(message, "html")


def test_an_alert_mail_names_the_action_and_shows_each_text_as_one_line() -> None:
    alert = Alert(Action.AMI_LOST, NOW, ("no events since 12:00", "<b>\r\nBcc: x"), count=7)
    message = parsed(WRITER.write(draft(alert, NOW, HOSTNAME), {}))

    assert message["Subject"] == f"[amiguard] {HOSTNAME}: ami-lost, 7 more times"
    assert set(message.keys()) == HEADERS
    text = body(message)
    assert "\nno events since 12:00\n<b>\\r\\nBcc: x\nand 5 more; all of them stand in the log\n" in text
    assert "<b>" not in body(message, "html")


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_has_words(reason: Reason) -> None:
    assert f"Reason        {reason.value}\n" not in body(ban_mail(reason=reason))


HOSTILE = (
    "x\r\nBcc: victim@example.org",
    "x\r\n\r\n<h1>free</h1>",
    "x\n.\r\nMAIL FROM:<evil@example.org>",
    "\x1b[2Jgone\x00\x07",
    "\u202egnp.exe\u2066\u200b\u2028\u2029\x85",
    "\ud800 lone",
    "<script>alert(1)</script>",
    "{{ 7*7 }}{% raw %}",
    "=?utf-8?q?=0D=0ABcc:_x?=",
    "名前" * 2500,
    "n" * 5000,
    "From here\nFrom there",
)


@pytest.mark.parametrize("name", HOSTILE)
def test_what_an_attacker_writes_stays_one_harmless_line_of_the_body(name: str) -> None:
    message = ban_mail(accounts=(name,) * 10, service=name, transport=name, comment=name)
    assert set(message.keys()) == HEADERS
    assert message["Subject"] == f"[amiguard] {HOSTNAME}: banned 198.51.100.7 (wrong-password, 5 failures)"
    raw = WRITER.write(draft(Notice(NoticeKind.BAN, NOW, ban(accounts=(name,))), NOW, HOSTNAME), {})
    assert max(map(len, raw.partition(b"\r\n\r\n")[2].split(b"\r\n"))) <= 76
    calm = ban_mail(accounts=("x",) * 10, service="x", transport="x", comment="x")
    for kind in ("plain", "html"):
        text = body(message, kind)
        assert len(text.split("\n")) == len(body(calm, kind).split("\n"))
        assert all(char.isprintable() or char == "\n" for char in text)
        assert len(text) < 25_000
    assert "<script" not in body(message, "html")
    assert "<h1>free" not in body(message, "html")
    assert f'  "{clean(name)}"\n' in body(message)


@given(st.lists(st.text(max_size=300), max_size=10), st.text(max_size=40))
def test_no_text_breaks_a_mail(names: list[str], comment: str) -> None:
    message = ban_mail(accounts=tuple(names), comment=comment)
    assert set(message.keys()) == HEADERS
    assert message.as_bytes().isascii()
    assert sum(line.startswith('  "') for line in body(message).split("\n")) == len(names)


def test_a_digest_counts_and_lists() -> None:
    digest = Digest(300_000)
    assert digest.at_once(NOW)
    for number in range(60):
        reason = Reason.ACL if number % 3 else Reason.INJECTION
        digest.add(ban(f"198.51.100.{number}", reason=reason, accounts=("a<b",)))
    summary = digest.take(NOW + 300_000)
    assert summary is not None
    found = {parse_target("198.51.100.1"): Registration("N", "198.51.100.0 - 198.51.100.255", "Org", "US", "")}
    message = parsed(WRITER.write(draft(summary, summary.until, HOSTNAME), found))
    assert message["Subject"] == f"[amiguard] {HOSTNAME}: 60 further bans in 5 minutes"
    text = body(message)
    for words in (
        "has banned 60 more in 5 minutes",
        "      40  refused by an access list",
        "      20  forged events",
        '      60  "a<b"',
        "198.51.100.1: refused by an access list, failures: 5, until ",
        ", N 198.51.100.0 - 198.51.100.255, Org, US",
        "and 10 more",
    ):
        assert words in text
    html = body(message, "html")
    assert "a&lt;b" in html
    assert "and 10 more" in html
    assert html.count("<tr>") > 50


def test_a_digest_tells_the_worst_the_countries_and_what_was_dropped() -> None:
    digest = Digest(300_000)
    for number in range(3):
        digest.add(ban(f"198.51.100.{number}", failures=number), Drops(number, 60 * number))
    digest.add(ban("10.0.0.1", failures=1), Drops(9, 540))
    summary = digest.take(NOW)
    assert summary is not None
    writer = Writer(mail_settings(Path("/nowhere"), 25), lambda target: "FR" if "198" in target else "")
    message = parsed(writer.write(draft(summary, NOW, HOSTNAME), {}))

    text = body(message)
    assert "\nMost failures  198.51.100.2 (2), 198.51.100.1 (1), 10.0.0.1 (1)\n" in text
    assert "\nCountries      FR 3, unknown 1\n" in text
    assert "\nDropped        9 packets\n" in text
    assert "FR 3, unknown 1" in body(message, "html")


def test_a_draft_keeps_its_message_id_however_often_it_is_written() -> None:
    one = draft(Notice(NoticeKind.START, NOW), NOW, HOSTNAME)
    ids = {parsed(WRITER.write(one, {}))["Message-ID"] for _ in range(2)}
    assert ids == {one.message_id}


def test_a_host_name_that_is_none_cannot_break_headers(tmp_path: Path) -> None:
    writer = Writer(mail_settings(tmp_path, 25, hostname="pbx\r\nBcc: x@example.org"))
    message = parsed(writer.write(draft(Notice(NoticeKind.START, NOW), NOW, "pbx\r\nBcc: x"), {}))
    assert set(message.keys()) == HEADERS
    assert message["Subject"] == "[amiguard] pbx--Bcc--x-example.org: started"
