"""Each alert rule for Prometheus: when it fires, what it says, and that it is silent while all is well; by promtool."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.lab.chroots import chroot
from tests.lab.prometheus import promtool

ALERTS = Path(__file__).parents[2] / "deploy/prometheus/alerts.yml"
INSTANCE = "pbx:9478"
MINUTES = 90


class Case(NamedTuple):
    """Series from minute 0 on, as promtool writes them. In the first of `minutes` the alert is silent."""

    alert: str
    series: dict[str, str]
    minutes: tuple[int, int]
    summary: str
    labels: dict[str, str]


def case(alert: str, series: dict[str, str], minutes: tuple[int, int], summary: str, **labels: str) -> Case:
    """Return a case; what follows is labels that the alert keeps."""
    return Case(alert, series, minutes, summary.replace("HOST", INSTANCE), labels)


CASES = [
    case("AmiguardDown", {'up{job="amiguard"}': "1 0x20"}, (2, 4), "amiguard on HOST does not answer", job="amiguard"),
    case("AmiguardNotReady", {"amiguard_ready": "1 0x20"}, (1, 3), "amiguard on HOST does not protect"),
    case(
        "AmiguardSourceLost",
        {'amiguard_source_up{source="ami"}': "1 0x20"},
        *((1, 3), "amiguard on HOST lost its source ami"),
        source="ami",
    ),
    case(
        "AmiguardLogBehind",
        {'amiguard_source_behind_bytes{source="log"}': "0 31457280x20"},
        *((4, 7), "amiguard on HOST is 30MiB behind in the log"),
        source="log",
    ),
    *(
        case("AmiguardFirewallFailing", series, (1, 3), "The kernel of HOST refuses amiguard's bans")
        for series in ({"amiguard_firewall_up": "1 0x20"}, {"amiguard_bans_waiting": "0 2x20"})
    ),
    case("AmiguardStoreFailing", {"amiguard_store_up": "1 0x20"}, (4, 7), "amiguard on HOST can't use its database"),
    case(
        "AmiguardNotifierFailing",
        {'amiguard_notifier_up{notifier="mail"}': "1 0x40"},
        *((12, 18), "amiguard on HOST can't deliver by mail"),
        notifier="mail",
    ),
    case(
        "AmiguardMessagesLost",
        {'amiguard_notifier_lost_total{notifier="mail"}': "0 0 0 1x80"},
        *((1, 4), "amiguard on HOST lost messages of mail"),
        notifier="mail",
    ),
    case(
        "AmiguardFleetLost",
        {"amiguard_fleet_up": "1 0x20"},
        (4, 7),
        "amiguard on HOST goes on alone, without its fleet",
    ),
    case(
        "AmiguardFleetRefused",
        {"amiguard_fleet_refused_total": "0 0 0 1x80"},
        *((1, 4), "amiguard on HOST was told by its fleet what no node may tell"),
    ),
    case(
        "AmiguardFleetLag",
        {"amiguard_fleet_lag_seconds": "0.01 9x40", "amiguard_fleet_received_total": "0+10x40"},
        *((4, 8), "Bans of the fleet reach amiguard on HOST 9s late"),
    ),
    case(
        "AmiguardListFailing",
        {'amiguard_feed_up{feed="voipbl"}': "1 0x90"},
        *((55, 65), "amiguard on HOST can't have the list voipbl"),
        feed="voipbl",
    ),
    case(
        "AmiguardCompromise",
        {'amiguard_alerts_total{action="suspected-compromise"}': "0 0 0 1x80"},
        *((1, 4), "amiguard on HOST alerts of suspected-compromise"),
        action="suspected-compromise",
    ),
    case(
        "AmiguardForgedEvents",
        {"amiguard_injections_total": "0 0 0 3x80"},
        *((1, 4), "Somebody forges Asterisk's events at HOST"),
    ),
    case(
        "AmiguardFlood",
        {f'amiguard_failures_total{{reason="{reason}"}}': "0+2400x40" for reason in ("acl", "wrong-password")},
        *((4, 9), "80 failed attempts a second at HOST"),
    ),
    case(
        "AmiguardJailFull",
        {"amiguard_jail_evicted_total": "0 0 0 500x80"},
        *((1, 4), "More offenders than amiguard on HOST can count at once"),
    ),
    case(
        "AmiguardSlow",
        {
            'amiguard_loop_lag_seconds_bucket{le="0.25"}': "0+50x80",
            'amiguard_loop_lag_seconds_bucket{le="0.5"}': "0+60x80",
            'amiguard_loop_lag_seconds_bucket{le="+Inf"}': "0+60x80",
        },
        *((5, 25), "amiguard on HOST is late by 485ms"),
    ),
]

WELL = {
    'up{job="amiguard"}': "1x90",
    "amiguard_ready": "1x90",
    'amiguard_source_up{source="ami"}': "1x90",
    'amiguard_source_behind_bytes{source="log"}': "4096x90",
    "amiguard_firewall_up": "1x90",
    "amiguard_bans_waiting": "0x90",
    "amiguard_store_up": "1x90",
    'amiguard_notifier_up{notifier="mail"}': "1x90",
    'amiguard_notifier_lost_total{notifier="mail"}': "0x90",
    "amiguard_fleet_up": "1x90",
    "amiguard_fleet_refused_total": "0x90",
    "amiguard_fleet_lag_seconds": "0.01x90",
    "amiguard_fleet_received_total": "0+10x90",
    'amiguard_feed_up{feed="voipbl"}': "1x90",
    'amiguard_alerts_total{action="suspected-compromise"}': "2x90",
    'amiguard_alerts_total{action="ami-lost"}': "0+1x90",
    "amiguard_injections_total": "7x90",
    'amiguard_failures_total{reason="wrong-password"}': "0+600x90",
    "amiguard_jail_evicted_total": "0x90",
    'amiguard_loop_lag_seconds_bucket{le="0.25"}': "0+60x90",
    'amiguard_loop_lag_seconds_bucket{le="+Inf"}': "0+60x90",
}
"""A daemon that is attacked as all are, and well."""


def rules() -> dict[str, tuple[str, str]]:
    """Return each alert's severity and description, as the file says it."""
    text = ALERTS.read_text()
    blocks = re.split(r"- alert: ", text)[1:]
    found = {}
    for block in blocks:
        severity = re.search(r"severity: (\w+)", block)
        description = re.search(r"description: (.*)", block)
        assert severity is not None
        found[block.split()[0]] = severity[1], "" if description is None else description[1]
    return found


