"""What the control interface answers."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from amiguard.control.listing import KEPT
from amiguard.control.server import ControlServer
from amiguard.errors import SettingsError
from amiguard.journal import Action
from amiguard.model import Ban, Drops, Evidence, Reason, Target
from tests.lab.journal import RecordingJournal
from tests.lab.steps import BREATH, steps
from tests.lab.waiting import until
from tests.unit.control.conftest import ALLOWED, BREAKS, NOW, REFUSED_BY_KERNEL, FakeGuard, serving

BANS = "http://amiguard/api/v1/bans"
ALLOW = "http://amiguard/api/v1/allow"
RELOAD = "http://amiguard/api/v1/reload"


@pytest.fixture
async def http(server: ControlServer, path: Path) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(path))) as session:
        yield session


async def told(http: aiohttp.ClientSession, method: str, url: str, **arguments: Any) -> tuple[int, dict[str, Any]]:
    async with http.request(method, url, **arguments) as response:
        assert response.content_type == "application/json"
        return response.status, await response.json()


async def test_health_is_told_while_the_loop_runs_and_readiness_only_while_it_protects(
    http: aiohttp.ClientSession, guard: FakeGuard
) -> None:
    assert await told(http, "GET", "http://amiguard/healthz") == (200, {"status": "ok"})
    assert await told(http, "GET", "http://amiguard/readyz") == (200, {"ready": True})
    guard.ready = False
    assert await told(http, "GET", "http://amiguard/healthz") == (200, {"status": "ok"})
    assert await told(http, "GET", "http://amiguard/readyz") == (503, {"ready": False})


async def test_the_status_is_the_guards(http: aiohttp.ClientSession, guard: FakeGuard) -> None:
    assert await told(http, "GET", "http://amiguard/api/v1/status") == (200, guard.status())


@pytest.mark.parametrize(
    ("body", "remaining"),
    [
        ({"address": "192.0.2.1"}, 600),
        ({"address": "192.0.2.1", "time": None, "reason": None, "force": None}, 600),
        ({"address": "192.0.2.1", "time": 90}, 90),
        ({"address": "192.0.2.1", "time": -1}, None),
    ],
)
async def test_a_ban_lasts_as_asked_or_as_configured(
    http: aiohttp.ClientSession, guard: FakeGuard, body: dict[str, object], remaining: int | None
) -> None:
    status, answer = await told(http, "POST", BANS, json=body)

    assert status == 201
    assert (answer["address"], answer["remaining"]) == ("192.0.2.1", remaining)
    assert list(guard.running) == ["192.0.2.1"]


async def test_addresses_are_taken_in_any_form_and_told_in_the_canonical_one(
    http: aiohttp.ClientSession, guard: FakeGuard
) -> None:
    for address in ("::ffff:192.0.2.1", "2001:DB8:0:0::1", "198.51.100.77/24", "2001:db8::/64"):
        await told(http, "POST", BANS, json={"address": address})

    assert list(guard.running) == ["192.0.2.1", "2001:db8::1", "198.51.100.0/24", "2001:db8::/64"]


@pytest.mark.parametrize(
    "route", ["198.51.100.0%2F24", "198.51.100.0/24", "198.51.100.9%2F24", "%3A%3Affff%3A198.51.100.0%2F120"]
)
async def test_a_network_is_unbanned_whether_its_slash_is_encoded_or_not(
    http: aiohttp.ClientSession, guard: FakeGuard, path: Path, route: str
) -> None:
    await guard.ban(Target("198.51.100.0/24"), None, "")

    status, answer = await told(http, "DELETE", f"{BANS}/{route}")

    assert (status, answer["address"], answer["until"]) == (200, "198.51.100.0/24", None)
    assert not guard.running


async def test_unbanning_what_is_not_banned_is_told_with_the_network_that_is(
    http: aiohttp.ClientSession, guard: FakeGuard
) -> None:
    await guard.ban(Target("2001:db8::/64"), None, "")

    assert await told(http, "DELETE", f"{BANS}/192.0.2.1") == (404, {"error": "192.0.2.1 is not banned"})
    status, answer = await told(http, "DELETE", f"{BANS}/2001:db8::1")
    assert (status, answer["error"]) == (404, "2001:db8::1 is not banned; 2001:db8::/64, in which it lies, is")


async def test_everybody_is_unbanned_at_once(http: aiohttp.ClientSession, guard: FakeGuard) -> None:
    await guard.ban(Target("192.0.2.1"), None, "")
    await guard.ban(Target("192.0.2.2"), None, "")

    assert await told(http, "DELETE", BANS) == (200, {"unbanned": 2})
    assert not guard.running


async def test_a_ban_is_told_with_all_that_is_known(http: aiohttp.ClientSession, guard: FakeGuard) -> None:
    target = Target("192.0.2.1")
    guard.running[target] = Ban(
        target,
        NOW - 1_500,
        NOW + 1_500,
        Reason.WRONG_PASSWORD,
        evidence=Evidence.CONNECTED,
        failures=5,
        earlier=2,
        accounts=("100", "\x1b[2J\u202e"),
        service="PJSIP",
        transport="TLS",
        source="ami",
    )

    _, answer = await told(http, "GET", BANS)

    assert answer == {
        "bans": [
            {
                "address": "192.0.2.1",
                "since": "2027-01-15T07:59:58Z",
                "until": "2027-01-15T08:00:01Z",
                "remaining": 2,
                "reason": "wrong-password",
                "origin": "local",
                "node": "",
                "evidence": "connected",
                "absolute": True,
                "failures": 5,
                "earlier": 2,
                "accounts": ["100", "\x1b[2J\u202e"],
                "service": "PJSIP",
                "transport": "TLS",
                "source": "ami",
                "comment": "",
            }
        ],
        "cursor": None,
    }


async def test_what_was_dropped_of_a_ban_is_told_where_it_is_counted(
    http: aiohttp.ClientSession, guard: FakeGuard
) -> None:
    for target in map(Target, ("192.0.2.1", "192.0.2.2")):
        guard.running[target] = Ban(target, NOW, None, Reason.ACL)
    guard.counted[Target("192.0.2.1")] = Drops(3, 1200)

    _, answer = await told(http, "GET", BANS)

    assert {ban["address"]: ban.get("dropped") for ban in answer["bans"]} == {
        "192.0.2.1": {"packets": 3, "bytes": 1200},
        "192.0.2.2": None,
    }


async def test_the_country_of_a_ban_is_told_where_it_is_known(http: aiohttp.ClientSession, guard: FakeGuard) -> None:
    guard.placed[Target("192.0.2.1")] = "DE"
    for target in ("192.0.2.1", "10.0.0.1"):
        await guard.ban(Target(target), None, "")

    _, answer = await told(http, "GET", BANS)
    assert {ban["address"]: ban.get("country") for ban in answer["bans"]} == {"192.0.2.1": "DE", "10.0.0.1": None}
    assert (await told(http, "DELETE", f"{BANS}/192.0.2.1"))[1]["country"] == "DE"
    assert (await told(http, "POST", BANS, json={"address": "192.0.2.1"}))[1]["country"] == "DE"
    (lifted,) = (await told(http, "POST", ALLOW, json={"address": "192.0.2.1"}))[1]["lifted"]
    assert lifted["country"] == "DE"


async def test_an_address_is_found_with_every_network_around_it(http: aiohttp.ClientSession, guard: FakeGuard) -> None:
    for target in ("192.0.2.1", "192.0.2.0/24", "192.0.0.0/16", "192.0.2.2", "2001:db8::1", "2001:db8::/64"):
        await guard.ban(Target(target), None, "")

    _, four = await told(http, "GET", BANS, params={"address": "192.0.2.1"})
    _, six = await told(http, "GET", BANS, params={"address": "2001:db8::1"})
    _, network = await told(http, "GET", BANS, params={"address": "192.0.2.0/25"})
    _, nobody = await told(http, "GET", BANS, params={"address": "203.0.113.1"})

    assert [ban["address"] for ban in four["bans"]] == ["192.0.2.1", "192.0.2.0/24", "192.0.0.0/16"]
    assert [ban["address"] for ban in six["bans"]] == ["2001:db8::1", "2001:db8::/64"]
    assert [ban["address"] for ban in network["bans"]] == ["192.0.2.0/24", "192.0.0.0/16"]
    assert nobody == {"bans": [], "cursor": None}


async def test_what_is_known_of_an_address_is_told_and_of_a_network_nothing(http: aiohttp.ClientSession) -> None:
    status, answer = await told(http, "GET", "http://amiguard/api/v1/offenders/::ffff:192.0.2.1")

    assert (status, answer["address"]) == (200, "192.0.2.1")
    assert (await told(http, "GET", "http://amiguard/api/v1/offenders/nobody"))[0] == 400


async def test_who_is_allowed_is_banned_only_by_force(http: aiohttp.ClientSession, guard: FakeGuard) -> None:
    assert (await told(http, "POST", BANS, json={"address": ALLOWED}))[0] == 409
    assert (await told(http, "POST", BANS, json={"address": ALLOWED, "force": True}))[0] == 201
    assert list(guard.running) == [ALLOWED]


async def test_who_is_allowed_is_let_through_at_once_until_it_is_taken_back(
    http: aiohttp.ClientSession, guard: FakeGuard
) -> None:
    await guard.ban(Target("192.0.2.1"), None, "")

    status, answer = await told(http, "POST", ALLOW, json={"address": "192.0.2.1", "comment": "the branch"})
    assert (status, answer["address"], [ban["address"] for ban in answer["lifted"]]) == (
        201,
        "192.0.2.1",
        ["192.0.2.1"],
    )
    _, listed = await told(http, "GET", ALLOW)
    assert listed["allowed"] == [
        {"address": ALLOWED, "origin": "name", "comment": "trunk.example", "until": "2027-01-15T08:00:00Z", "node": ""},
        {"address": "192.0.2.1", "origin": "runtime", "comment": "the branch", "until": None, "node": ""},
    ]
    assert await told(http, "DELETE", f"{ALLOW}/192.0.2.1") == (200, {"address": "192.0.2.1"})
    assert (await told(http, "DELETE", f"{ALLOW}/192.0.2.1"))[0] == 404
    assert (await told(http, "POST", ALLOW, json={"address": "192.0.2.1", "reason": "x"}))[0] == 400


async def test_the_newest_bans_come_first(http: aiohttp.ClientSession, guard: FakeGuard) -> None:
    for number in range(5):
        await guard.ban(Target(f"192.0.2.{number}"), None, "")

    _, first = await told(http, "GET", BANS, params={"limit": "2"})
    _, second = await told(http, "GET", BANS, params={"limit": "2", "cursor": first["cursor"]})
    _, third = await told(http, "GET", BANS, params={"limit": "2", "cursor": second["cursor"]})

    pages = [[ban["address"] for ban in page["bans"]] for page in (first, second, third)]
    assert pages == [["192.0.2.4", "192.0.2.3"], ["192.0.2.2", "192.0.2.1"], ["192.0.2.0"]]
    assert third["cursor"] is None


async def test_a_ban_that_a_client_has_just_set_is_in_its_next_listing(http: aiohttp.ClientSession) -> None:
    for number in range(5):
        await told(http, "POST", BANS, json={"address": f"192.0.2.{number}"})
        _, page = await told(http, "GET", BANS, params={"limit": "1"})
        assert page["bans"][0]["address"] == f"192.0.2.{number}"


async def test_a_listing_that_was_forgotten_has_to_be_begun_anew(http: aiohttp.ClientSession, guard: FakeGuard) -> None:
    for number in range(3):
        await guard.ban(Target(f"192.0.2.{number}"), None, "")
    _, first = await told(http, "GET", BANS, params={"limit": "1"})
    for number in range(KEPT):
        await told(http, "POST", BANS, json={"address": f"198.51.100.{number}"})
        await told(http, "GET", BANS, params={"limit": "1"})

    assert await told(http, "GET", BANS, params={"limit": "1", "cursor": first["cursor"]}) == (
        410,
        {"error": "this listing was forgotten; begin anew, without a cursor"},
    )


async def test_the_timeline_tells_what_each_minute_added(
    path: Path, guard: FakeGuard, journal: RecordingJournal
) -> None:
    guard.counters.failures = 7
    server = serving(path, guard, journal)
    await server.start()
    async with aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(path))) as http:

        async def sampled() -> bool:
            _, answer = await told(http, "GET", "http://amiguard/api/v1/timeline")
            return answer == {"minutes": [{"at": "2027-01-15T08:00:00Z", "failures": 7, "bans": 0}]}

        await until(sampled)
    await server.close()


async def test_settings_are_reloaded_or_refused_with_every_mistake(
    path: Path, guard: FakeGuard, journal: RecordingJournal
) -> None:
    problems: list[str] = []

    async def reload() -> list[str]:
        if problems:
            raise SettingsError(problems)
        return ["AMIGUARD_MAXRETRY"]

    server = serving(path, guard, journal, reload=reload)
    await server.start()
    async with aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(path))) as http:
        assert await told(http, "POST", RELOAD, json={}) == (200, {"changed": ["AMIGUARD_MAXRETRY"]})
        problems += ["AMIGUARD_MAXRETRY: is wrong"]
        status, answer = await told(http, "POST", RELOAD, json={})
    await server.close()

    assert (status, answer["problems"]) == (422, problems)
    assert [line.fields["outcome"] for line in journal.of(Action.CONTROL)] == ["success", "failure"]


async def test_metrics_are_served_as_they_are_where_there_are_any(
    path: Path, guard: FakeGuard, journal: RecordingJournal, http: aiohttp.ClientSession
) -> None:
    assert (await told(http, "GET", "http://amiguard/metrics"))[0] == 404
    other = path.with_name("other.sock")

    async def metrics() -> tuple[bytes, str]:
        return b"amiguard_bans 1\n", "text/plain; version=1.0.0"

    server = serving(other, guard, journal, metrics=metrics)
    await server.start()
    async with (
        aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(other))) as session,
        session.get("http://amiguard/metrics") as answer,
    ):
        assert (await answer.read(), answer.headers["Content-Type"]) == (
            b"amiguard_bans 1\n",
            "text/plain; version=1.0.0",
        )
    await server.close()


async def test_a_hundred_thousand_bans_are_listed_once_each_while_others_come_and_go(
    http: aiohttp.ClientSession, guard: FakeGuard
) -> None:
    for number in range(100_000):
        target = Target(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
        guard.running[target] = Ban(target, NOW, None, Reason.ACL)
    stay = set(guard.running)
    seen: list[str] = []
    query = {"limit": "1000"}
    while True:
        _, page = await told(http, "GET", BANS, params=query)
        seen += [ban["address"] for ban in page["bans"]]
        if page["cursor"] is None:
            break
        query["cursor"] = page["cursor"]
        gone = Target(f"10.1.{len(seen) // 1000}.7")
        guard.running.pop(gone, None)
        stay.discard(gone)
        await guard.ban(Target(f"11.0.0.{len(seen) % 251}"), None, "")

    assert len(seen) == len(set(seen))
    assert stay <= set(seen)


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"", "the body is no JSON"),
        (b"{", "the body is no JSON"),
        (b"\xff\xfe", "the body is no JSON"),
        (b"[" * 60_000, "the body is no JSON"),
        (b'"192.0.2.1"', "the body is no JSON object"),
        (b"{}", "address is missing"),
        (b'{"address": 7}', "address is missing, or no text"),
        (b'{"address": "phone.example"}', "'phone.example' is not an IP address"),
        (b'{"address": "192.0.2.0/33"}', "neither an IP address nor a network"),
        (b'{"address": "192.0.2.1", "bantime": 5}', "'bantime' is unknown"),
        (b'{"address": "192.0.2.1", "time": 0}', "time is not a whole number"),
        (b'{"address": "192.0.2.1", "time": -2}', "time is not a whole number"),
        (b'{"address": "192.0.2.1", "time": 1.5}', "time is not a whole number"),
        (b'{"address": "192.0.2.1", "time": 1e999}', "time is not a whole number"),
        (b'{"address": "192.0.2.1", "time": true}', "time is not a whole number"),
        (b'{"address": "192.0.2.1", "time": "1h"}', "time is not a whole number"),
        (b'{"address": "192.0.2.1", "time": 99999999999999999999}', "time is not a whole number"),
        (b'{"address": "192.0.2.1", "force": 1}', "force is neither true nor false"),
        (b'{"address": "192.0.2.1", "force": {}}', "force is neither true nor false"),
        (b'{"address": "192.0.2.1", "reason": []}', "reason is not one line"),
        (b'{"address": "192.0.2.1", "reason": 7}', "reason is not one line"),
        (b'{"address": "192.0.2.1", "reason": "a\\nb"}', "reason is not one line"),
        (b'{"address": "192.0.2.1", "reason": "\\ud800"}', "reason is not one line"),
        (b'{"address": "192.0.2.1", "reason": "' + b"x" * 257 + b'"}', "reason is not one line"),
    ],
)
async def test_a_ban_that_makes_no_sense_is_refused_with_the_reason(
    http: aiohttp.ClientSession, guard: FakeGuard, body: bytes, error: str
) -> None:
    status, answer = await told(http, "POST", BANS, data=body, headers={"Content-Type": "application/json"})

    assert status == 400
    assert error in answer["error"]
    assert not guard.running


@pytest.mark.parametrize(
    "query",
    [{"limit": "0"}, {"limit": "1001"}, {"limit": "-1"}, {"limit": "٣"}, {"limit": ""}, {"cursor": "x"}, {"page": "2"}],
)
async def test_a_listing_that_makes_no_sense_is_refused(http: aiohttp.ClientSession, query: dict[str, str]) -> None:
    status, _ = await told(http, "GET", BANS, params=query)

    assert status == 400


async def test_unknown_routes_and_methods_are_refused_in_json(http: aiohttp.ClientSession) -> None:
    assert await told(http, "GET", "http://amiguard/api/v2/bans") == (404, {"error": "Not Found"})
    assert await told(http, "PUT", BANS, json={}) == (405, {"error": "Method Not Allowed"})
    assert (await told(http, "DELETE", f"{BANS}/somebody"))[0] == 400


@pytest.mark.parametrize(("target", "expected"), [(ALLOWED, 409), (REFUSED_BY_KERNEL, 503), (BREAKS, 500)])
async def test_who_refuses_a_ban_is_told_by_the_status(
    http: aiohttp.ClientSession, target: Target, expected: int
) -> None:
    status, answer = await told(http, "POST", BANS, json={"address": target})

    assert (status, bool(answer["error"])) == (expected, True)


async def test_a_mistake_of_ours_is_logged_and_shows_the_client_nothing(
    http: aiohttp.ClientSession, journal: RecordingJournal
) -> None:
    _, answer = await told(http, "POST", BANS, json={"address": BREAKS})

    assert answer == {"error": "a mistake in amiguard; its log tells more"}
    [(action, _, fields)] = journal.lines
    assert action is Action.INTERNAL_ERROR
    assert isinstance(fields["error"], RuntimeError)


async def test_every_command_is_logged_with_who_gave_it_and_questions_are_not(
    http: aiohttp.ClientSession, journal: RecordingJournal
) -> None:
    await told(http, "POST", BANS, json={"address": "192.0.2.1"})
    await told(http, "POST", BANS, json={"address": ALLOWED})
    await told(http, "DELETE", f"{BANS}/192.0.2.1")
    await told(http, "DELETE", f"{BANS}/192.0.2.1")
    await told(http, "DELETE", f"{BANS}/{REFUSED_BY_KERNEL}")
    await told(http, "DELETE", BANS)
    await told(http, "GET", BANS)

    assert [(message, fields["outcome"]) for _, message, fields in journal.lines] == [
        ("ban 192.0.2.1", "success"),
        (f"ban {ALLOWED}", "failure"),
        ("unban 192.0.2.1", "success"),
        ("unban 192.0.2.1", "failure"),
        (f"unban {REFUSED_BY_KERNEL}", "failure"),
        ("unban everybody", "success"),
    ]
    assert {line.action for line in journal.lines} == {Action.CONTROL}
    assert {(fields["peer_uid"], fields["peer_pid"]) for _, _, fields in journal.lines} == {(os.getuid(), os.getpid())}


async def test_a_hundred_thousand_who_are_allowed_keep_no_event_waiting_while_they_are_told(
    http: aiohttp.ClientSession, guard: FakeGuard
) -> None:
    for number in range(100_000):
        await guard.allow(Target(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"), "office")
    with steps() as taken:
        async with http.get(ALLOW) as response:
            body = await response.read()

    assert body.count(b'"comment": "office"') == 100_000
    assert max(taken) < BREATH
