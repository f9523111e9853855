"""How long a call of CDS Hooks takes beside $preview of the same order, with many referrals waiting.

Run: python -m tests.benchmarks.hooks [--referrals 20000] [--seconds 5] [--connections 4]

The client shares the machine with the server, so read the ratio. The aim is 500 ms for 99 of 100 calls, from the EHR's
side (https://cds-hooks.hl7.org/2.0/#cds-service-response).
"""

from __future__ import annotations

import argparse
import http.client
import json
import statistics
import tempfile
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

from referral_service.store.engine import open_store
from referral_service.store.migrations import upgrade
from tests.benchmarks.engines import engines
from tests.benchmarks.worklist import fill
from tests.hooking import EHR, SERVICE, call, draft, known_patient
from tests.serving import Server

AIM_MS = 500
ORDER = draft("58F, head pulls to the left for 3 years, painful, ?cervical dystonia. No neuroleptics.")
OTHERS = [draft("Knee pain", id=f"other-{number}") for number in range(9)]
BUNDLE = {
    "resourceType": "Bundle",
    "type": "collection",
    "entry": [
        {"resource": {**ORDER, "status": "active"}},
        {"resource": known_patient(), "fullUrl": f"{EHR}/Patient/7"},
    ],
}
CALLS = {
    "$preview": ("/fhir/ServiceRequest/$preview", json.dumps(BUNDLE)),
    "one order": (SERVICE, json.dumps(call(ORDER))),
    "one of ten": (SERVICE, json.dumps(call(*OTHERS, ORDER))),
    "none for us": (SERVICE, json.dumps(call(OTHERS[0]))),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--referrals", type=int, default=20_000)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--connections", type=int, default=4)
    options = parser.parse_args()
    print(f"{options.referrals} referrals, {options.connections} connections, aim p99 below {AIM_MS} ms\n")
    print(f"{'engine':12}{'call':14}{'per second':>12}{'p50 ms':>9}{'p99 ms':>9}{'p50 to preview':>16}")
    for engine, url in engines():
        with tempfile.TemporaryDirectory() as folder:
            database = url or f"sqlite:///{folder}/bench.db"
            store = open_store(database)
            upgrade(store)
            fill(store, options.referrals, datetime.now(UTC))
            store.close()
            _measure(engine, Server(database, Path(folder)), options)


def _measure(engine: str, server: Server, options: argparse.Namespace) -> None:
    server.start()
    try:
        medians: dict[str, float] = {}
        for name, (path, body) in CALLS.items():
            times = _load(server.port, path, body, options)
            medians[name], p99 = statistics.median(times), statistics.quantiles(times, n=100)[98]
            ratio = medians[name] / medians["$preview"]
            figures = f"{len(times) / options.seconds:12.0f}{medians[name] * 1e3:9.1f}{p99 * 1e3:9.1f}{ratio:16.2f}"
            print(f"{engine:12}{name:14}{figures}{'' if p99 * 1e3 < AIM_MS else '  above the aim'}", flush=True)
    finally:
        server.stop()


def _load(port: int, path: str, body: str, options: argparse.Namespace) -> list[float]:
    """Response times of all calls that the connections got answered in the time."""
    times: list[float] = []
    threads = [
        threading.Thread(target=_client, args=(port, path, body, options.seconds, times))
        for _ in range(options.connections)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return times


def _client(port: int, path: str, body: str, seconds: float, times: list[float]) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port)
    until = time.perf_counter() + seconds
    while (begun := time.perf_counter()) < until:
        connection.request("POST", path, body, {"Content-Type": "application/json", "Connection": "keep-alive"})
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 200, answer.status
        times.append(time.perf_counter() - begun)


if __name__ == "__main__":
    main()
