"""What it costs a create that it is counted and told: microseconds of processor time, parts and sum.

Run: python -m tests.benchmarks.watching

Counters lie in files that several processes share, as on PostgreSQL; the log goes to a file, as JSON. The last line is
the whole as Flask calls it: a request to a route that does nothing and gives ids, with and without it, in turns.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from unittest.mock import Mock

from flask import Flask, Response

from referral_service.processes import FOLDER

TIMES, ROUNDS = 2_000, 15
CREATE = {"method": "POST", "route": "/fhir/ServiceRequest", "status": 201, "milliseconds": 3.1, "client": "ehr-a"}


def main() -> None:
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        os.environ[FOLDER] = folder
        told = os.dup(sys.stderr.fileno())
        with tempfile.TemporaryFile() as log:
            os.dup2(log.fileno(), sys.stderr.fileno())
            try:
                measured = _measured()
            finally:
                os.dup2(told, sys.stderr.fileno())
    for name, micros in measured.items():
        print(f"{name:44}{micros:>8.1f}")


def _measured() -> dict[str, float]:
    """The counters are made once the folder is there."""
    from referral_service import logs, metrics

    logs.configure()
    adult, code, policy = "adult-movement-disorders", "G24.3", "default|2026.1"
    parts: dict[str, Callable[[], None]] = {
        "the request counted and timed": lambda: metrics.answered("/fhir/ServiceRequest", "POST", 201, 0.003),
        "the decision counted": lambda: metrics.decided("routed", adult, code, policy),
        "what was received counted": lambda: metrics.received("create", "decided"),
        "the line in the log": lambda: logs.request(True, **CREATE),
    }
    found = {name: median(_micros(part) for _ in range(ROUNDS)) for name, part in parts.items()}
    found["sum"] = sum(found.values())
    watched, bare = _client(True), _client(False)
    pairs = [_micros(watched) - _micros(bare) for _ in range(ROUNDS)]
    found["a request through Flask, with less without"] = median(pairs)
    return found


def _client(is_watched: bool) -> Callable[[], None]:
    from referral_service.web import ids, watching

    app = Flask("benchmark")
    app.add_url_rule("/fhir/ServiceRequest", "create", lambda: Response(b"", 201), methods=["POST"])
    if is_watched:
        watching.register(app, Mock(spec=["begin", "end"], begin=lambda: None, end=lambda: None))
    else:
        app.before_request(ids.give_ids)
        app.after_request(ids.add_ids)
    environ = app.test_request_context("/fhir/ServiceRequest", method="POST").request.environ

    def call() -> None:
        for _ in app.wsgi_app(dict(environ), lambda *_: None):
            pass

    return call


def _micros(part: Callable[[], None]) -> float:
    begun = time.process_time()
    for _ in range(TIMES):
        part()
    return (time.process_time() - begun) / TIMES * 1e6


if __name__ == "__main__":
    main()
