"""What Prometheus scrapes. The only import of prometheus-client, and only who is scraped pays for it.

Everything is read when it is asked for: the event path counts nothing for this. Labels hold our own words only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import isinf
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from amiguard import __version__
from amiguard.histogram import Histogram
from amiguard.measurements import Measurements
from amiguard.override import override


def exposition(measured: Measurements) -> tuple[bytes, str]:
    """Return the text that Prometheus reads, and its content type."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(measured))
    ProcessCollector(registry=registry)
    return generate_latest(registry), CONTENT_TYPE_LATEST


class _Collector(Collector):
    def __init__(self, measured: Measurements) -> None:
        self._measured = measured

    @override
    def collect(self) -> Iterator[Metric]:
        measured = self._measured
        status: Mapping[str, Any] = measured.status
        yield _labelled(GaugeMetricFamily, "build_info", "The version that runs.", "version", {__version__: 1})
        yield _gauge("ready", "1 if the firewall takes bans and a source is up.", status["ready"])
        yield _gauge("uptime_seconds", "Since the start.", status["uptime"])
        yield from _totals(status["totals"], measured)
        yield from _sources(status["sources"])
        yield from _firewall(status, measured)
        yield _gauge("store_up", "1 if the database takes changes.", status["store"]["up"])
        yield _gauge("store_waiting", "Changes that are not in the database yet.", status["store"]["waiting"])
        yield from _fleet(status.get("fleet"))
        yield from _feeds(status["feeds"], measured)
        yield from _notifiers(status["notifiers"])
        yield _histogram("loop_lag", "How late the event loop was, measured once a second at most.", measured.lag)
        yield _gauge("loop_tasks", "Tasks of the event loop, waiting ones too.", measured.tasks)


def _totals(totals: Mapping[str, int], measured: Measurements) -> Iterator[Metric]:
    yield _counter("events", "Security events of Asterisk that were read.", totals["events"])
    reasons = {reason.value: count for reason, count in measured.reasons.items()}
    yield _labelled(CounterMetricFamily, "failures", "Failed attempts that counted.", "reason", reasons)
    yield _counter("injections", "Attempts to forge events.", totals["injections"])
    yield _counter("bans", "Bans that were decided; not those of an administrator.", totals["bans"])
    yield _counter("bans_skipped", "Bans that the allowlist prevented.", totals["skipped"])
    yield _counter("failures_while_banned", "Failures of who was banned already.", totals["after_ban"])
    alerts = {action.value: count for action, count in measured.alerts.items()}
    yield _labelled(CounterMetricFamily, "alerts", "Alerts to the administrator.", "action", alerts)


def _sources(sources: list[Mapping[str, Any]]) -> Iterator[Metric]:
    def each(key: str, share: float = 1) -> dict[str, float]:
        return {one["name"]: one[key] * share for one in sources if one.get(key) is not None}

    last = each("last_event", 0.001) | each("last_line", 0.001)
    for family, name, what, values in (
        (GaugeMetricFamily, "source_up", "1 if the source is read.", each("up")),
        (CounterMetricFamily, "source_read", "Events of AMI, or lines of the logs.", each("events") | each("lines")),
        (CounterMetricFamily, "source_reconnects", "Connections made anew.", each("reconnects")),
        (GaugeMetricFamily, "source_behind_bytes", "What is written and not yet read.", each("behind")),
        (GaugeMetricFamily, "source_last_read_timestamp_seconds", "When the latest was read.", last),
    ):
        yield _labelled(family, name, what, "source", values)


def _firewall(status: Mapping[str, Any], measured: Measurements) -> Iterator[Metric]:
    yield _gauge("firewall_up", "1 if the kernel takes bans.", status["firewall"]["up"])
    yield _gauge("bans_active", "Bans in force.", status["bans"]["active"])
    yield _gauge("bans_waiting", "Bans that are not in the kernel yet.", status["bans"]["waiting"])
    yield _histogram("firewall_transaction", "From the request to the kernel's answer.", measured.latency)
    if measured.drops is not None:
        yield _counter("dropped_packets", "Packets that the kernel dropped for bans.", measured.drops.packets)
        yield _counter("dropped_bytes", "Bytes that the kernel dropped for bans.", measured.drops.bytes)
    yield _gauge("jail_offenders", "Offenders that are counted.", status["jail"]["tracked"])
    yield _gauge("jail_capacity", "Offenders that can be counted at once.", measured.capacity)
    what = "What counts offenders takes, estimated by some of them."
    yield _labelled(GaugeMetricFamily, "jail_memory_bytes", what, "rule", measured.memory)
    yield _counter("jail_evicted", "Offenders forgotten for want of room.", status["jail"]["evicted"])


