"""CrowdSec's local API as a server that fails, dawdles and lies; the real one: `e2e/test_crowdsec.py`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import pytest
from aiohttp import web

from amiguard import queued
from amiguard.errors import FeedError
from amiguard.feeds.crowdsec import bouncer
from amiguard.feeds.crowdsec.bouncer import Bouncer
from amiguard.feeds.crowdsec.lapi import probe
from amiguard.feeds.crowdsec.processor import BATCH, Processor
from amiguard.feeds.crowdsec.settings import CrowdSecSettings
from amiguard.journal import Action
from amiguard.listed import Listed
from amiguard.lists import Delta
from amiguard.model import Address, Ban, Origin, Reason, Target, Timestamp
from amiguard.ports import Notice, NoticeKind
from amiguard.queued import TRIES
from tests.lab.journal import RecordingJournal
from tests.lab.steps import BREATH, steps
from tests.lab.waiting import until

NOW = 1_764_590_400_000
KEY, PASSWORD = "canary-key", "canary-password"
EMPTY = '{"deleted":null,"new":null}'


def decision(number: int, value: str, duration: str = "1h", origin: str = "cscli") -> dict[str, object]:
    scope = "Range" if "/" in value else "Ip"
    return {"id": number, "origin": origin, "type": "ban", "scope": scope, "value": value, "duration": duration}


def answer(new: list[dict[str, object]], deleted: list[dict[str, object]] | None = None) -> str:
    return json.dumps({"new": new, "deleted": deleted})


@dataclass
class Api:
    """Answers with what `full` and `deltas` say, or as `faults` do, one after the other."""

    full: str = EMPTY
    deltas: list[str] = field(default_factory=list)
    faults: list[Callable[[web.Request], Awaitable[web.StreamResponse]]] = field(default_factory=list)
    startups: int = 0
    logins: int = 0
    tokens: set[str] = field(default_factory=set)
    told: list[object] = field(default_factory=list)
    url: str = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:  # noqa: PLR0911 -- an answer for each request
        if self.faults:
            return await self.faults.pop(0)(request)
        if request.path == "/v1/watchers/login":
            assert (await request.json())["password"] == PASSWORD
            self.logins += 1
            self.tokens = {f"token{self.logins}"}
            return web.json_response({"code": 200, "token": f"token{self.logins}"})
        if request.method == "GET":
            if request.headers.get("X-Api-Key") != KEY:
                return web.Response(status=403)
            if request.query.get("startup") == "true":
                self.startups += 1
                return web.Response(text=self.full)
            return web.Response(text=self.deltas.pop(0) if self.deltas else EMPTY)
        if request.headers.get("Authorization", "").removeprefix("Bearer ") not in self.tokens:
            return web.Response(status=401)
        self.told.append(await request.json() if request.method == "POST" else request.query_string)
        return web.json_response(["1"], status=201)


@asynccontextmanager
async def serving(api: Api) -> AsyncIterator[CrowdSecSettings]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", api.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield CrowdSecSettings(
            url, "1", "pbx1", KEY, "amiguard", PASSWORD, interval=0.01, limit=1_000, timeout=0.5, waiting=200
        )
    finally:
        await runner.cleanup()


def status(code: int, headers: Mapping[str, str] | None = None) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def fail(request: web.Request) -> web.Response:
        return web.Response(status=code, headers=headers)

    return fail


def body(text: bytes, **headers: str) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def lie(request: web.Request) -> web.Response:
        return web.Response(body=text, headers=headers)

    return lie


async def cut_off(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Length": "1000"})
    await response.prepare(request)
    await response.write(answer([decision(1, "45.9.9.1")]).encode()[:-20])
    assert request.transport is not None
    request.transport.close()
    return response


async def dawdle(request: web.Request) -> web.StreamResponse:
    await asyncio.Event().wait()
    raise AssertionError


FAULTS = {
    "500": status(500),
    "429": status(429),
    "403": status(403),
    "garbage": body(b"\x00\xff<html>"),
    "not its answer": body(b'["45.9.9.1"]'),
    "too much": body(answer([decision(one, f"45.{one}.0.0/17") for one in range(9)]).encode()),
    "huge": body(b"[" * (1 << 20)),
    "compressed": body(b"x", **{"Content-Encoding": "br"}),
    "cut off": cut_off,
    "slow": dawdle,
}


@dataclass
class Taken:
    """A `lists.Taker` that remembers."""

    listed: Listed | None = None
    deltas: list[Delta] = field(default_factory=list)

    def replace(self, name: str, listed: Listed, told: Mapping[str, object]) -> None:
        self.listed = listed

    async def change(self, name: str, delta: Delta) -> None:
        self.deltas.append(delta)

    def renew(self, name: str, end: Timestamp) -> None:
        raise AssertionError("nobody asked for it")

    def forget(self, name: str) -> None:
        raise AssertionError("nobody asked for it")

    def names(self, address: str, now: int = NOW) -> bool:
        return self.listed is not None and bool(self.listed.around(Address(Target(address)), now))


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bouncer, "RETRY", (0.01, 0.02))
    monkeypatch.setattr(queued, "RETRY", (0.01, 0.02))


@asynccontextmanager
async def following(settings: CrowdSecSettings) -> AsyncIterator[tuple[Bouncer, Taken, RecordingJournal]]:
    taken, journal = Taken(), RecordingJournal()
    one = Bouncer(settings, taken, journal, lambda: NOW)
    running = asyncio.create_task(one.run())
    try:
        yield one, taken, journal
    finally:
        running.cancel()
        await asyncio.wait({running})
        assert running.cancelled()


async def test_decisions_in_force_come_first_and_then_what_changes() -> None:
    own = decision(3, "45.9.9.3", origin="amiguard/pbx1")
    other = decision(4, "45.9.9.4", origin="amiguard/pbx2")
    api = Api(answer([decision(1, "45.9.9.1"), decision(2, "45.9.10.0/25"), own, other]))
    api.deltas = [
        answer([decision(5, "45.9.9.1", "2h")]),
        answer([], [decision(1, "45.9.9.1", "-1s")]),
        answer([], [decision(5, "45.9.9.1", "-1s"), decision(2, "45.9.10.0/25")]),
    ]
    async with serving(api) as settings, following(settings) as (one, taken, _):
        await until(lambda: len(taken.deltas) == 3)
        assert taken.names("45.9.9.1")
        assert taken.names("45.9.10.127")
        assert taken.names("45.9.9.4")
        assert not taken.names("45.9.9.3")
        assert not taken.names("45.9.9.1", NOW + 3_600_000)
        assert [end for _, _, end in taken.deltas[0].put] == [NOW + 7_200_000]
        assert [end for _, _, end in taken.deltas[1].put] == [NOW + 7_200_000]  # another decision still stands
        assert len(taken.deltas[2].take) == 129
        assert one.status()["up"]
    assert api.startups == 1


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
@pytest.mark.parametrize("later", [False, True])
async def test_a_fault_changes_nothing_is_told_once_and_then_all_is_asked_for_anew(
    fault: Callable[[web.Request], Awaitable[web.StreamResponse]], later: bool
) -> None:
    api = Api(answer([decision(1, "45.9.9.1")]))
    async with serving(api) as settings:
        if not later:
            api.faults = [fault, fault]
        async with following(settings) as (one, taken, journal):
            if later:
                await until(lambda: taken.names("45.9.9.1"))
                api.full = answer([decision(2, "45.9.9.2")])
                api.faults = [fault, fault]
                await until(lambda: not api.faults)
            await until(lambda: taken.names("45.9.9.2" if later else "45.9.9.1"))
            assert 1 <= journal.count(Action.FEED_FAILED) <= 2
            assert one.status()["failures"] in {1, 2}  # a change that is too large is no failure yet
            assert one.status()["error"] == ""
            assert taken.deltas == []
    said = " ".join(line.message for line in journal.of(Action.FEED_FAILED))
    assert KEY not in said
    assert "CrowdSec" in said


async def test_of_many_changes_at_once_everything_is_asked_for_anew() -> None:
    many = [decision(one, f"45.9.{one // 256}.{one % 256}") for one in range(600)]
    api = Api(answer([decision(1, "45.9.9.1")]), [answer(many)])
    async with serving(api) as settings, following(settings) as (one, taken, _):
        await until(lambda: taken.names("45.9.9.1"))
        api.full = answer(many)
        await until(lambda: taken.names("45.9.0.200"))
        assert taken.deltas == []
        assert one.status()["failures"] == 0
    assert api.startups == 2


async def test_decisions_without_end_about_one_address_are_too_many_too() -> None:
    api = Api(answer([decision(1, "45.9.9.1")]))
    api.deltas = [
        answer([decision(one, "45.9.9.1") for one in range(begin, begin + 300)]) for begin in range(0, 1200, 300)
    ]
    async with serving(api) as settings, following(settings) as (_, taken, journal):
        await until(lambda: journal.count(Action.FEED_FAILED) == 1)
        assert "more than 1,000" in journal.of(Action.FEED_FAILED)[0].message
        assert taken.names("45.9.9.1")


async def test_tens_of_thousands_of_decisions_that_are_our_own_keep_no_event_waiting() -> None:
    mine = [decision(number, f"45.{number >> 8}.{number & 255}.1", origin="amiguard/pbx1") for number in range(30_000)]
    api = Api(answer([*mine, decision(1, "45.9.9.1")]), deltas=[answer(mine)])
    async with serving(api) as settings:
        with steps() as taken_by_steps:
            async with following(replace(settings, timeout=20)) as (_, taken, _):
                await until(lambda: taken.names("45.9.9.1") and not api.deltas, 20)
    assert max(taken_by_steps) < BREATH


async def test_a_bouncer_waits_as_long_as_it_is_told() -> None:
    api = Api(faults=[status(429, {"Retry-After": "600"})])
    async with serving(api) as settings, following(settings) as (one, _, _):
        await until(lambda: one.status()["failures"] == 1)
        for _ in range(50):
            await asyncio.sleep(0.001)
    assert api.startups == 0


def notice(kind: NoticeKind, address: str, origin: Origin = Origin.LOCAL) -> Notice:
    ban = Ban(Target(address), NOW, NOW + 3_600_000, Reason.SCAN, origin)
    return Notice(kind, NOW, ban)


@asynccontextmanager
async def telling(settings: CrowdSecSettings) -> AsyncIterator[tuple[Processor, RecordingJournal]]:
    journal = RecordingJournal()
    one = Processor(settings, journal)
    running = asyncio.create_task(one.run())
    try:
        yield one, journal
    finally:
        running.cancel()
        await asyncio.wait({running})
        assert running.cancelled()


async def test_bans_are_told_many_at_once_and_unbans_in_their_order() -> None:
    api = Api()
    async with serving(api) as settings:
        one = Processor(settings, RecordingJournal())
        for number in range(BATCH + 1):
            one.post(notice(NoticeKind.BAN, f"45.9.9.{number}"))
        one.post(notice(NoticeKind.UNBAN, "2a00:1::/64"))
        one.post(notice(NoticeKind.BAN, "45.9.9.77"))
        one.post(notice(NoticeKind.BAN, "45.9.9.78", Origin.FLEET))
        one.post(Notice(NoticeKind.START, NOW, text="amiguard starts"))
        await one.drain(5)
        assert one.status()["sent"] == BATCH + 3
    sizes = [len(told) if isinstance(told, list) else told for told in api.told]
    assert sizes == [BATCH, 1, "value=2a00:1::/64&scenario=amiguard/scan", 1]
    assert api.logins == 1


async def test_a_token_that_is_over_is_renewed() -> None:
    api = Api()
    async with serving(api) as settings, telling(settings) as (one, journal):
        one.post(notice(NoticeKind.BAN, "45.9.9.1"))
        await until(lambda: len(api.told) == 1)
        api.tokens.clear()
        one.post(notice(NoticeKind.BAN, "45.9.9.2"))
        await until(lambda: len(api.told) == 2)
    assert api.logins == 2
    assert journal.count(Action.CROWDSEC_FAILED) == 0


@pytest.mark.parametrize("fault", [FAULTS[one] for one in ("500", "429", "403", "garbage", "cut off", "slow")])
async def test_what_fails_is_told_later(fault: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> None:
    api = Api(faults=[fault])
    async with serving(api) as settings, telling(settings) as (one, journal):
        one.post(notice(NoticeKind.BAN, "45.9.9.1"))
        await until(lambda: len(api.told) == 1)
        await until(lambda: journal.count(Action.CROWDSEC_RECOVERED) == 1)
        assert journal.count(Action.CROWDSEC_FAILED) == 1
        assert one.status()["lost"] == 0


async def test_what_it_never_takes_holds_nobody_up() -> None:
    api = Api()
    async with serving(api) as settings, telling(settings) as (one, _):
        one.post(notice(NoticeKind.BAN, "45.9.9.1"))
        await until(lambda: len(api.told) == 1)
        api.faults = [status(400)]
        one.post(notice(NoticeKind.UNBAN, "45.9.9.1"))
        await until(lambda: one.status()["lost"] == 1)
        api.faults = [status(500)] * TRIES
        one.post(notice(NoticeKind.UNBAN, "45.9.9.2"))
        one.post(notice(NoticeKind.BAN, "45.9.9.3"))
        await until(lambda: len(api.told) == 2)
        assert one.status()["lost"] == 2
        assert one.status()["error"] == ""


async def test_of_too_many_the_oldest_are_lost_and_the_log_says_how_many_also_at_the_end() -> None:
    api = Api(faults=[dawdle] * 9)
    async with serving(api) as settings:
        journal = RecordingJournal()
        one = Processor(settings, journal)
        for number in range(300):
            one.post(notice(NoticeKind.BAN, f"45.9.{number // 256}.{number % 256}"))
        assert one.status()["waiting"] == settings.waiting
        await one.drain(0.1)
        assert one.status()["lost"] == settings.waiting + 100
        successor = Processor(settings, journal)
        one.hand_on(successor)
        assert successor.status()["waiting"] == settings.waiting


async def test_check_tries_both_logins() -> None:
    api = Api()
    async with serving(api) as settings:
        assert await probe(settings) == f"{settings.url} knows the machine and the key"
        for fault, said in ((status(401), "MACHINE"), (body(b"{}"), "not as CrowdSec's"), (status(302), "302")):
            api.faults = [fault]
            with pytest.raises(FeedError, match=said):
                await probe(settings)
    assert api.startups == 0
