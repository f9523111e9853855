"""Creates, transactions and searches a second over real HTTP, on both engines, beside other FHIR servers and beside
what the machine could do at most; and where the processor's time of one create goes.

Run: python -m tests.benchmarks.throughput [--seconds 4] [--connections 16] [--large] [--no-peers] [--auth none]

With everything on: who sends is registered and has a token; all is checked, coded, routed, audited and committed
durably. On PostgreSQL one process serves for each core, and the worker, which is a process of its own, does not run.
wrk has to be installed; it shares the machine with the servers, so read the ratios, and compare figures of one run
only. A request that is not answered with success ends the run. "CPU ms" and "DB ms" are processor time for each
request, of the server and of PostgreSQL; "PSS" is MiB of all processes of the server.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import requests

from tests.benchmarks import inside, limit
from tests.benchmarks.bodies import SEARCH, referral, transaction
from tests.benchmarks.load import HEADINGS, Call, LoadError, Measured, measure, postmaster_of, require_wrk, stop
from tests.benchmarks.peers import PEERS, Peer, PeerError, Started, install_all, started
from tests.benchmarks.service import Service, serving
from tests.conftest import new_database, own_postgres
from tests.serving import FHIR

ENGINES = ("SQLite", "PostgreSQL")
NOTHING = "GET /health/live"
STORED, LARGE, AT_PEERS = (1_000, 10_000), 100_000, 1_000
Figures = dict[tuple[str, str, int], Measured]
"""By who answered, what was asked for, and the number of connections."""


def main() -> None:
    options = _options()
    require_wrk()
    with tempfile.TemporaryDirectory() as name, own_postgres() as server:
        folder = Path(name)
        (folder / "peers").mkdir()
        missing = {} if options.no_peers else install_all(folder / "peers")
        print(f"{'server':24}{'asked for':28}{'connections':>12}{HEADINGS}")
        figures: Figures = {}
        try:
            for engine in ENGINES:
                _measure_engine(figures, engine, folder, server, options)
            for peer in () if options.no_peers else PEERS:
                _measure_peer(figures, peer, missing, folder, server, options)
        except LoadError as problem:
            stop(f"Not everything was answered as it should be. {problem}")
        print(f"\nrequests: {sum(one.requests for one in figures.values())}, not answered with success: 0")
        _tell_growth(figures, options)
        if not options.no_peers:
            _tell_ratios(figures)
        _tell_limits(figures, folder, server, options)
        _tell_budget(figures, server, options)


def _measure_engine(figures: Figures, engine: str, folder: Path, server: str, options: argparse.Namespace) -> None:
    both = (1, options.connections)
    with _service(engine, folder / f"{engine}-empty", server, options) as service:
        for connections in both:
            _note(figures, engine, "create", connections, service.create(connections, options.seconds))
        for connections in both:
            _note(figures, engine, "transaction", connections, service.transaction(connections, options.seconds))
        _note(figures, engine, NOTHING, options.connections, service.nothing(options.connections, options.seconds))
    with _service(engine, folder / f"{engine}-full", server, options) as service:
        before = 0
        for number in (*STORED, *([LARGE] if options.large else [])):
            service.store(number, before)
            before = number
            for connections in both:
                measured = service.search(connections, options.seconds)
                _note(figures, engine, f"search of {number:,}", connections, measured)
        full = service.create(options.connections, options.seconds)
        _note(figures, engine, _beside(before), options.connections, full)


def _beside(number: int) -> str:
    return f"create beside {number:,}"


@contextmanager
def _service(engine: str, folder: Path, server: str, options: argparse.Namespace) -> Iterator[Service]:
    folder.mkdir()
    if engine == "SQLite":
        with serving(f"sqlite:///{folder / 'bench.db'}", folder, options.auth) as service:
            yield service
    else:
        with new_database(server) as url, serving(url, folder, options.auth) as service:
            yield service


def _measure_peer(
    figures: Figures, peer: Peer, missing: dict[str, str], folder: Path, server: str, options: argparse.Namespace
) -> None:
    """A peer that does not run here, or does not answer, is told of and left out."""
    try:
        if peer.name in missing:
            raise PeerError(f"not installed: {missing[peer.name]}")
        with new_database(server) as url, started(peer, folder / "peers" / peer.name, url) as running:
            for name, call in _calls(peer, running):
                for connections in (1, options.connections):
                    measured = measure(
                        running.base, call, connections, options.seconds, running.process, postmaster_of(server)
                    )
                    _note(figures, peer.name, name, connections, measured)
    except (PeerError, LoadError, requests.RequestException) as problem:
        print(f"{peer.name:24}{' '.join(str(problem).split())}", flush=True)


def _calls(peer: Peer, running: Started) -> Iterator[tuple[str, Call]]:
    yield "create", Call("/ServiceRequest", json.dumps(referral()), FHIR)
    if peer.has_transactions:
        yield "transaction", Call("", json.dumps(transaction()), FHIR)
    if peer.has_tasks:
        _store_tasks(running.base)
        yield f"search of {AT_PEERS:,}", Call(f"/{SEARCH}")


def _store_tasks(base: str) -> None:
    task = {"resourceType": "Task", "intent": "order", "status": "requested", "description": "x" * 1200}
    task["owner"] = {"reference": "HealthcareService/adult-movement-disorders"}
    entry = {"resource": task, "request": {"method": "POST", "url": "Task"}}
    service = {"resourceType": "HealthcareService", "id": "adult-movement-disorders"}
    url = f"{base}/HealthcareService/adult-movement-disorders"
    requests.put(url, json=service, headers=FHIR, timeout=30).raise_for_status()
    for _ in range(AT_PEERS // 100):
        bundle = {"resourceType": "Bundle", "type": "transaction", "entry": [entry] * 100}
        requests.post(base, json=bundle, headers=FHIR, timeout=120).raise_for_status()
    found = requests.get(f"{base}/{SEARCH}", timeout=30).json()
    if len(found.get("entry", [])) != 20:
        raise LoadError(f"not a full page: {json.dumps(found)[:400]}")


def _note(figures: Figures, who: str, what: str, connections: int, measured: Measured) -> None:
    figures[who, what, connections] = measured
    print(f"{who:24}{what:28}{connections:12}{measured.line()}", flush=True)


def _tell_growth(figures: Figures, options: argparse.Namespace) -> None:
    number = LARGE if options.large else STORED[-1]
    for engine in ENGINES:
        full, empty = (figures[engine, what, options.connections].rate for what in (_beside(number), "create"))
        print(f"{engine}: creates beside {number:,} referrals as a multiple of those beside none: {full / empty:.2f}")


def _tell_ratios(figures: Figures) -> None:
    print("\nrequests a second, as multiples of the same of")
    for peer in PEERS:
        for (who, what, connections), theirs in figures.items():
            if who == peer.name:
                ours = (f"{one} {figures[one, what, connections].rate / theirs.rate:6.2f}" for one in ENGINES)
                print(f"{who:24}{what:28}{connections:12}    {'    '.join(ours)}")
    for peer in PEERS:
        print(f"{peer.name}: {peer.what}")


def _tell_limits(figures: Figures, folder: Path, server: str, options: argparse.Namespace) -> None:
    print(f"\n{'the limit of the machine':52}{'a second':>12}{'create here':>14}")
    with new_database(server) as url:
        rows = inside.rows_of_two_creates(url)
        at_most = limit.postgres_commits_a_second(url, rows, options.connections, options.seconds)
    _tell_limit(figures, "the same rows on PostgreSQL, by pgbench", "PostgreSQL", at_most, options)
    at_most = limit.sqlite_commits_a_second(folder, rows, options.seconds)
    _tell_limit(figures, "the same rows on SQLite, synced at each commit", "SQLite", at_most, options)
    parsed = limit.parsed_a_second(min(1.0, options.seconds))
    _tell_limit(figures, "the same bytes parsed by one core", "PostgreSQL", parsed, options)


def _tell_limit(figures: Figures, what: str, engine: str, at_most: float, options: argparse.Namespace) -> None:
    share = figures[engine, "create", options.connections].rate / at_most
    print(f"{what:52}{at_most:12.0f}{share:14.1%}", flush=True)


def _tell_budget(figures: Figures, server: str, options: argparse.Namespace) -> None:
    """What is left of the measured whole is the log-in, the answer, and what two requests at once cost each other."""
    create, nothing = (figures["PostgreSQL", what, options.connections] for what in ("create", NOTHING))
    with new_database(server) as url:
        stages = inside.microseconds_by_stage(url)
    parts = {"server and Flask": nothing.server * 1e3, **stages, "PostgreSQL itself": create.database * 1e3}
    whole = (create.server + create.database) * 1e3
    parts["rest: log-in, answer, threads"] = whole - sum(parts.values())
    print(f"\n{'one create on PostgreSQL':38}{'CPU µs':>8}{'share':>8}")
    for name, figure in {**parts, "all": whole}.items():
        print(f"{name:38}{figure:8.0f}{figure / whole:8.0%}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=4, help="of each measurement")
    parser.add_argument("--connections", type=int, default=16, help="beside one")
    parser.add_argument("--large", action="store_true", help="also with 100,000 referrals stored")
    parser.add_argument("--no-peers", action="store_true", help="install and measure no other servers")
    parser.add_argument("--auth", choices=("smart", "none"), default="smart", help="whether senders say who they are")
    return parser.parse_args()


if __name__ == "__main__":
    main()
