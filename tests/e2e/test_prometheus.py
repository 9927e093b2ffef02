"""What is delivered for Prometheus and Grafana: checked by promtool, and scraped by a real Prometheus."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from amiguard.alerting import ALERTS as COUNTED
from amiguard.control.metrics import exposition
from amiguard.fleet.node import Node
from amiguard.listed import Listed
from tests.lab.fleet import settings
from tests.lab.prometheus import Prometheus, prometheus, promtool
from tests.lab.sources import FixedSource
from tests.lab.stage import Stage
from tests.lab.waiting import until
from tests.lab.world import World

pytestmark = pytest.mark.netns

DEPLOY = Path(__file__).parents[2] / "deploy"
ALERTS = DEPLOY / "prometheus/alerts.yml"
SCRAPE = DEPLOY / "prometheus/scrape.yml"
DASHBOARD = DEPLOY / "grafana/amiguard.json"
SOURCES = (
    FixedSource({"name": "ami", "up": True, "events": 7, "last_event": 1_500, "reconnects": 2}),
    FixedSource({"name": "log", "up": True, "lines": 99, "last_line": 1_500, "behind": 512}),
)
ATTACKER = "198.18.0.7"


class FixedFeed(FixedSource):
    """A list of others that only tells how it goes."""

    name = "voipbl"


async def told() -> str:
    """What a daemon with AMI, a log, a fleet and a list tells."""
    world = World()
    world.fleet = Node(settings("redis://127.0.0.1:1", "pbx1"), world.journal, lambda: world.now)
    async with world.running() as guard:
        guard.sources.extend(SOURCES)
        guard.administration.feeds.append(FixedFeed({"up": False, "error": "cut off", "age": 60, "failures": 3}))
        guard.listing.replace("voipbl", Listed(), {})
        await until(lambda: "voipbl" in world.firewall.lists.held)
        return exposition(await guard.administration.measure())[0].decode()


def expressions() -> list[str]:
    """Every query of the dashboard, with what Grafana puts in for its variables."""
    dashboard = json.loads(DASHBOARD.read_text())
    found = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    return [expr.replace("$__rate_interval", "5m").replace("$instance", ".*").replace("$job", ".*") for expr in found]


async def test_every_metric_that_dashboard_and_alerts_name_is_told() -> None:
    samples = {sample.name for family in text_string_to_metric_families(await told()) for sample in family.samples}
    named = set(re.findall(r"\b(?:amiguard|process)_[a-z_]+\b", "\n".join([*expressions(), ALERTS.read_text()])))

    assert named - samples == set()
    assert len(named) > 20


def test_the_alert_rules_name_actions_that_are_counted_from_the_start() -> None:
    named = {action for group in re.findall(r'action=~"([^"]+)"', ALERTS.read_text()) for action in group.split("|")}

    assert named == {"account-under-attack", "suspected-compromise"} <= {action.value for action in COUNTED}


def test_the_panels_of_the_dashboard_are_told_apart_and_do_not_overlap() -> None:
    panels = json.loads(DASHBOARD.read_text())["panels"]
    places = [
        (x, y)
        for panel in panels
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]

    assert len({panel["id"] for panel in panels}) == len({panel["title"] for panel in panels}) == len(panels)
    assert len(set(places)) == len(places)
    assert max(x for x, _ in places) < 24


async def test_promtool_finds_no_mistake(servers_root: Path, tmp_path: Path) -> None:
    queries = tmp_path / "dashboard.json"
    rules = [{"record": f"panel:{number}", "expr": expr} for number, expr in enumerate(expressions())]
    queries.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
    (tmp_path / "prometheus.yml").write_text(SCRAPE.read_text())
    (tmp_path / "amiguard-alerts.yml").write_text(ALERTS.read_text())

    assert f"{len(rules)} rules found" in promtool(servers_root, "check", "rules", queries)
    assert "SUCCESS" in promtool(servers_root, "check", "config", tmp_path / "prometheus.yml")
    assert promtool(servers_root, "check", "metrics", stdin=await told()) == ""


async def test_prometheus_scrapes_a_daemon_and_evaluates_the_alerts(
    place: Stage, servers_root: Path, tmp_path: Path
) -> None:
    (tmp_path / "amiguard-alerts.yml").write_text(ALERTS.read_text())
    config = SCRAPE.read_text().replace("scrape_interval: 15s", "scrape_interval: 1s")
    config += "\nglobal:\n  evaluation_interval: 1s\n"
    (tmp_path / "full").touch()
    place.site.settings |= {"HTTP_LISTEN": "127.0.0.1:9478", "ASTERISK_LOG": str(tmp_path / "full")}
    daemon = await place.site.up()
    await place.guess(ATTACKER, times=5)
    await daemon.told("ban")

    with prometheus(servers_root, tmp_path, config, place.namespace) as server:
        await until(lambda: server.value("amiguard_bans_active") == 1, 20, "a scrape")
        assert server.value('amiguard_failures_total{reason="wrong-password"}') == 5
        assert server.value('amiguard_source_up{source="ami"}') == 1
        assert server.value("amiguard_firewall_transaction_seconds_count") == 1
        assert await place.arrives(ATTACKER) is False
        await until(lambda: (server.value("amiguard_dropped_packets_total") or 0) >= 1, 20, "the drop")
        assert server.value('up{job="amiguard"}') == 1
        await until(lambda: empty(server) == set(), 20, "data for each panel of the dashboard")
        await until(lambda: health(server.ask("rules")) == {"ok"}, 20, "the rules' evaluation")
        assert await daemon.stop() == 0
        await until(lambda: server.value('up{job="amiguard"}') == 0, 20, "the end of the daemon")
        await until(lambda: "AmiguardDown" in pending(server.ask("alerts")), 20, "the alert")


def empty(server: Prometheus) -> set[str]:
    """Return the queries of the dashboard that tell nothing of a daemon without fleet, lists and notifiers."""
    asked = {expr for expr in expressions() if not re.search("amiguard_(fleet|feed|notifier)_", expr)}
    assert len(asked) > 15
    return {expr for expr in asked if not server.ask("query", query=expr)["result"]}


def health(rules: dict[str, list[dict[str, list[dict[str, str]]]]]) -> set[str]:
    return {rule["health"] for group in rules["groups"] for rule in group["rules"]}


def pending(alerts: dict[str, list[dict[str, dict[str, str]]]]) -> set[str]:
    return {alert["labels"]["alertname"] for alert in alerts["alerts"]}
