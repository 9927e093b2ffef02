"""Connecting: in clear text, with STARTTLS or TLS, with a login; and every way in which that must fail."""

from __future__ import annotations

import asyncio
import ssl
import traceback
from base64 import b64encode
from dataclasses import replace
from pathlib import Path

import pytest
import trustme

from amiguard.errors import NotifierError
from amiguard.journal import Action
from amiguard.notifiers.mail import probe
from amiguard.notifiers.smtp import session
from tests.lab.journal import RecordingJournal
from tests.lab.waiting import until
from tests.smtp.mailing import ban_notice, letters, mail_settings, mailing
from tests.smtp.servers import PASSWORD, Sink, die_in_data, hang, raw_server, smtp_server

pytestmark = pytest.mark.smtp


async def test_a_probe_tells_in_one_line_that_the_server_answers(spool: Path) -> None:
    async with smtp_server(Sink()) as sink:
        line = await probe(mail_settings(spool, sink.port))
    assert line == f"127.0.0.1 port {sink.port} answers in clear text"
    assert sink.sessions == 1


async def test_mail_arrives_over_starttls_after_a_login(
    spool: Path, ca_file: Path, server_tls: ssl.SSLContext, journal: RecordingJournal
) -> None:
    async with smtp_server(Sink(), starttls=server_tls, auth=True) as sink:
        settings = mail_settings(spool, sink.port, tls="starttls", ca_file=ca_file, username="guard", password=PASSWORD)
        assert "with STARTTLS, logged in as guard" in await probe(settings)
        async with mailing(settings, journal) as mail:
            mail.post(ban_notice())
            await until(lambda: len(sink.envelopes) == 1)


async def test_mail_arrives_over_tls_after_a_login(
    spool: Path, ca_file: Path, server_tls: ssl.SSLContext, journal: RecordingJournal
) -> None:
    async with smtp_server(Sink(), tls=server_tls, auth=True) as sink:
        settings = mail_settings(spool, sink.port, tls="tls", ca_file=ca_file, username="guard", password=PASSWORD)
        assert "with TLS, logged in as guard" in await probe(settings)
        async with mailing(settings, journal) as mail:
            mail.post(ban_notice())
            await until(lambda: len(sink.envelopes) == 1)


async def test_starttls_is_never_given_up_silently(spool: Path, journal: RecordingJournal) -> None:
    async with smtp_server(Sink()) as sink:
        settings = mail_settings(spool, sink.port, tls="starttls")
        with pytest.raises(NotifierError, match="STARTTLS") as caught:
            await probe(settings)
        assert not caught.value.permanent
        async with mailing(settings, journal) as mail:
            mail.post(ban_notice())
            await until(lambda: bool(journal.of(Action.MAIL_FAILED)))
        assert sink.envelopes == []
    assert len(letters(spool)) == 1


@pytest.mark.parametrize("tls", ["starttls", "tls"])
async def test_a_certificate_of_an_unknown_authority_is_refused(
    spool: Path, server_tls: ssl.SSLContext, tmp_path: Path, tls: str
) -> None:
    stranger = tmp_path / "stranger.pem"
    trustme.CA().cert_pem.write_to_path(str(stranger))
    implicit, explicit = (server_tls, None) if tls == "tls" else (None, server_tls)
    async with smtp_server(Sink(), tls=implicit, starttls=explicit) as sink:
        with pytest.raises(NotifierError, match="certificate not accepted"):
            await probe(mail_settings(spool, sink.port, tls=tls, ca_file=stranger))
        with pytest.raises(NotifierError, match="certificate not accepted"):
            await probe(mail_settings(spool, sink.port, tls=tls))


async def test_a_certificate_for_another_name_is_refused(spool: Path, ca_file: Path, authority: trustme.CA) -> None:
    other = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("other.example.org").configure_cert(other)
    async with smtp_server(Sink(), tls=other) as sink:
        with pytest.raises(NotifierError, match="certificate not accepted"):
            await probe(mail_settings(spool, sink.port, tls="tls", ca_file=ca_file))


async def test_certificates_that_cannot_be_read_are_named(spool: Path, tmp_path: Path) -> None:
    with pytest.raises(NotifierError, match=r"missing\.pem"):
        await probe(mail_settings(spool, 1, tls="tls", ca_file=tmp_path / "missing.pem"))


async def test_a_wrong_password_keeps_the_mail_and_is_shown_nowhere(
    spool: Path, ca_file: Path, server_tls: ssl.SSLContext, journal: RecordingJournal
) -> None:
    async with smtp_server(Sink(), tls=server_tls, auth=True) as sink:
        settings = mail_settings(spool, sink.port, tls="tls", ca_file=ca_file, username="guard", password="S3cret-one")
        async with mailing(settings, journal) as mail:
            mail.post(ban_notice())
            await until(lambda: bool(journal.of(Action.MAIL_FAILED)))
    error = journal.of(Action.MAIL_FAILED)[0].fields["error"]
    assert isinstance(error, NotifierError)
    assert "login refused (reply code 535)" in str(error)
    assert error.__context__ is None
    assert "S3cret" not in repr((journal.lines, settings, error))
    assert len(letters(spool)) == 1


