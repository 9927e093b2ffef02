"""What becomes of a notice while the receiver takes, refuses, dawdles, lies or is away: real servers on loopback."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import trustme
from aiohttp import web

from amiguard import queued
from amiguard.clock import steady_clock
from amiguard.errors import NotifierError
from amiguard.journal import Action
from amiguard.notifiers.settings import WebhookSettings
from amiguard.notifiers.webhook import Webhook, notifier, probe
from amiguard.notifiers.webhook.layout import Layout
from amiguard.notifiers.webhook.signature import headers
from amiguard.ports import Notice, NoticeKind
from tests.lab.journal import RecordingJournal
from tests.lab.receiver import Posted, Receiver, receiving, speaking
from tests.lab.waiting import until
from tests.smtp.mailing import NOW, ban, ban_notice

SECRET = "canary-secret"
TOKEN = "canary-token"
clock = steady_clock()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queued, "RETRY", (0.02, 0.1))


@pytest.fixture
def journal() -> RecordingJournal:
    return RecordingJournal()


def settings(url: str, **changes: Any) -> WebhookSettings:
    values: dict[str, Any] = {"url": url, "hostname": "pbx1", "version": "1.2.3", "secret": SECRET, "timeout": 5}
    return WebhookSettings(**(values | changes))


@asynccontextmanager
async def posting(chosen: WebhookSettings, journal: RecordingJournal) -> AsyncIterator[Webhook]:
    """Run a notifier until the end of the block, without the drain that the daemon would do then."""
    webhook = Webhook(chosen, clock, journal)
    task = asyncio.create_task(webhook.run())
    try:
        yield webhook
        assert not task.done()
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def errors(journal: RecordingJournal) -> list[str]:
    return [str(line.fields.get("error", line.message)) for line in journal.of(Action.WEBHOOK_FAILED)]


def start() -> Notice:
    return Notice(NoticeKind.START, NOW, text="nftables")


def addresses(receiver: Receiver) -> list[str]:
    return [told["ban"]["address"] for told in receiver.told if "ban" in told]


async def test_every_notice_is_posted_in_order_and_signed(journal: RecordingJournal) -> None:
    alert = Notice(NoticeKind.ALERT, NOW, text="no events", action=Action.AMI_LOST)
    unban = Notice(NoticeKind.UNBAN, NOW, ban())
    async with receiving(Receiver()) as receiver, posting(settings(receiver.url), journal) as webhook:
        for notice in (start(), ban_notice(), alert, unban, Notice(NoticeKind.STOP, NOW, text="SIGTERM")):
            webhook.post(notice)
        await until(lambda: webhook.status()["sent"] == 5)

    assert [told["kind"] for told in receiver.told] == ["start", "ban", "alert", "unban", "stop"]
    assert len({told["id"] for told in receiver.told}) == 5
    assert all(signed(posted) for posted in receiver.got)
    assert all(posted.headers["content-type"] == "application/json" for posted in receiver.got)
    assert journal.lines == []


def signed(posted: Posted) -> bool:
    at = int(posted.headers["webhook-timestamp"]) * 1000
    expected = headers(posted.json["id"], at, posted.body, SECRET)
    return expected.items() <= posted.headers.items()


@pytest.mark.parametrize("status", [500, 503, 429, 408])
async def test_a_notice_that_is_put_off_arrives_later_once_and_with_the_same_id(
    journal: RecordingJournal, status: int
) -> None:
    async with receiving(Receiver([status, status])) as receiver, posting(settings(receiver.url), journal) as webhook:
        webhook.post(ban_notice("192.0.2.1"))
        webhook.post(ban_notice("192.0.2.2"))
        await until(lambda: webhook.status()["waiting"] == 0)

    assert addresses(receiver) == ["192.0.2.1"] * 3 + ["192.0.2.2"]
    assert len({told["id"] for told in receiver.told}) == 2
    assert errors(journal) == [f"{receiver.url.partition('/hook')[0]}: HTTP status {status}"]
    assert journal.count(Action.WEBHOOK_RECOVERED) == 1


@pytest.mark.parametrize("status", [301, 307, 400, 401, 404, 410])
async def test_what_is_refused_for_good_is_given_up_and_no_redirect_is_followed(
    journal: RecordingJournal, status: int
) -> None:
    async with receiving(Receiver()) as elsewhere:
        receiver = Receiver([status], {"Location": elsewhere.url})
        async with receiving(receiver), posting(settings(receiver.url), journal) as webhook:
            webhook.post(ban_notice("192.0.2.1"))
            webhook.post(ban_notice("192.0.2.2"))
            await until(lambda: webhook.status()["sent"] == 1)

    assert addresses(receiver) == ["192.0.2.1", "192.0.2.2"]
    assert elsewhere.got == []
    assert [line.message for line in journal.of(Action.WEBHOOK_FAILED)] == ["given up"]
    assert webhook.status()["lost"] == 1


async def test_a_receiver_that_always_fails_on_one_notice_does_not_hold_up_the_others(
    journal: RecordingJournal,
) -> None:
    receiver = Receiver([500] * queued.TRIES)
    async with receiving(receiver), posting(settings(receiver.url), journal) as webhook:
        webhook.post(ban_notice("192.0.2.1"))
        webhook.post(ban_notice("192.0.2.2"))
        await until(lambda: webhook.status()["sent"] == 1)

    assert addresses(receiver) == ["192.0.2.1"] * queued.TRIES + ["192.0.2.2"]
    assert webhook.status()["lost"] == 1


async def test_a_receiver_that_is_away_gets_what_waits_when_it_is_back(journal: RecordingJournal) -> None:
    async with speaking(hang_up) as url, posting(settings(url), journal) as webhook:
        webhook.post(ban_notice())
        await until(lambda: bool(errors(journal)))
        assert "closed the connection" in errors(journal)[0]
        assert webhook.status()["waiting"] == 1
        await webhook.drain(0.2)
    assert errors(journal)[-1] == "amiguard ends; what waits is lost"


async def test_a_receiver_that_nobody_answers_for_is_told_by_type_and_not_by_url(journal: RecordingJournal) -> None:
    async with speaking(hang_up) as url:
        pass
    async with posting(settings(url), journal) as webhook:
        webhook.post(ban_notice())
        await until(lambda: bool(errors(journal)))
    assert errors(journal) == [f"{url.partition('/hook')[0]}: Connection refused"]


async def test_while_the_receiver_is_dead_memory_is_bounded_and_the_newest_are_kept(
    journal: RecordingJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with speaking(hang_up) as url, posting(settings(url, waiting=100), journal) as webhook:
        for number in range(10_000):
            webhook.post(ban_notice(f"10.0.{number // 256}.{number % 256}"))
            assert len(webhook._waiting) <= 100
        await until(lambda: webhook.status()["lost"] == 9_900)
        kept = [message.content.ban.target for message in webhook._waiting]  # type: ignore[union-attr]

    assert kept[-1] == "10.0.39.15"
    assert len(journal.lines) < 10


async def test_what_nobody_answers_for_an_hour_is_given_up(journal: RecordingJournal) -> None:
    now = 1_000_000
    async with speaking(hang_up) as url:
        webhook = Webhook(settings(url), lambda: now, journal)
        webhook.post(ban_notice())
        now += notifier.PATIENCE + 1
        await webhook.drain(1)

    assert [line.message for line in journal.of(Action.WEBHOOK_FAILED)] == ["given up"]


async def test_a_stop_hands_over_what_waits(journal: RecordingJournal) -> None:
    async with receiving(Receiver()) as receiver:
        webhook = Webhook(settings(receiver.url), clock, journal)
        webhook.post(ban_notice())
        webhook.post(Notice(NoticeKind.STOP, NOW, text="SIGTERM"))
        await webhook.drain(5)

    assert [told["kind"] for told in receiver.told] == ["ban", "stop"]
    assert journal.lines == []


async def test_a_stop_waits_for_a_slow_receiver_no_longer_than_its_grace(journal: RecordingJournal) -> None:
    async with speaking(dawdle) as url:
        webhook = Webhook(settings(url, timeout=60), clock, journal)
        webhook.post(ban_notice())
        async with asyncio.timeout(5):
            await webhook.drain(0.1)

    assert errors(journal) == ["amiguard ends; what waits is lost"]


async def test_a_successor_tells_what_waits_first(journal: RecordingJournal) -> None:
    async with receiving(Receiver()) as receiver:
        old = Webhook(settings("http://127.0.0.1:1/"), clock, journal)
        new = Webhook(settings(receiver.url), clock, journal)
        old.post(ban_notice("192.0.2.1"))
        new.post(ban_notice("192.0.2.2"))
        old.hand_on(new)
        await old.drain(0)
        await new.drain(5)

    assert addresses(receiver) == ["192.0.2.1", "192.0.2.2"]
    assert journal.lines == []


async def test_what_found_no_room_is_told_of_also_when_amiguard_ends_or_takes_other_settings(
    journal: RecordingJournal,
) -> None:
    async with receiving(Receiver()) as receiver:
        for last in ("drain", "hand on"):
            webhook = Webhook(settings(receiver.url, waiting=2), clock, journal)
            for number in range(5):
                webhook.post(ban_notice(f"192.0.2.{number}"))
            if last == "drain":
                await webhook.drain(5)
            else:
                webhook.hand_on(Webhook(settings(receiver.url), clock, journal))
            assert webhook.status()["lost"] == 3

    assert addresses(receiver) == ["192.0.2.3", "192.0.2.4"]
    assert [line.fields["count"] for line in journal.of(Action.WEBHOOK_FAILED)] == [3, 3]


async def test_what_is_taken_while_it_makes_room_is_not_lost(journal: RecordingJournal) -> None:
    receiver, asked, answer = Receiver(), asyncio.Event(), asyncio.Event()

    async def slowly(request: web.Request) -> web.Response:
        asked.set()
        await answer.wait()
        return await Receiver.handle(receiver, request)

    receiver.handle = slowly  # type: ignore[method-assign]
    async with receiving(receiver), posting(settings(receiver.url, waiting=1), journal) as webhook:
        webhook.post(ban_notice("192.0.2.1"))
        await asked.wait()
        webhook.post(ban_notice("192.0.2.2"))
        answer.set()
        await until(lambda: webhook.status()["sent"] == 2)

    assert addresses(receiver) == ["192.0.2.1", "192.0.2.2"]
    assert webhook.status()["lost"] == 0
    assert journal.lines == []


async def test_only_the_chosen_events_are_posted(journal: RecordingJournal) -> None:
    async with receiving(Receiver()) as receiver:
        webhook = Webhook(settings(receiver.url, events=frozenset({NoticeKind.STOP})), clock, journal)
        for notice in (start(), ban_notice(), Notice(NoticeKind.STOP, NOW)):
            webhook.post(notice)
        await webhook.drain(5)

    assert [told["kind"] for told in receiver.told] == ["stop"]


async def test_alerts_are_posted_at_once_and_their_repetitions_together(journal: RecordingJournal) -> None:
    async with receiving(Receiver()) as receiver:
        webhook = Webhook(settings(receiver.url), clock, journal)
        for text in ("one", "two", "three"):
            webhook.post(Notice(NoticeKind.ALERT, NOW, text=text, action=Action.AMI_LOST))
        await webhook.drain(5)

    assert [(told["action"], told["count"], told["texts"]) for told in receiver.told] == [
        ("ami-lost", 1, ["one"]),
        ("ami-lost", 2, ["two", "three"]),
    ]


async def test_people_get_the_first_ban_and_a_digest(journal: RecordingJournal) -> None:
    async with receiving(Receiver()) as receiver:
        webhook = Webhook(settings(receiver.url), clock, journal, Layout("slack", receiver.url))
        for number in range(50):
            webhook.post(ban_notice(f"192.0.2.{number}"))
            webhook.post(Notice(NoticeKind.UNBAN, NOW, ban(f"192.0.2.{number}")))
        await webhook.drain(5)

    assert [told["text"].partition(": ")[2] for told in receiver.told][:3] == [
        "banned 192.0.2.0 (wrong-password, 5 failures)",
        "unbanned 192.0.2.0",
        "unban, 49 more times",
    ]
    assert "49 further bans" in receiver.told[3]["text"]
    assert len(receiver.told) == 4


# -- receivers that lie ----------------------------------------------------------------------------------------------


async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")


async def dawdle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 ")
    await asyncio.Event().wait()


async def huge_body(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n")
    while True:
        writer.write(bytes(1 << 20))
        await writer.drain()


async def huge_chunk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffff\r\n")
    while True:
        writer.write(bytes(1 << 20))
        await writer.drain()


async def huge_head(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        writer.write(b"X-Filler: " + b"x" * 1000 + b"\r\n")
        await writer.drain()


async def huge_line(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(b"HTTP/1.1 200 " + b"x" * (1 << 20))
        await writer.drain()


async def endless_hints(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" * 1000)
        await writer.drain()


async def garbage(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"\x00\xff SSH-2.0-no\r\n\r\n")
    await writer.drain()


LIARS = (drip, huge_body, huge_chunk, huge_head, huge_line, endless_hints, garbage, hang_up)


def peak(*, anew: bool = False) -> int:
    """Return how many bytes of memory this process had at most; `anew`: since now."""
    if anew:
        Path("/proc/self/clear_refs").write_text("5")  # proc(5)
    status = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in status if line.startswith("VmHWM:")) * 1024


@pytest.mark.parametrize("liar", LIARS, ids=lambda liar: liar.__name__)
async def test_a_receiver_that_lies_costs_little_memory_and_tells_no_secret(
    journal: RecordingJournal, liar: Any
) -> None:
    before = peak(anew=True)
    async with speaking(liar) as url, posting(settings(url, timeout=0.3), journal) as webhook:
        webhook.post(ban_notice())
        await until(lambda: bool(journal.lines) or webhook.status()["sent"] == 1, 10)

    assert peak() - before < 20_000_000
    assert TOKEN not in str(journal.lines)
    assert SECRET not in str(journal.lines)


async def test_a_slow_receiver_delays_no_post(journal: RecordingJournal) -> None:
    async with speaking(dawdle) as url, posting(settings(url, timeout=60), journal) as webhook:
        webhook.post(ban_notice())
        await until(lambda: bool(webhook._waiting))
        loop = asyncio.get_running_loop()
        began = loop.time()
        for _ in range(1_000):
            webhook.post(ban_notice())
        assert loop.time() - began < 1


async def test_a_certificate_is_checked(journal: RecordingJournal, tmp_path: Path) -> None:
    authority = trustme.CA()
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    receiver = Receiver()
    app = web.Application()
    app.router.add_post("/hook", receiver.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
    url = f"https://127.0.0.1:{runner.addresses[0][1]}/hook"
    try:
        async with posting(settings(url), journal) as webhook:
            webhook.post(ban_notice())
            await until(lambda: bool(errors(journal)))
        assert errors(journal) == [f"{url.partition('/hook')[0]}: its certificate can't be trusted"]
        with pytest.raises(NotifierError, match="certificate can't be trusted"):
            await probe(settings(url))

        trusting = settings(url, ca_file=tmp_path / "ca.pem")
        assert "takes connections" in await probe(trusting)
        async with posting(trusting, journal) as webhook:
            webhook.post(ban_notice())
            await until(lambda: len(receiver.got) == 1)
    finally:
        await runner.cleanup()


def test_settings_show_no_secret() -> None:
    shown = repr(settings("https://hooks.example.org/services/canary-token"))

    assert TOKEN not in shown
    assert SECRET not in shown
