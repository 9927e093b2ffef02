"""A ban's mail and the registry: what arrives when RDAP answers, lies, floods, dawdles or is away."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from amiguard.model import parse_target
from amiguard.notifiers.rdap import Registration
from amiguard.notifiers.whois import RIRS, SIZE_LIMIT, Registries, Whois
from tests.lab.journal import RecordingJournal
from tests.lab.waiting import until
from tests.smtp.mailing import ban_notice, mail_settings, mailing
from tests.smtp.servers import Sink, body, raw_server, smtp_server

pytestmark = pytest.mark.smtp

GOOGLE = parse_target("8.8.8.8")
NETWORK = {
    "objectClassName": "ip network",
    "name": "GOGL",
    "startAddress": "8.8.8.0",
    "endAddress": "8.8.8.255",
    "entities": [
        {
            "roles": ["registrant"],
            "vcardArray": [
                "vcard",
                [
                    ["version", {}, "text", "4.0"],
                    ["fn", {}, "text", "Google LLC"],
                    ["adr", {"label": "1600 Amphitheatre Parkway\nMountain View\nUnited States"}, "text", [""] * 7],
                ],
            ],
            "entities": [
                {
                    "roles": ["abuse"],
                    "vcardArray": ["vcard", [["email", {}, "text", "network-abuse@google.com"]]],
                }
            ],
        }
    ],
}
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def rdap(handler: Handler) -> AsyncIterator[Registries]:
    app = web.Application()
    app.router.add_get("/{path:.*}", handler)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    try:
        yield Registries(f"http://{host}:{port}/ip/", frozenset({f"http://{host}:{port}"}))
    finally:
        await runner.cleanup()


async def answer(request: web.Request) -> web.Response:
    return web.json_response(NETWORK, content_type="application/rdap+json")


async def test_a_ban_mail_says_who_holds_the_address(spool: Path, journal: RecordingJournal) -> None:
    async with rdap(answer) as registries, smtp_server(Sink()) as sink:
        settings = mail_settings(spool, sink.port, whois=True)
        async with mailing(settings, journal, Whois(registries)) as mail:
            mail.post(ban_notice("8.8.8.8"))
            await until(lambda: bool(sink.envelopes))
    for kind in ("plain", "html"):
        text = body(sink.messages[0], kind)
        for word in ("GOGL 8.8.8.0 - 8.8.8.255", "Google LLC", "United States", "network-abuse@google.com"):
            assert word in text


async def test_a_redirect_is_followed_to_a_registry_and_to_nobody_else(spool: Path) -> None:
    asked: list[str] = []

    async def stranger(request: web.Request) -> web.Response:
        asked.append(request.path)
        return await answer(request)

    async with rdap(stranger) as elsewhere:
        target = elsewhere.first

        async def redirect(request: web.Request) -> web.Response:
            if request.path.startswith("/ip/"):
                raise web.HTTPFound(f"/moved/{request.path}")
            if request.path.startswith("/moved/"):
                raise web.HTTPSeeOther(f"{target}8.8.8.8")
            return await answer(request)

        async with rdap(redirect) as registries:
            assert await Whois(registries).look_up(GOOGLE) is None
            assert asked == []
            both = Registries(registries.first, registries.origins | elsewhere.origins)
            found = await Whois(both).look_up(GOOGLE)
    assert found is not None
    assert found.organisation == "Google LLC"
    assert asked == ["/ip/8.8.8.8"]


@pytest.mark.parametrize(
    "location",
    [
        "https://rdap.arin.net.evil.example/",
        "https://rdap.arin.net@127.0.0.1/",
        "https://rdap.arin.net:8443/",
        "http://rdap.arin.net/",
        "//127.0.0.1/",
        "file:///etc/passwd",
        "https://[::1/",
        "\\\\127.0.0.1\\x",
    ],
)
async def test_a_redirect_that_only_resembles_a_registry_is_not_followed(location: str) -> None:
    requests = 0

    async def lure(request: web.Request) -> web.Response:
        nonlocal requests
        requests += 1
        return web.Response(status=302, headers={"Location": location})

    async with rdap(lure) as registries:
        origins = RIRS.origins | registries.origins
        assert await Whois(Registries(registries.first, origins), limit=2).look_up(GOOGLE) is None
    assert requests == 1 + (location[0] == "\\") * 3  # a path on the same host; it ends after three redirects


async def test_redirects_in_a_circle_end(spool: Path) -> None:
    asked = 0

    async def circle(request: web.Request) -> web.Response:
        nonlocal asked
        asked += 1
        raise web.HTTPFound(request.path)

    async with rdap(circle) as registries:
        assert await Whois(registries).look_up(GOOGLE) is None
    assert asked == 4


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe\x00",
        b"[]",
        b"{}",
        b"[" * 100_000,
        b'{"startAddress": 1, "endAddress": []}',
        json.dumps(NETWORK | {"startAddress": "9.0.0.0", "endAddress": "9.255.255.255"}).encode(),
        json.dumps(NETWORK | {"startAddress": "::", "endAddress": "ffff::"}).encode(),
        b"1" * 5000,
        b" " * (SIZE_LIMIT + 1),
    ],
    ids=["empty", "binary", "list", "bare", "deep", "types", "other", "family", "number", "long"],
)
async def test_an_answer_that_is_garbage_or_about_another_address_is_not_believed(content: bytes) -> None:
    async def garbage(request: web.Request) -> web.Response:
        return web.Response(body=content)

    async with rdap(garbage) as registries:
        assert await Whois(registries).look_up(GOOGLE) is None


@pytest.mark.parametrize("status", [204, 404, 429, 500])
async def test_an_answer_that_is_no_success_is_none(status: int) -> None:
    async def refuse(request: web.Request) -> web.Response:
        return web.Response(status=status)

    async with rdap(refuse) as registries:
        assert await Whois(registries).look_up(GOOGLE) is None


@pytest.mark.parametrize("part", ["headers", "body"])
async def test_an_endless_answer_is_cut_off_early(part: str) -> None:
    sent = 0

    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n" + b"\r\n" * (part == "body"))
        while True:
            chunk = b"X-Filler: " + b"x" * 990 + b"\r\n"
            writer.write(chunk * 16)
            sent += 16 * len(chunk)
            await writer.drain()

    async with raw_server(endless) as port:
        registries = Registries(f"http://127.0.0.1:{port}/", frozenset())
        began = time.monotonic()
        assert await Whois(registries, limit=3).look_up(GOOGLE) is None
        assert time.monotonic() - began < 2
    assert sent < 20 * 2**20


async def test_a_dead_or_dawdling_registry_costs_only_the_time_limit(spool: Path, journal: RecordingJournal) -> None:
    async def dawdle(request: web.Request) -> web.Response:
        response = web.StreamResponse()
        await response.prepare(request)
        await asyncio.Event().wait()
        raise AssertionError

    async with rdap(dawdle) as registries, smtp_server(Sink()) as sink:
        settings = mail_settings(spool, sink.port, whois=True)
        async with mailing(settings, journal, Whois(registries, limit=0.3)) as mail:
            mail.post(ban_notice("8.8.8.8"))
            await until(lambda: bool(sink.envelopes), 3)
    assert "Organisation" not in body(sink.messages[0])
    assert await Whois(registries, limit=1).look_up(GOOGLE) is None


async def test_only_a_few_addresses_are_looked_up_at_once() -> None:
    now = most = 0
    gate = asyncio.Event()

    async def count(request: web.Request) -> web.Response:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await gate.wait()
        now -= 1
        return await answer(request)

    async with rdap(count) as registries:
        whois = Whois(registries, at_once=3)
        tasks = [asyncio.create_task(whois.look_up(parse_target(f"8.8.8.{n}"))) for n in range(9)]
        await until(lambda: now == 3)
        gate.set()
        found = await asyncio.gather(*tasks)
    assert most == 3
    assert all(isinstance(one, Registration) for one in found)


@pytest.mark.parametrize(
    "target", ["10.1.2.3", "127.0.0.1", "192.168.0.0/24", "198.51.100.7", "fd00::1", "fe80::1", "224.0.0.1", "::1"]
)
async def test_private_and_reserved_addresses_are_not_looked_up(target: str) -> None:
    asked: list[str] = []

    async def note(request: web.Request) -> web.Response:
        asked.append(request.path)
        return await answer(request)

    async with rdap(note) as registries:
        assert await Whois(registries).look_up(parse_target(target)) is None
    assert asked == []


async def test_an_ipv6_network_is_looked_up_by_its_first_address() -> None:
    asked: list[str] = []

    async def note(request: web.Request) -> web.Response:
        asked.append(request.path)
        return web.json_response(
            {"startAddress": "2001:4860::", "endAddress": "2001:4860:ffff::", "name": "G6", "country": "US"}
        )

    async with rdap(note) as registries:
        found = await Whois(registries).look_up(parse_target("2001:4860:4860::/64"))
    assert asked == ["/ip/2001:4860:4860::"]
    assert found == Registration("G6", "2001:4860:: - 2001:4860:ffff::", "", "US", "")


async def test_text_from_a_registry_is_cut_and_cleaned() -> None:
    hostile: dict[str, Any] = NETWORK | {"name": "A\r\nBcc: x@y\u202e" + "n" * 1000, "country": "<b>"}

    async def lie(request: web.Request) -> web.Response:
        return web.json_response(hostile)

    async with rdap(lie) as registries:
        found = await Whois(registries).look_up(GOOGLE)
    assert found is not None
    assert found.network.startswith("A\\r\\nBcc: x@y\\u202ennn")
    assert len(found.network) < 150
    assert found.country == "<b>"