async def test_a_server_that_repeats_the_password_does_not_get_it_into_the_log(spool: Path) -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mx\r\n")
        while line := await reader.readline():
            if line.startswith(b"EHLO"):
                writer.write(b"250-mx\r\n250 AUTH PLAIN LOGIN\r\n")
            else:
                writer.write(b"535 wrong: S3cret-one " + line.strip() + b"\r\n")

    async with raw_server(echo) as port:
        with pytest.raises(NotifierError, match="login refused") as caught:
            await probe(mail_settings(spool, port, username="guard", password="S3cret-one"))
    assert "S3cret" not in str(caught.value)
    assert "UzNjcmV0" not in str(caught.value)


PLAIN = b64encode(b"\0guard\0S3cret-one")


@pytest.mark.parametrize("words", [b"450 S3cret-one", b"550 UzNjcmV0LW9uZQ==", b"450 " + PLAIN, b"nonsense S3cret-one"])
async def test_a_server_that_repeats_the_password_after_the_login_does_not_either(
    spool: Path, journal: RecordingJournal, words: bytes
) -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mx\r\n")
        while line := await reader.readline():
            known = {b"EH": b"250-mx\r\n250 AUTH PLAIN", b"AU": b"235 ok", b"MA": b"250 ok"}
            writer.write(known.get(line[:2].upper(), words) + b"\r\n")

    async with raw_server(echo) as port:
        settings = mail_settings(spool, port, username="guard", password="S3cret-one")
        async with mailing(settings, journal) as mail:
            mail.post(ban_notice())
            await until(lambda: bool(journal.of(Action.MAIL_FAILED)))
    told = repr(journal.lines) + "".join(
        "".join(traceback.format_exception(error))
        for line in journal.of(Action.MAIL_FAILED)
        if isinstance(error := line.fields.get("error"), BaseException)
    )
    assert not any(secret in told for secret in ("S3cret", "UzNjcmV0", PLAIN.decode()))


async def test_a_dead_port_is_an_error_that_names_it(spool: Path) -> None:
    async with raw_server(hang) as port:
        pass
    with pytest.raises(NotifierError, match=f"127.0.0.1 port {port}"):
        await probe(mail_settings(spool, port))


async def test_a_server_that_says_nothing_costs_only_the_time_limit(spool: Path) -> None:
    async with raw_server(hang) as port:
        with pytest.raises(NotifierError, match="no answer in time"):
            await probe(mail_settings(spool, port, timeout=0.2))
        with pytest.raises(NotifierError, match=r"127\.0\.0\.1"):
            await probe(mail_settings(spool, port, timeout=0.2, tls="tls"))


async def test_a_server_that_trickles_for_ever_costs_only_the_time_limit(spool: Path) -> None:
    async def trickle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            writer.write(b"220-mx\r\n" * 1000)
            await writer.drain()

    async with raw_server(trickle) as port:
        with pytest.raises(NotifierError, match=r"127\.0\.0\.1"):
            await probe(mail_settings(spool, port, timeout=1))


async def test_a_server_that_speaks_no_smtp_is_an_error(spool: Path) -> None:
    async def web(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad\x1b[31m Request\r\n\r\n")
        await reader.read()

    async with raw_server(web) as port:
        with pytest.raises(NotifierError, match="Malformed") as caught:
            await probe(mail_settings(spool, port))
    assert "\x1b" not in str(caught.value)


async def test_what_is_sent_before_tls_is_not_believed_afterwards(
    spool: Path, ca_file: Path, server_tls: ssl.SSLContext
) -> None:
    async def inject(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mx\r\n")
        await reader.readline()
        writer.write(b"250-mx\r\n250-AUTH PLAIN\r\n250 STARTTLS\r\n")
        await reader.readline()
        writer.write(b"220 go on\r\n250-mx\r\n250 AUTH PLAIN\r\n")
        await writer.drain()
        await writer.start_tls(server_tls)
        await reader.readline()
        writer.write(b"250 mx\r\n")
        await reader.read()

    async with raw_server(inject) as port:
        settings = mail_settings(spool, port, tls="starttls", ca_file=ca_file, username="guard", password=PASSWORD)
        with pytest.raises(NotifierError):
            await probe(replace(settings, timeout=1))


async def test_a_server_that_vanishes_in_the_middle_of_a_mail_raises_a_passing_error(spool: Path) -> None:
    async with raw_server(die_in_data) as port, session(mail_settings(spool, port)) as server:
        with pytest.raises(NotifierError) as caught:
            await server.send(("admin@example.org",), b"Subject: x\r\n\r\n" + b"x" * 100_000)
        assert not caught.value.permanent
        assert not server.alive