def _fleet(fleet: Mapping[str, Any] | None) -> Iterator[Metric]:
    """Tell nothing of a fleet where a node is alone."""
    if fleet is None:
        return
    yield _gauge("fleet_up", "1 if Redis answers and takes changes.", fleet["up"])
    yield _gauge("fleet_nodes", "Nodes that were heard of.", len(fleet["nodes"]))
    yield _gauge("fleet_lag_seconds", "How long the newest change of another node was on its way.", fleet["lag"])
    yield _gauge("fleet_waiting", "Changes that the other nodes were not told yet.", fleet["waiting"])
    yield _counter("fleet_sent", "Changes that the other nodes were told.", fleet["sent"])
    yield _counter("fleet_counted", "Failures that were counted together with the other nodes.", fleet["counted"])
    yield _counter("fleet_received", "Changes that other nodes told.", fleet["received"])
    yield _counter(
        "fleet_refused",
        "What other nodes told in vain: it could not be read, or was too much.",
        fleet["refused"],
    )
    yield _counter("fleet_lost", "Changes that were dropped while Redis was away.", fleet["lost"])


def _feeds(feeds: list[Mapping[str, Any]], measured: Measurements) -> Iterator[Metric]:
    """Tell nothing of lists where there are none."""
    if not feeds:
        return

    def each(key: str) -> dict[str, float]:
        return {one["name"]: one[key] for one in feeds if one[key] is not None}

    packets = {name: float(drops.packets) for name, drops in measured.feed_drops.items()}
    for family, name, what, values in (
        (GaugeMetricFamily, "feed_up", "1 if the latest look at the list succeeded.", each("up")),
        (GaugeMetricFamily, "feed_entries", "Addresses and networks in the kernel.", each("entries")),
        (GaugeMetricFamily, "feed_age_seconds", "Since the list was had.", each("age")),
        (CounterMetricFamily, "feed_failures", "Looks at the list that failed.", each("failures")),
        (CounterMetricFamily, "feed_dropped_packets", "Packets whose source the list names.", packets),
    ):
        yield _labelled(family, name, what, "feed", values)


def _notifiers(notifiers: list[Mapping[str, Any]]) -> Iterator[Metric]:
    def each(key: str) -> dict[str, float]:
        return {one["name"]: one[key] for one in notifiers}

    failing = {one["name"]: not one["error"] for one in notifiers}
    for family, name, what, values in (
        (GaugeMetricFamily, "notifier_up", "1 if the latest try succeeded.", failing),
        (GaugeMetricFamily, "notifier_waiting", "Messages that are not delivered yet.", each("waiting")),
        (CounterMetricFamily, "notifier_sent", "Messages that were taken.", each("sent")),
        (CounterMetricFamily, "notifier_lost", "Messages that were refused or dropped.", each("lost")),
    ):
        yield _labelled(family, name, what, "notifier", values)


def _gauge(name: str, what: str, value: float) -> Metric:
    return GaugeMetricFamily(f"amiguard_{name}", what, value=value)


def _counter(name: str, what: str, value: float) -> Metric:
    return CounterMetricFamily(f"amiguard_{name}", what, value=value)


def _labelled(
    family: type[GaugeMetricFamily | CounterMetricFamily], name: str, what: str, label: str, values: Mapping[str, float]
) -> Metric:
    metric = family(f"amiguard_{name}", what, labels=[label])
    for key, value in values.items():
        metric.add_metric([key], value)
    return metric


def _histogram(name: str, what: str, histogram: Histogram) -> Metric:
    buckets = [("+Inf" if isinf(bound) else str(bound), float(count)) for bound, count in histogram.cumulated()]
    return HistogramMetricFamily(f"amiguard_{name}_seconds", what, buckets=buckets, sum_value=histogram.sum)
