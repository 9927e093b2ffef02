"""The daemon from its start to its end, with a real kernel and a real database."""

from __future__ import annotations

import sqlite3

import pytest

from tests.lab.daemon import unprivileged
from tests.lab.stage import Stage
from tests.lab.waiting import until

pytestmark = pytest.mark.netns

ATTACKER, NEIGHBOUR = "198.18.0.7", "198.18.0.8"
HOUR = 3600


async def test_the_fifth_failure_shuts_an_attacker_out_and_nobody_else(place: Stage) -> None:
    daemon = await place.site.up()
    await place.guess(ATTACKER, times=4)
    await daemon.told("failure", 4)
    assert place.site.kernel() == {}
    assert await place.arrives(ATTACKER)

    await place.guess(ATTACKER)

    await daemon.told("ban")
    assert [*place.site.kernel()] == [ATTACKER]
    assert not await place.arrives(ATTACKER)
    assert await place.arrives(NEIGHBOUR)


async def test_a_ban_is_told_in_the_log_and_on_the_control_socket(place: Stage) -> None:
    daemon = await place.site.up()
    await place.guess(ATTACKER, times=5)

    (line,) = await daemon.told("ban")
    expected = {
        "log.level": "warning",
        "event.kind": "alert",
        "event.category": ["intrusion_detection", "network"],
        "event.type": ["denied"],
        "event.outcome": "success",
        "event.reason": "wrong-password",
        "source.ip": ATTACKER,
        "network.transport": "udp",
        "network.protocol": "sip",
        "asterisk.service": "PJSIP",
        "amiguard.origin": "local",
        "amiguard.evidence": "datagram",
        "amiguard.failures": 5,
        "amiguard.bantime": HOUR,
        "amiguard.source": "ami",
        "related.user": ["6001"],
    }
    assert line | expected == line
    status = await daemon.status()
    assert status["ready"] is True
    assert status["totals"] == {
        "events": 10, "failures": 5, "injections": 0, "bans": 1, "skipped": 0, "after_ban": 0
    }  # fmt: skip
    assert [ban["address"] async for ban in daemon.control.bans()] == [ATTACKER]


async def test_a_stopped_daemon_leaves_its_bans_in_the_kernel(place: Stage) -> None:
    daemon = await place.site.up()
    await place.guess(ATTACKER, times=5)
    await daemon.told("ban")

    assert await daemon.stop() == 0

    assert daemon.lines()[-1]["event.action"] == "stop"
    assert [*place.site.kernel()] == [ATTACKER]
    assert not await place.arrives(ATTACKER)


async def test_a_restart_goes_on_with_the_time_that_was_left(place: Stage) -> None:
    daemon = await place.site.up()
    await place.guess(ATTACKER, times=5)
    await daemon.told("ban")
    await daemon.stop()
    passed = 1000
    with sqlite3.connect(place.site.database) as database:
        database.execute("UPDATE bans SET since = since - ?, until = until - ?", [passed * 1000] * 2)
    database.close()

    again = await place.site.up()

    assert again.lines("ready")[0]["amiguard.bans"] == 1
    left = place.site.kernel()[ATTACKER]
    assert left is not None
    assert HOUR - passed - 60 < left <= HOUR - passed
    assert again.lines("ban", "failure") == []


async def test_the_daemon_needs_no_other_privilege_than_to_change_the_firewall(place: Stage) -> None:
    place.site.give_to_nobody()
    daemon = place.site.start(unprivileged())
    await daemon.told("ami-connected")
    assert daemon.identity() == {"Uid:": "65534", "Gid:": "65534", "CapEff:": f"{1 << 12:016x}"}

    await place.guess(ATTACKER, times=5)

    await daemon.told("ban")
    assert [*place.site.kernel()] == [ATTACKER]
    assert await daemon.stop() == 0
    again = place.site.start(unprivileged())
    await again.told("ready")
    assert again.lines("ready")[0]["amiguard.bans"] == 1


async def test_with_every_feature_on_the_daemon_needs_no_other_privilege(place: Stage) -> None:
    place.site.give_to_nobody()
    place.site.settings |= {"FIREWALL_OWNER": "false", "FIREWALL_COUNTERS": "true", "UNPROVEN_BANTIME": "1h"}
    daemon = place.site.start(unprivileged())
    await daemon.told("ami-connected")
    await place.guess(ATTACKER, times=5)
    await daemon.told("ban")

    place.namespace.run(["nft", "flush", "ruleset"])

    (line,) = await daemon.told("firewall-healed")
    assert line["process.name"] == "nft"
    assert not await place.arrives(ATTACKER)
    assert daemon.lines("firewall-failed", "internal-error") == []
    assert daemon.lines("ready")[0]["amiguard.lacks"] == []


async def test_a_second_daemon_does_not_disturb_the_first(place: Stage) -> None:
    first = await place.site.up()

    second = place.site.start()

    assert await second.ended() == 1
    await place.guess(ATTACKER, times=5)
    await first.told("ban")
    await until(lambda: [*place.site.kernel()] == [ATTACKER])
