"""The way to Splunk's HTTP Event Collector that docs/operations.md shows, before a collector as strict as Splunk's."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from tests.lab.documents import blocks
from tests.lab.stage import Stage

pytestmark = pytest.mark.netns

ATTACKERS = ["198.18.0.7", "198.18.0.8"]
TOKEN = "B5A79AAD-D822-46CC-80D1-819F80D7BFB0"
REFUSED = 22
"""curl's exit code for an answer of 400 or more."""


@dataclass
class Collector:
    """Answers as Splunk does ("Possible error codes" of its manual), and keeps what it takes."""

    taken: list[dict[str, Any]] = field(default_factory=list)
    url: str = ""

    async def handle(self, request: web.Request) -> web.Response:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme != "Splunk":
            return answer(401, 2, "Token is required")
        if token != TOKEN:
            return answer(403, 4, "Invalid token")
        try:
            events = concatenated(await request.text())
        except ValueError:
            return answer(400, 6, "Invalid data format")
        if not events:
            return answer(400, 5, "No data")
        if not all(one.get("event") for one in events):
            return answer(400, 12, "Event field is required")
        self.taken += events
        return answer(200, 0, "Success")


def answer(status: int, code: int, text: str) -> web.Response:
    return web.json_response({"text": text, "code": code}, status=status)


def concatenated(text: str) -> list[dict[str, Any]]:
    """Return the objects of a batch, which stand one behind the other. Raises ValueError."""
    decoder, found, text = json.JSONDecoder(), [], text.strip()
    while text:
        one, end = decoder.raw_decode(text)
        found.append(one)
        text = text[end:].lstrip()
    return found


@asynccontextmanager
async def collecting() -> AsyncIterator[Collector]:
    collector = Collector()
    app = web.Application()
    app.router.add_post("/services/collector/event", collector.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    collector.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield collector
    finally:
        await runner.cleanup()


async def sent(log: Path, header: Path, collector: Collector) -> tuple[int, str]:
    """Run the command that is shown, on this log instead of the journal; return its exit code and the answer."""
    [command] = blocks("docs/operations.md", "SIEM")
    for shown, here in (
        ("journalctl -u amiguard -o cat", f"cat {log}"),
        ("/etc/amiguard/splunk.header", str(header)),
        ("https://splunk.example.org:8088", collector.url),
    ):
        assert shown in command
        command = command.replace(shown, here)
    process = await asyncio.create_subprocess_exec("sh", "-c", command, stdout=subprocess.PIPE)
    async with asyncio.timeout(30):
        told, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, told.decode()


async def test_bans_arrive_at_splunk_with_their_time(place: Stage, tmp_path: Path) -> None:
    daemon = await place.site.up()
    for attacker in ATTACKERS:
        await place.guess(attacker, times=5)
    await daemon.told("ban", 2)
    assert await daemon.stop() == 0
    log, header = tmp_path / "journal", tmp_path / "header"
    log.write_text(f"Starting amiguard.service\n{daemon.log.read_text()}Stopped amiguard.service - it's done.\n")
    header.write_text(f"Authorization: Splunk {TOKEN}\n")

    async with collecting() as collector:
        code, told = await sent(log, header, collector)
        assert (code, json.loads(told)) == (0, {"text": "Success", "code": 0})
        header.write_text("Authorization: Splunk another\n")
        assert (await sent(log, header, collector))[0] == REFUSED

    assert [one["event"] for one in collector.taken] == daemon.lines("ban")
    assert [one["event"]["source.ip"] for one in collector.taken] == ATTACKERS
    assert {one["sourcetype"] for one in collector.taken} == {"amiguard"}
    for one in collector.taken:
        assert one["time"] == pytest.approx(datetime.fromisoformat(one["event"]["@timestamp"]).timestamp(), abs=1e-3)
