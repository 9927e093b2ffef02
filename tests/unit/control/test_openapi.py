"""The description of the interface is true: what schemathesis makes up from it is answered as it says."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from pathlib import Path

import aiohttp

from amiguard.control.routes.documents import description
from amiguard.control.server import ControlServer
from amiguard.control.settings import Address, ControlSettings
from amiguard.control.stream import Stream
from amiguard.fleet.node import Node
from amiguard.journal import Action
from amiguard.model import Ban, Evidence, Reason, Target
from tests.lab.described import described
from tests.lab.fleet import settings
from tests.lab.journal import RecordingJournal
from tests.lab.ports import free_port
from tests.lab.world import World
from tests.unit.control.conftest import NOW, FakeGuard

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "unsupported_method",
    "allow_header_conformance",
)
"""Not `positive_data_acceptance`: an address is more than OpenAPI can say. `ignored_auth` has a test of its own."""

COMMAND = (
    sys.executable,
    *("-m", "schemathesis.cli", "run", "--no-color", "--seed", "1", "--generation-database", "none"),
    *("--phases", "examples,coverage,fuzzing", "--max-examples", "30", "--checks", ",".join(CHECKS)),
    *("--request-timeout", "5", "--suppress-health-check", "all", "--warnings", "off"),
    *("--exclude-path", "/api/v1/events"),  # it never ends: test_events.py
)


def complete(settings: ControlSettings, guard: FakeGuard, journal: RecordingJournal) -> ControlServer:
    """Return a server that serves all there is."""

    async def reload() -> list[str]:
        return []

    async def metrics() -> tuple[bytes, str]:
        return b"amiguard_bans 1\n", "text/plain; version=1.0.0"

    return ControlServer(settings, guard, journal, lambda: NOW, Stream(), reload=reload, metrics=metrics)


async def test_every_answer_is_as_described_whatever_is_asked(
    path: Path, guard: FakeGuard, journal: RecordingJournal, tmp_path: Path
) -> None:
    address = Address("127.0.0.1", free_port())

    server = complete(ControlSettings(path, http=address), guard, journal)
    await server.start()
    target = Target("198.51.100.7")
    guard.running[target] = Ban(target, NOW, NOW, Reason.ACL, evidence=Evidence.DATAGRAM, accounts=("<script>",))
    process = await asyncio.create_subprocess_exec(
        *COMMAND,
        f"http://127.0.0.1:{address.port}/api/v1/openapi.json",
        cwd=tmp_path,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    out, _ = await process.communicate()
    await server.close()

    assert process.returncode == 0, out.decode()
    asked = sum(map(int, re.findall(r"(\d+) generated", out.decode())))
    assert asked > 150, out.decode()
    assert not journal.of(Action.INTERNAL_ERROR)


async def test_every_route_is_described_and_every_description_has_a_route(
    path: Path, guard: FakeGuard, journal: RecordingJournal
) -> None:
    server = complete(ControlSettings(path), guard, journal)

    routes = {(route.method, re.sub(r":[^}]*", "", route.path)) for route in server.api.routes}
    told = {
        (method.upper(), route) for route, methods in json.loads(description())["paths"].items() for method in methods
    }
    assert routes - {("GET", "/"), ("GET", "/page/{name}")} == told


async def test_the_description_is_served(server: ControlServer, path: Path) -> None:
    async with (
        aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(path))) as http,
        http.get("http://amiguard/api/v1/openapi.json") as answer,
    ):
        assert (await answer.json())["openapi"] == "3.1.0"


async def test_the_status_of_a_node_with_a_fleet_is_as_it_is_described() -> None:
    world = World()
    world.fleet = Node(settings("redis://127.0.0.1:1", "pbx1"), world.journal, lambda: world.now)
    async with world.running() as guard:
        told = guard.administration.status() | {"notifiers": []}  # those of the test have no place
        described("Status", json.loads(json.dumps(told)))
