"""Checks per second with everything on, beside what fhir.resources does for shape alone; a large Bundle; start-up.

Run: python -m tests.benchmarks.conformance [--seconds 2]

One core, one thread. Ratios travel between machines, absolute figures do not.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fhir.resources.R4B.bundle import Bundle
from fhir.resources.R4B.servicerequest import ServiceRequest

from referral_service.fhir.conformance import check
from referral_service.fhir.parse import parse

EXAMPLE = (
    Path(__file__).parent.parent.parent
    / "profiles"
    / "examples"
    / "valid"
    / "01-cervical-dystonia-contained-patient.json"
)
PROFILE = "https://referral-service.example/fhir/StructureDefinition/dystonia-referral"
REFERRAL_BYTES = 1_400
BUNDLE_BYTES = 300_000
STARTED = """
import psutil, time
before, begun = psutil.Process().memory_info().rss, time.perf_counter()
from referral_service.fhir.conformance import check
imported = time.perf_counter()
{work}
after = psutil.Process().memory_info().rss
print(imported - begun, time.perf_counter() - begun, (after - before) / 2**20)
"""
FIRST_CHECK = f"check({{'resourceType': 'ServiceRequest'}}, ['{PROFILE}'])"
FIRST_FHIRPATH = "check({'resourceType': 'ValueSet', 'status': 'draft', 'name': 'x'})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=2)
    seconds = parser.parse_args().seconds
    referral, bundle = _referral(), _bundle()
    _compare(
        "ServiceRequest with contained Patient", referral, lambda value: ServiceRequest.model_validate(value), seconds
    )
    _compare("collection of such", bundle, lambda value: Bundle.model_validate(value), seconds)
    _start("engine, first check and profile", FIRST_CHECK)
    _start("the same, and the first FHIRPath", f"{FIRST_CHECK}\n{FIRST_FHIRPATH}")


def _referral() -> dict[str, Any]:
    """The first example, cut to the size that the goal speaks of: its contained Patient stays."""
    whole: dict[str, Any] = json.loads(EXAMPLE.read_bytes())
    whole["contained"] = [each for each in whole["contained"] if each["resourceType"] == "Patient"]
    whole["requester"] = {"reference": "Practitioner/1"}
    for name in ("note", "supportingInfo", "category", "orderDetail", "patientInstruction", "text"):
        if len(json.dumps(whole)) > REFERRAL_BYTES:
            whole.pop(name, None)
    return whole


def _bundle() -> dict[str, Any]:
    entry = {"resource": _referral()}
    count = BUNDLE_BYTES // len(json.dumps(entry))
    return {"resourceType": "Bundle", "type": "collection", "entry": [entry] * count}


def _compare(title: str, sample: dict[str, Any], validate: Callable[[Any], object], seconds: float) -> None:
    payload: Any = parse(json.dumps(sample).encode()).value
    asked = [PROFILE] if sample["resourceType"] == "ServiceRequest" else []
    assert not [issue for issue in check(payload, asked) if issue.is_error]
    ours = _rate(lambda: check(payload, asked), seconds)
    theirs = _rate(lambda: validate(sample), seconds)
    print(f"{title}, {len(json.dumps(sample))} bytes")
    print(f"  check, everything on{' and profile' if asked else ''}: {ours:.0f} a second, {1e3 / ours:.2f} ms each")
    print(f"  fhir.resources model_validate, shape alone: {theirs:.0f} a second; ours to theirs {ours / theirs:.2f}")


def _rate(work: Callable[[], object], seconds: float) -> float:
    """The median of five rounds."""
    work()
    rounds = []
    for _ in range(5):
        begun, done = time.perf_counter(), 0
        while time.perf_counter() - begun < seconds / 5:
            work()
            done += 1
        rounds.append(done / (time.perf_counter() - begun))
    return statistics.median(rounds)


def _start(title: str, work: str) -> None:
    """In a process of its own, where nothing is loaded yet."""
    script = STARTED.format(work=work)
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    imported, ready, memory = (float(each) for each in answer.stdout.split())
    print(f"{title}: import {imported:.2f} s, ready after {ready:.2f} s, {memory:.0f} MiB")


if __name__ == "__main__":
    main()
