"""Who is let in over TCP, and what a web page in the administrator's browser can't do."""

from __future__ import annotations

import hmac
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import aiohttp
import pytest

from amiguard.control.server import ControlServer
from amiguard.control.settings import Address, ControlSettings
from amiguard.control.stream import Stream
from amiguard.errors import ControlError
from amiguard.journal import Action
from tests.lab.journal import RecordingJournal
from tests.lab.ports import free_port
from tests.unit.control.conftest import NOW, FakeGuard

TOKEN = "0123456789abcdef0123456789abcdef"
BANS = "/api/v1/bans"
JSON = {"Content-Type": "application/json"}
BODY = b'{"address": "192.0.2.1"}'


@pytest.fixture
def address() -> Address:
    return Address("127.0.0.1", free_port())


@pytest.fixture
def token() -> str:
    return TOKEN


@pytest.fixture
async def http(
    path: Path, guard: FakeGuard, journal: RecordingJournal, address: Address, token: str
) -> AsyncIterator[aiohttp.ClientSession]:
    settings = ControlSettings(path, http=address, token=token)
    server = ControlServer(settings, guard, journal, lambda: NOW, Stream())
    await server.start()
    async with aiohttp.ClientSession(f"http://127.0.0.1:{address.port}") as session:
        yield session
    await server.close()


async def status(http: aiohttp.ClientSession, method: str, route: str, headers: Mapping[str, str]) -> int:
    async with http.request(method, route, headers=headers, data=BODY if method == "POST" else None) as answer:
        await answer.read()
        return answer.status


@pytest.mark.parametrize(
    "shown",
    [
        {},
        {"Authorization": TOKEN},
        {"Authorization": f"Bearer {TOKEN[:-1]}"},
        {"Authorization": f"Bearer {TOKEN}x"},
        {"Authorization": f"Basic {TOKEN}"},
        {"Authorization": "Bearer ÿ"},
        {"Cookie": f"token={TOKEN}"},
    ],
)
@pytest.mark.parametrize(
    ("method", "route"),
    [
        ("GET", BANS),
        ("POST", BANS),
        ("DELETE", BANS),
        ("GET", "/api/v1/status"),
        ("GET", "/api/v1/events"),
        ("GET", "/metrics"),
        ("GET", "/nowhere"),
    ],
)
async def test_nothing_is_told_or_done_without_the_token(
    http: aiohttp.ClientSession, guard: FakeGuard, method: str, route: str, shown: dict[str, str]
) -> None:
    async with http.request(method, route, headers=JSON | shown, data=BODY if method == "POST" else None) as answer:
        assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
        assert await answer.json() == {"error": "who asks must show the token: Authorization: Bearer TOKEN"}
    assert not guard.running


async def test_who_shows_the_token_may_do_everything_and_is_named_in_the_log(
    http: aiohttp.ClientSession, guard: FakeGuard, journal: RecordingJournal
) -> None:
    assert await status(http, "POST", BANS, JSON | {"Authorization": f"Bearer {TOKEN}"}) == 201
    assert list(guard.running) == ["192.0.2.1"]
    [line] = journal.of(Action.CONTROL)
    assert str(line.fields["peer"]).startswith("127.0.0.1 port ")


@pytest.mark.parametrize("verdict", [True, False])
@pytest.mark.parametrize(
    "shown",
    [f"Bearer {TOKEN}", f"Bearer {TOKEN[:-1]}x", f"Bearer {TOKEN[:-1]}", f"Bearer {TOKEN * 100}", "Bearer ÿ", "x", ""],
)
async def test_nothing_but_the_constant_time_comparison_of_equal_lengths_decides(
    http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch, shown: str, *, verdict: bool
) -> None:
    compared: list[tuple[bytes, bytes]] = []

    def judge(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return verdict

    monkeypatch.setattr(hmac, "compare_digest", judge)
    assert await status(http, "GET", BANS, {"Authorization": shown}) == (200 if verdict else 401)
    [(one, other)] = compared
    assert len(one) == len(other) == 32
    assert (one == other) == (shown == f"Bearer {TOKEN}")
    assert not any(TOKEN.encode() in side for side in (one, other))


async def test_health_needs_no_token(http: aiohttp.ClientSession) -> None:
    assert await status(http, "GET", "/healthz", {}) == 200
    assert await status(http, "GET", "/readyz", {}) == 200


@pytest.mark.parametrize("token", [""])
@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", 200),
        ("localhost:8080", 200),
        ("[::1]:9180", 200),
        ("evil.example", 421),
        ("127.0.0.1.evil.example:9180", 421),
        ("localhost.evil.example", 421),
        ("192.0.2.1", 421),
        ("127.0.0.1@evil.example", 421),
        ("", 421),
        ("[::1", 421),
    ],
)
async def test_without_a_token_a_name_that_was_made_to_resolve_to_us_gets_nothing(
    http: aiohttp.ClientSession, host: str, expected: int
) -> None:
    assert await status(http, "GET", BANS, {"Host": host}) == expected


@pytest.mark.parametrize("token", ["", TOKEN])
@pytest.mark.parametrize(
    "sent",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
async def test_another_sites_page_can_not_drive_it_even_with_the_token(
    http: aiohttp.ClientSession, guard: FakeGuard, sent: dict[str, str]
) -> None:
    headers = JSON | {"Authorization": f"Bearer {TOKEN}"} | sent

    assert await status(http, "POST", BANS, headers) == 403
    assert await status(http, "DELETE", BANS, headers) == 403
    assert await status(http, "GET", BANS, headers) == 403
    assert not guard.running


@pytest.mark.parametrize("token", ["", TOKEN])
async def test_the_own_page_may(http: aiohttp.ClientSession, address: Address) -> None:
    own = {"Origin": f"http://127.0.0.1:{address.port}", "Sec-Fetch-Site": "same-origin"}

    assert await status(http, "POST", BANS, JSON | own | {"Authorization": f"Bearer {TOKEN}"}) == 201


@pytest.mark.parametrize("token", [""])
@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"])
async def test_a_command_that_a_form_can_send_is_refused(
    http: aiohttp.ClientSession, guard: FakeGuard, kind: str
) -> None:
    assert await status(http, "POST", BANS, {"Content-Type": kind}) == 415
    assert not guard.running


@pytest.mark.parametrize("token", [""])
async def test_no_browser_is_told_that_another_site_may(http: aiohttp.ClientSession) -> None:
    asked = {"Origin": "https://evil.example", "Access-Control-Request-Method": "DELETE"}
    async with http.options(BANS, headers=asked) as answer:
        assert answer.status == 403
        assert not [name for name in answer.headers if name.lower().startswith("access-control")]


async def test_every_answer_says_what_a_browser_may_do_with_it(http: aiohttp.ClientSession) -> None:
    for path in ("/healthz", BANS, "/nowhere"):
        async with http.get(path) as answer:
            assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'; ")
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert answer.headers["Cache-Control"] == "no-store"


async def test_a_port_that_is_taken_is_told_and_the_socket_is_left_to_nobody(
    path: Path, guard: FakeGuard, journal: RecordingJournal, http: aiohttp.ClientSession, address: Address
) -> None:
    other = path.with_name("other.sock")
    second = ControlServer(ControlSettings(other, http=address), guard, journal, lambda: NOW, Stream())

    with pytest.raises(ControlError, match=f"can't listen on 127.0.0.1 port {address.port}: "):
        await second.start()
    assert not other.exists()


def test_the_token_is_in_no_representation(path: Path) -> None:
    assert TOKEN not in repr(ControlSettings(path, token=TOKEN))
