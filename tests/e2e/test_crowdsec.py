"""The whole daemon and Debian's CrowdSec: each hears of the other's bans, and nothing goes round in circles."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from amiguard.model import Address, Target
from tests.lab.crowdsec import KEY, MACHINE, PASSWORD, URL, CrowdSec, crowdsec
from tests.lab.stage import Stage
from tests.lab.waiting import until

pytestmark = pytest.mark.netns

ATTACKER, FOREIGN, NEIGHBOUR = "45.9.9.1", "45.9.9.2", "45.9.9.3"


@pytest.fixture
def lapi(place: Stage, servers_root: Path, tmp_path: Path) -> Iterator[CrowdSec]:
    place.namespace.run(["ip", "route", "add", "local", "45.9.0.0/16", "dev", "lo"])
    place.site.settings |= {
        "CROWDSEC_URL": URL,
        "CROWDSEC_API_KEY": KEY,
        "CROWDSEC_MACHINE": MACHINE,
        "CROWDSEC_PASSWORD": PASSWORD,
        "CROWDSEC_INTERVAL": "1s",
        "FLEET_NODE": "pbx1",
    }
    with crowdsec(servers_root, tmp_path / "crowdsec", place.namespace) as one:
        yield one


@pytest.mark.parametrize("firewall", ["nftables", "ipset"])
async def test_whom_crowdsec_bans_is_dropped_until_it_lets_him_go(place: Stage, lapi: CrowdSec, firewall: str) -> None:
    place.site.settings["FIREWALL"] = firewall
    lapi.cscli("decisions", "add", "--ip", FOREIGN, "--duration", "1h")
    lapi.cscli("decisions", "add", "--ip", "10.0.0.9", "--duration", "1h")
    daemon = await place.site.up()
    await daemon.told("feed-updated")
    assert not await place.arrives(FOREIGN)
    assert await place.arrives(NEIGHBOUR)

    lapi.cscli("decisions", "add", "--range", "45.9.77.0/25", "--duration", "1h")
    lapi.cscli("decisions", "add", "--ip", NEIGHBOUR, "--duration", "3s")
    lapi.cscli("decisions", "add", "--ip", ATTACKER, "--duration", "1h", "--type", "captcha")

    async def dropped() -> bool:
        return not await place.arrives("45.9.77.100") and not await place.arrives(NEIGHBOUR)

    await until(dropped, 10)
    assert await place.arrives("45.9.77.200")
    assert await place.arrives(ATTACKER)
    shown = await daemon.control.offender(Address(Target("45.9.77.100")))
    assert shown["listed"] == [{"feed": "crowdsec", "address": "45.9.77.100"}]
    await until(lambda: place.arrives(NEIGHBOUR), 10)

    lapi.cscli("decisions", "delete", "--ip", FOREIGN)
    await until(lambda: place.arrives(FOREIGN), 10)
    await daemon.control.allow(Target("45.9.77.100"), "")
    assert await place.arrives("45.9.77.100")
    assert await daemon.stop() == 0


async def test_crowdsec_hears_of_bans_and_unbans_also_of_those_while_it_was_away(place: Stage, lapi: CrowdSec) -> None:
    daemon = await place.site.up()
    await daemon.told("feed-updated")
    await place.guess(ATTACKER, times=5)
    await daemon.told("ban")
    await until(lambda: ATTACKER in lapi.decisions(), 10)
    decision = lapi.decisions()[ATTACKER]
    assert decision["origin"] == "amiguard/pbx1"
    assert decision["scenario"] == "amiguard/wrong-password"
    assert decision["duration"].startswith("59m")
    assert await daemon.control.offender(Address(Target(ATTACKER)))
    assert (await daemon.status())["feeds"][0]["entries"] == 0  # our own ban does not come back as a decision

    lapi.cscli("decisions", "add", "--ip", NEIGHBOUR, "--duration", "2h")
    await daemon.control.unban(Target(ATTACKER))
    await until(lambda: set(lapi.decisions()) == {NEIGHBOUR}, 10)

    lapi.end()
    await daemon.control.ban(Target("45.9.88.0/24"), 3_600_000, "scans us")
    await daemon.told("crowdsec-failed")
    await daemon.told("feed-failed")
    lapi.start()
    await daemon.told("crowdsec-recovered")
    assert lapi.decisions()["45.9.88.0/24"]["scope"] == "Range"
    assert await daemon.stop() == 0
    log = daemon.log.read_text()
    assert PASSWORD not in log
    assert KEY not in log
