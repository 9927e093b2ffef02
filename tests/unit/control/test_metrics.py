"""What Prometheus is told, read back by prometheus-client's own parser."""

from __future__ import annotations

import subprocess
import sys

from prometheus_client.parser import text_string_to_metric_families

from amiguard.control.metrics import exposition
from amiguard.guard import Guard
from amiguard.histogram import Histogram
from amiguard.journal import Action
from amiguard.model import Reason
from tests.lab.sources import FixedSource
from tests.lab.waiting import until
from tests.lab.world import ATTACKER, World, attack, guess

SOURCES = (
    FixedSource({"name": "ami", "up": True, "events": 7, "last_event": 1_500, "reconnects": 2}),
    FixedSource({"name": "log", "up": False, "lines": 99, "last_line": None, "behind": 512}),
)


async def scraped(guard: Guard) -> dict[tuple[str, ...], float]:
    """Every sample: its name and the values of its labels."""
    body, content_type = exposition(await guard.administration.measure())
    assert content_type.startswith("text/plain; version=")
    families = list(text_string_to_metric_families(body.decode()))
    assert all(family.documentation for family in families)
    return {(sample.name, *sample.labels.values()): sample.value for family in families for sample in family.samples}


async def test_a_scrape_tells_everything_that_a_graph_needs() -> None:
    world = World()
    async with world.running() as guard:
        guard.sources.extend(SOURCES)
        attack(guard)
        attack(guard, "192.0.2.9", times=2)
        guard.observe(guess("192.0.2.10", tampered=True), "ami")
        guard.alert(Action.AMI_LOST, "x")
        await until(lambda: len(world.firewall.dropped) == 2)
        await until(lambda: guard.administration.lag.cumulated()[-1][1] > 0, 5, "a look at the loop")
        told = await scraped(guard)

    assert told.pop(("amiguard_loop_tasks",)) > 5
    expected = {
        ("amiguard_ready",): 1,
        ("amiguard_events_total",): 8,
        ("amiguard_failures_total", "wrong-password"): 7,
        ("amiguard_failures_total", "injection"): 1,
        ("amiguard_failures_total", "acl"): 0,
        ("amiguard_injections_total",): 1,
        ("amiguard_bans_total",): 2,
        ("amiguard_bans_active",): 2,
        ("amiguard_bans_waiting",): 0,
        ("amiguard_alerts_total", "ami-lost"): 1,
        ("amiguard_source_up", "ami"): 1,
        ("amiguard_source_up", "log"): 0,
        ("amiguard_source_read_total", "ami"): 7,
        ("amiguard_source_read_total", "log"): 99,
        ("amiguard_source_reconnects_total", "ami"): 2,
        ("amiguard_source_behind_bytes", "log"): 512,
        ("amiguard_source_last_read_timestamp_seconds", "ami"): 1.5,
        ("amiguard_firewall_up",): 1,
        ("amiguard_dropped_packets_total",): 7,
        ("amiguard_dropped_bytes_total",): 2800,
        ("amiguard_jail_offenders",): 1,
        ("amiguard_store_up",): 1,
        ("amiguard_notifier_up", "recording"): 1,
        ("amiguard_notifier_sent_total", "recording"): 3,
        ("amiguard_notifier_waiting", "recording"): 0,
    }
    assert {sample: told.get(sample) for sample in expected} == expected
    assert ("amiguard_source_last_read_timestamp_seconds", "log") not in told
    assert told["amiguard_firewall_transaction_seconds_count",] >= 1
    assert told["amiguard_firewall_transaction_seconds_bucket", "+Inf"] >= 1
    assert told["amiguard_loop_lag_seconds_count",] >= 1
    rules = {labels[0]: value for (name, *labels), value in told.items() if name == "amiguard_jail_memory_bytes"}
    assert rules.keys() == {"jail", "protected", "slow", "scanners"}
    assert 50_000 > rules["jail"] > rules["protected"] / 3 > 0  # one offender, and three empty jails
    assert told["process_resident_memory_bytes",] > 1_000_000
    assert sum(name == "amiguard_failures_total" for name, *_ in told) == len(Reason)


async def test_while_the_firewall_fails_the_rest_is_told() -> None:
    world = World()
    async with world.running() as guard:
        healthy = guard.administration.status()["firewall"]
        world.firewall.broken = True
        attack(guard)
        await until(lambda: guard.administration.status()["firewall"] != healthy)
        told = await scraped(guard)

    assert told["amiguard_firewall_up",] == 0
    assert told["amiguard_bans_waiting",] == 1
    assert ("amiguard_dropped_packets_total",) not in told


async def test_no_name_that_a_stranger_chose_is_told() -> None:
    world = World()
    async with world.running() as guard:
        for _ in range(5):
            guard.observe(guess(ATTACKER)._replace(account='canary"} 1\n'), "ami")
        await until(lambda: bool(world.firewall.dropped))
        body, _ = exposition(await guard.administration.measure())

    assert b"canary" not in body
    assert ATTACKER.encode() not in body


def test_a_histogram_counts_up_to_each_bound() -> None:
    histogram = Histogram()
    for seconds in (0.0001, 0.001, 0.0011, 7.0):
        histogram.observe(seconds)

    told = dict(histogram.cumulated())
    assert (told[0.0005], told[0.001], told[0.0025], told[5.0], told[float("inf")]) == (1, 2, 3, 3, 4)
    assert histogram.sum == 7.0022


def test_who_is_not_scraped_does_not_pay_for_the_library() -> None:
    script = "import sys, amiguard.daemon; sys.exit('prometheus_client' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