def series_of(series: dict[str, str]) -> list[dict[str, str]]:
    """Return series as promtool wants them, each told by `INSTANCE`."""
    told = []
    for name, values in series.items():
        metric, _, labels = name.partition("{")
        told.append({"series": f'{metric}{{instance="{INSTANCE}",{labels or "}"}', "values": values})
    return told


def trial_of(one: Case) -> dict[str, object]:
    """Return what promtool is to find: nothing, then the alert."""
    severity, description = rules()[one.alert]
    alert = {
        "exp_labels": {"severity": severity, "instance": INSTANCE, **one.labels},
        "exp_annotations": {"summary": one.summary} | ({"description": description} if description else {}),
    }
    return {
        "interval": "1m",
        "input_series": series_of(one.series),
        "alert_rule_test": [
            {"eval_time": f"{minute}m", "alertname": one.alert, "exp_alerts": found}
            for minute, found in zip(one.minutes, ([], [alert]), strict=True)
        ],
    }


def checked(tmp_path: Path, tests: list[dict[str, object]]) -> None:
    """Let promtool try the rules on these tests."""
    (tmp_path / "alerts.yml").write_text(ALERTS.read_text())
    file = tmp_path / "tests.yml"
    whole = {"rule_files": ["alerts.yml"], "evaluation_interval": "1m", "tests": tests}
    file.write_text(json.dumps(whole))
    promtool(chroot("servers"), "test", "rules", file)


def test_every_alert_fires_when_it_should_and_says_where_and_what(tmp_path: Path) -> None:
    assert {one.alert for one in CASES} == set(rules())

    checked(tmp_path, [trial_of(one) for one in CASES])


def test_no_alert_fires_while_all_is_well(tmp_path: Path) -> None:
    silent = [
        {"eval_time": f"{minute}m", "alertname": alert, "exp_alerts": []}
        for alert in rules()
        for minute in range(5, MINUTES, 5)
    ]

    checked(tmp_path, [{"interval": "1m", "input_series": series_of(WELL), "alert_rule_test": silent}])


def test_a_rule_that_does_not_fire_is_noticed(tmp_path: Path) -> None:
    well = CASES[0]._replace(series={'up{job="amiguard"}': "1x90"})

    with pytest.raises(AssertionError, match="AmiguardDown"):
        checked(tmp_path, [trial_of(well)])
