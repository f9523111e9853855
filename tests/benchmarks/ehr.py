"""What a create costs its senders while the EHR of one of them hangs, as multiples of a quiet one in the same run.

Run: python -m tests.benchmarks.ehr [--seconds 10] [--postgresql URL]

Two clients send to one server: ``with-ehr``, whose referrals point at patients of its EHR, and ``other``, whose
referrals bring theirs along. Quiet: the EHR answers at once. Hanging: it takes every call and says nothing.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import re
import statistics
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import requests

from tests.ehrs import FHIR, Ehr
from tests.receivers import status
from tests.serving import SMART, Server, command
from tests.shapes import ADULT_BORN, patient, referral
from tests.systems import System, key_set, public, rsa_key

PACKAGE = Path(__file__).parent.parent.parent / "referral_service"
CONNECTIONS = 2
"""Of each client, each with one referral after the other."""

QUIET = "quiet"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--postgresql", help="An empty database.")
    options = parser.parse_args()
    print(f"{'the EHR':28}{'client':12}{'creates':>9}{'p50 ms':>9}{'p99 ms':>9}{'p99 to quiet':>14}")
    with tempfile.TemporaryDirectory() as name, Ehr(log_in=False).open() as ehr:
        folder = Path(name)
        server = Server(options.postgresql or f"sqlite:///{folder / 'bench.db'}", folder, _settings(folder, ehr))
        server.start()
        try:
            _measure(server, folder, ehr, options.seconds)
        finally:
            server.stop()


def _settings(folder: Path, ehr: Ehr) -> dict[str, str]:
    """No limit to the calls of a client, or the limit would be what is measured."""
    policy = (PACKAGE / "policy.toml").read_text("utf-8")
    (folder / "policy.toml").write_text(re.sub(r"(calls_per_second) = \d+", r"\1 = 1000000", policy), "utf-8")
    return {**SMART, "REFERRAL_POLICY": str(folder / "policy.toml"), "REFERRAL_OUTBOUND": ehr.origin}


def _measure(server: Server, folder: Path, ehr: Ehr, seconds: float) -> None:
    bearers = {
        "with-ehr": _bearer(server, folder, "with-ehr", "--ehr-base", ehr.base),
        "other": _bearer(server, folder, "other"),
    }
    _load(server.port, bearers, 2.0)  # what is only paid once
    quiet: dict[str, float] = {}
    ehr.always = _any_patient
    for stage in (QUIET, "begins to hang", "hangs, and is left alone"):
        if stage != QUIET:
            ehr.always = ehr.hang
        for client, times in _load(server.port, bearers, seconds).items():
            p50, p99 = statistics.median(times), statistics.quantiles(times, n=100)[98]
            quiet.setdefault(client, p99)
            figures = f"{p50 * 1e3:9.1f}{p99 * 1e3:9.1f}{p99 / quiet[client]:14.2f}"
            print(f"{stage:28}{client:12}{len(times):9}{figures}", flush=True)


def _any_patient(request: Any) -> None:
    identity = request.path.rpartition("/")[2]
    body = json.dumps(patient(ADULT_BORN, id=identity)).encode()
    status(200, body, **{"Content-Type": FHIR})(request)


def _bearer(server: Server, folder: Path, client: str, *more: str) -> str:
    (folder / "jwks.json").write_text(key_set(public(rsa_key("a"))), "utf-8")
    given = ("--id", client, "--name", client, "--role", "placer", "--scope", "system/ServiceRequest.c")
    os.environ["REFERRAL_OUTBOUND"] = server.settings["REFERRAL_OUTBOUND"]  # as whoever runs the server has it set
    command(server, "client", "add", *given, "--jwks", str(folder / "jwks.json"), *more)
    form = System(client, audience=f"{server.base}/auth/token").form("system/ServiceRequest.c")
    return str(requests.post(f"{server.base}/auth/token", data=form, timeout=10).json()["access_token"])


def _load(port: int, bearers: dict[str, str], seconds: float) -> dict[str, list[float]]:
    """Seconds that each create took, by client, all clients at once."""
    times: dict[str, list[float]] = {client: [] for client in bearers}
    run = int(time.time() * 1000)
    threads = [
        threading.Thread(target=_client, args=(port, client, token, f"{run}-{number}", seconds, times[client]))
        for client, token in bearers.items()
        for number in range(CONNECTIONS)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return times


def _client(port: int, client: str, token: str, name: str, seconds: float, times: list[float]) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port)
    headers = {"Content-Type": FHIR, "Authorization": f"Bearer {token}"}
    until, sent = time.perf_counter() + seconds, 0
    while (begun := time.perf_counter()) < until:
        number = f"{name}-{sent}"
        subject = {"subject": {"reference": f"Patient/{number}"}} if client == "with-ehr" else {}
        connection.request("POST", "/fhir/ServiceRequest", json.dumps(referral(number, **subject)), headers)
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 201, answer.status
        times.append(time.perf_counter() - begun)
        sent += 1


if __name__ == "__main__":
    main()
