"""What is counted, and how Prometheus is told: the one door of its client library.

Where several processes serve, each keeps its counters in a file of its own (``PROMETHEUS_MULTIPROC_DIR``, made by
:mod:`referral_service.server`), and whichever is asked adds them all up; what a process counted that has died stays in
the sum. What the database knows is read from there and is the same whoever is asked. Labels are words of ours (route
templates, queues, codes, states), so that there are never more of them than those, and nothing of a patient.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from http import HTTPMethod
from pathlib import Path

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
    start_http_server,
    values,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector

from referral_service.processes import FOLDER

CONTENT_TYPE = CONTENT_TYPE_LATEST
CHANNELS = ("subscription", "task", "bser", "bars")
_REGISTRY = CollectorRegistry()
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_METHODS = frozenset(HTTPMethod)

_requests = Counter("referral_requests", "Requests answered.", ("route", "method", "status"), registry=_REGISTRY)
_seconds = Histogram(
    "referral_request_seconds",
    "From the moment at which a request was there as a whole to its answer.",
    ("route", "method", "status"),
    buckets=_SECONDS,
    registry=_REGISTRY,
)
_decisions = Counter(
    "referral_decisions",
    "Referrals decided for the first time, or taken in by hand, by ICD-10-CM code.",
    ("disposition", "queue", "code", "policy"),
    registry=_REGISTRY,
)
_received = Counter(
    "referral_received",
    "Requests taken in hand: decided, supporting, update, cancel, replay or conflict.",
    ("door", "result"),
    registry=_REGISTRY,
)
_faults = Counter("referral_faults", "Requests that failed here, by what failed.", ("kind",), registry=_REGISTRY)
_deliveries = Counter(
    "referral_deliveries", "Tries to tell others of a change.", ("channel", "outcome"), registry=_REGISTRY
)
_messages = Counter("referral_alert_messages", "Tries to tell a contact of an alert.", ("outcome",), registry=_REGISTRY)
_fetches = Counter("referral_ehr_requests", "Records and files asked of EHRs.", ("at", "outcome"), registry=_REGISTRY)
_failures = Counter("referral_work_failures", "Background work that broke off.", ("kind",), registry=_REGISTRY)
_unwritten = Counter(
    "referral_audit_write_failures", "Groups of audit events that the database did not take.", registry=_REGISTRY
)


def _live(name: str, words: str) -> Gauge:
    return Gauge(name, words, multiprocess_mode="livesum", registry=_REGISTRY)


_OF_PROCESS = {
    "in_flight": _live("referral_requests_in_flight", "Requests being worked on."),
    "stuck": _live("referral_requests_stuck", "Requests being worked on for more than 30 seconds."),
    "threads": _live("referral_request_threads", "Requests that can be worked on at once."),
    "connections": _live("referral_database_connections_in_use", "Connections to the database in use."),
    "connections_most": _live("referral_database_connections_limit", "Connections that can be in use."),
    "audit_held": _live("referral_audit_held", "Audit events in memory that are not written yet."),
    "resting": _live("referral_ehr_breakers_open", "EHRs that are left alone because they failed."),
}
FAMILIES: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "tasks_open": ("Open Tasks.", ("queue", "status")),
    "tasks_oldest_seconds": ("Since when the oldest open Task waits.", ("queue", "status")),
    "tasks_overdue": ("Open Tasks beyond their due date.", ("queue",)),
    "review_share": ("Share of the referrals taken in the last 24 hours that are held for review.", ()),
    "ledger_received": ("Referrals received, ever.", ()),
    "ledger": ("Referrals received, ever, by what became of them.", ("state",)),
    "referrals_stored": ("Referrals kept.", ()),
    "tasks_stored": ("Tasks kept, open or not.", ()),
    "last_received_timestamp_seconds": ("When a referral was received last.", ()),
    "deliveries_pending": ("Changes that a receiver is still to be told of.", ("channel",)),
    "deliveries_oldest_seconds": ("Since when the oldest of these waits.", ("channel",)),
    "deliveries_dead": ("Changes of which telling a receiver was given up.", ("channel",)),
    "outbox_pending": ("Changes for which it is not settled yet who is told.", ()),
    "outbox_oldest_seconds": ("Since when the oldest of these waits.", ()),
    "alerts_open": ("Alerts that nobody has acknowledged.", ("kind",)),
    "alerts_open_oldest_seconds": ("Since when the oldest of these stands.", ("kind",)),
    "alerts_untold": ("Open alerts of which the first contact was not told yet.", ("kind",)),
    "alerts_untold_oldest_seconds": ("Since when the oldest of these stands.", ("kind",)),
    "audit_unsealed": ("Audit events that are not sealed yet.", ()),
    "audit_unsealed_oldest_seconds": ("Since when the oldest of these waits.", ()),
    "work_waiting": ("What workers have still to do.", ("work",)),
    "work_late_seconds": ("For how long the oldest of it has been due.", ("work",)),
    "database_bytes": ("Size of the database.", ()),
    "disk_free_bytes": ("Free on the disks that this service writes to by itself.", ("folder",)),
}
"""What the database knows: name without its prefix -> what it says, and its labels."""

Readings = Mapping[str, Mapping[tuple[str, ...], float]]
"""Name of :data:`FAMILIES` -> values of its labels -> value."""

_children: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}


def answered(route: str, method: str, status: int, seconds: float) -> None:
    """One request. ``route`` is a template; a method that HTTP does not know counts as ``other``."""
    found = _children.get((route, method, status))
    if found is None:
        known = method if method in _METHODS else "other"
        of_class = _seconds.labels(route, known, f"{status // 100}xx")
        found = _children[route, known, status] = (_requests.labels(route, known, str(status)), of_class)
    found[0].inc()
    found[1].observe(seconds)


def decided(disposition: str, queue: str | None, code: str | None, policy: str) -> None:
    _decisions.labels(disposition, queue or "none", code or "none", policy).inc()


def received(door: str, result: str) -> None:
    _received.labels(door, result).inc()


def fault(kind: str) -> None:
    _faults.labels(kind).inc()


def delivery(channel: str, outcome: str) -> None:
    """``outcome`` is delivered, failed (it is tried again) or dead (it is given up)."""
    _deliveries.labels(channel, outcome).inc()


def message(outcome: str) -> None:
    """``outcome`` is told or failed."""
    _messages.labels(outcome).inc()


def ehr_request(at: str, outcome: str) -> None:
    """``at`` is door or worker, ``outcome`` fetched or failed."""
    _fetches.labels(at, outcome).inc()


def work_failed(kind: str) -> None:
    _failures.labels(kind).inc()


def audit_not_written() -> None:
    _unwritten.inc()


def begin() -> None:
    """What has not happened yet stands at 0, for a rate can only be taken of what was there before.

    Raises ``RuntimeError`` when the folder was named too late, so that each process would count for itself unnoticed.
    """
    if is_shared() and values.ValueClass is values.MutexValue:
        raise RuntimeError(f"{FOLDER} was set after the counters were made")
    for kind in ("database_unavailable", "unforeseen"):
        _faults.labels(kind)
    for channel in CHANNELS:
        for outcome in ("delivered", "failed", "dead"):
            _deliveries.labels(channel, outcome)
    for outcome in ("told", "failed"):
        _messages.labels(outcome)
    for at in ("door", "worker"):
        for outcome in ("fetched", "failed"):
            _fetches.labels(at, outcome)
    for kind in ("worker_without_database", "worker_failed"):
        _failures.labels(kind)


def is_shared() -> bool:
    """Whether several processes count together."""
    return FOLDER in os.environ


def note(readings: Mapping[str, float]) -> None:
    """How this process does just now, by the names of ``_OF_PROCESS``."""
    for name, value in readings.items():
        _OF_PROCESS[name].set(value)


class _Database(Collector):
    """What was read of the database and beside it, and whether it could be asked."""

    def __init__(self, readings: Readings, is_up: bool) -> None:
        self._readings, self._is_up = readings, is_up

    def collect(self) -> Iterator[GaugeMetricFamily]:
        words = "Whether the database could be asked."
        yield GaugeMetricFamily("referral_database_up", words, value=float(self._is_up))
        for name, read in self._readings.items():
            words, labels = FAMILIES[name]
            family = GaugeMetricFamily(f"referral_{name}", words, labels=labels)
            for given, value in read.items():
                family.add_metric(given, value)
            yield family


class _Build(Collector):
    def __init__(self, version: str, policy: str) -> None:
        self._given = (version, policy)

    def collect(self) -> Iterator[GaugeMetricFamily]:
        family = GaugeMetricFamily("referral_build_info", "What runs here.", labels=("version", "policy"))
        family.add_metric(self._given, 1)
        yield family


def exposition(version: str, policy: str, readings: Readings, *, is_up: bool) -> bytes:
    """Everything, as Prometheus reads it."""
    return (
        generate_latest(_counted())
        + generate_latest(_of(_Database(readings, is_up)))
        + generate_latest(_of(_Build(version, policy)))
    )


def _counted() -> CollectorRegistry:
    folder = os.environ.get(FOLDER)
    if folder is None:
        return _REGISTRY
    _forget_the_dead(Path(folder))
    registry = CollectorRegistry()
    MultiProcessCollector(registry, folder)  # type: ignore[no-untyped-call]
    return registry


def _of(collector: Collector) -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(collector)
    return registry


def _forget_the_dead(folder: Path) -> None:
    """A process that died works on nothing and holds nothing any more; what it counted still counts."""
    for file in folder.glob("gauge_live*.db"):
        number = int(file.stem.rpartition("_")[2])
        if not _runs(number):
            mark_process_dead(number, str(folder))  # type: ignore[no-untyped-call]


def _runs(number: int) -> bool:
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    return True


def serve(address: str, port: int, version: str, policy: str) -> Callable[[], None]:
    """Opens /metrics of a process that serves nothing else; what closes it."""
    _REGISTRY.register(_Build(version, policy))
    ProcessCollector(registry=_REGISTRY)
    server, thread = start_http_server(port, address, _REGISTRY)

    def close() -> None:
        server.shutdown()
        server.server_close()
        thread.join()

    return close
