"""The whole daemon and lists of others: who is named is dropped and shown, unless he is allowed."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

import pytest
from aiohttp import web

from amiguard.model import Address, Target
from tests.lab.daemon import Daemon
from tests.lab.described import described
from tests.lab.stage import Stage
from tests.lab.waiting import until

pytestmark = pytest.mark.netns

NAMED, NEIGHBOUR = "45.9.9.1", "45.9.9.2"


@dataclass
class Publisher:
    """A server with a list."""

    lines: list[str]
    status: int = 200
    asked: int = 0
    url: str = ""
    tags: set[str] = field(default_factory=set)

    async def handle(self, request: web.Request) -> web.Response:
        self.asked += 1
        if self.status != 200:
            return web.Response(status=self.status)
        return web.Response(text="".join(f"{line}\n" for line in self.lines))


@asynccontextmanager
async def publishing(publisher: Publisher) -> AsyncIterator[Publisher]:
    app = web.Application()
    app.router.add_get("/{path:.*}", publisher.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    publisher.url = f"http://127.0.0.1:{runner.addresses[0][1]}/list?token=canary-token"
    try:
        yield publisher
    finally:
        await runner.cleanup()


async def shown(daemon: Daemon, address: str) -> dict[str, object]:
    told: dict[str, object] = await daemon.control.offender(Address(Target(address)))
    return told


@pytest.mark.parametrize("firewall", ["nftables", "ipset"])
async def test_lists_drop_whom_they_name_and_nobody_who_is_allowed(place: Stage, firewall: str) -> None:
    place.namespace.run(["ip", "route", "add", "local", "45.9.0.0/16", "dev", "lo"])
    office = place.site.folder / "office.txt"
    office.write_text("# ours\n45.9.77.0/24\n")
    async with AsyncExitStack() as stack:
        with place.namespace.entered():
            publisher = await stack.enter_async_context(publishing(Publisher([NAMED, NEIGHBOUR, "127.0.0.1"])))
        feeds = f"voipbl={publisher.url} office=file://{office}"
        place.site.settings |= {"FEEDS": feeds, "FEED_INTERVAL": "1s", "IGNOREIP": f"127.0.0.0/8 {NEIGHBOUR}"}
        place.site.settings |= {"FIREWALL": firewall, "FIREWALL_OWNER": "false"}
        place.site.settings |= {"ASTERISK_LOG": str(office), "MAIL_TO": "root@localhost"}
        daemon = await place.site.up()
        await daemon.told("feed-updated", 2)
        assert not await place.arrives(NAMED)
        assert not await place.arrives("45.9.77.3")
        assert await place.arrives(NEIGHBOUR)
        assert (await shown(daemon, NAMED))["listed"] == [{"feed": "voipbl", "address": NAMED}]
        line = next(line for line in daemon.lines("feed-updated") if line["amiguard.feed"] == "voipbl")
        assert (line["amiguard.entries"], line["amiguard.spared"], line["amiguard.special"]) == (1, 1, 1)

        publisher.lines = ["45.9.9.3"]
        await daemon.told("feed-updated", 3)
        assert await place.arrives(NAMED)
        assert not await place.arrives("45.9.9.3")

        publisher.status = 500
        await daemon.told("feed-failed")
        place.namespace.run(["sh", "-c", "nft flush ruleset; ipset flush"])
        await daemon.told("firewall-healed")

        async def dropped() -> bool:
            return not await place.arrives("45.9.9.3")

        await until(dropped)
        status = await daemon.status()
        told = {feed["name"]: feed for feed in status["feeds"]}
        assert (told["voipbl"]["up"], told["office"]["up"]) == (False, True)
        assert told["voipbl"]["entries"] == 1
        assert "500" in told["voipbl"]["error"]
        described("Status", status)

        place.site.settings["FEEDS"] = ""
        assert await daemon.stop() == 0
        assert not await place.arrives("45.9.9.3")  # as long as nobody says otherwise
        await place.site.up()
        assert await place.arrives("45.9.9.3")
    assert "canary-token" not in daemon.log.read_text()


@pytest.mark.parametrize("firewall", ["nftables", "ipset"])
async def test_a_reload_takes_other_lists(place: Stage, firewall: str) -> None:
    place.namespace.run(["ip", "route", "add", "local", "45.9.0.0/16", "dev", "lo"])
    one, other, env = (place.site.folder / name for name in ("one", "other", "amiguard.env"))
    one.write_text(f"{NAMED}\n")
    other.write_text(f"{NEIGHBOUR}\n")
    env.write_text(f"AMIGUARD_FEEDS=one=file://{one}\n")
    place.site.settings |= {"ENV_FILE": str(env), "FIREWALL": firewall}
    daemon = await place.site.up()
    await daemon.told("feed-updated")
    assert not await place.arrives(NAMED)

    env.write_text(f"AMIGUARD_FEEDS=other=file://{other}\n")
    daemon.process.send_signal(signal.SIGHUP)
    await daemon.told("settings-reloaded")
    await daemon.told("feed-updated", 2)
    assert await place.arrives(NAMED)
    assert not await place.arrives(NEIGHBOUR)
    assert [feed["name"] for feed in (await daemon.status())["feeds"]] == ["other"]

    env.write_text("")
    daemon.process.send_signal(signal.SIGHUP)
    await daemon.told("settings-reloaded", 2)
    await asyncio.sleep(0)
    assert await place.arrives(NEIGHBOUR)
    assert await daemon.stop() == 0
