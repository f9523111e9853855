"""The log is lines of JSON with stable names and our own ids, and nothing that a library or an exception filled in."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from typing import Any

import pytest

from referral_service import logs
from tests.canaries import NAME

TOLD = f"""
import logging
from referral_service import logs
logs.configure({{!r}}, {{!r}})
log = logging.getLogger("referral_service")
logs.begin(request_id="r", correlation_id="c")
log.debug("looked_at referral=%s", "x")
log.info("audit_sealed seal=%s:%s events=%s", 1, "ab", 5)
log.warning("Nobody is told of alerts.")
logs.begin()
logging.getLogger("urllib3.pool").warning("Retrying %r after %s", 3, {NAME!r})
logging.getLogger("urllib3.pool").info("Starting new connection")
try:
    raise ValueError({NAME!r})
except ValueError:
    log.exception("worker_failed kind=%s", "ValueError")
logs.request(True, method="POST", route="/fhir/{{{{kind}}}}", status=201, milliseconds=3.1, client="ehr-a")
logs.request(False, method="GET", route="/health/live", status=200, milliseconds=0.1)
"""


def told(form: str, level: str) -> list[str]:
    """What a process that logs all of this writes to stderr, line by line."""
    command = [sys.executable, "-c", TOLD.format(form, level)]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stderr.splitlines()


def parsed(line: str) -> dict[str, Any]:
    """Without what is another each time."""
    found: dict[str, Any] = json.loads(line)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", found.pop("timestamp"))
    assert (found.pop("version"), found.pop("process") > 0) == (logs._VERSION, True)
    return found


def test_each_event_is_an_object_with_a_stable_name_and_ids() -> None:
    ids = {"request_id": "r", "correlation_id": "c"}
    assert [parsed(line) for line in told("json", "info")] == [
        {"level": "info", "event": "audit_sealed", "seal": "1:ab", "events": "5", **ids},
        {"level": "warning", "event": "remark", "message": "Nobody is told of alerts.", **ids},
        {"level": "warning", "event": "library", "logger": "urllib3.pool", "message": "Retrying %r after %s"},
        {"level": "error", "event": "worker_failed", "kind": "ValueError", "at": "__main__:14"},
        {
            "level": "info",
            "event": "request",
            "method": "POST",
            "route": "/fhir/{kind}",
            "status": 201,
            "milliseconds": 3.1,
            "client": "ehr-a",
        },
    ]


def test_plain_lines_say_the_same() -> None:
    lines = [line.partition("Z ")[2] for line in told("line", "info")]
    assert lines == [
        "INFO audit_sealed seal=1:ab events=5 request_id=r correlation_id=c",
        "WARNING Nobody is told of alerts. request_id=r correlation_id=c",
        "WARNING Retrying %r after %s logger=urllib3.pool",
        "ERROR worker_failed kind=ValueError at=__main__:14",
        "INFO request method=POST route=/fhir/{kind} status=201 milliseconds=3.1 client=ehr-a",
    ]


@pytest.mark.parametrize(
    ("level", "events"),
    [
        ("debug", ["looked_at", "audit_sealed", "remark", "library", "worker_failed", "request", "request"]),
        ("warning", ["remark", "library", "worker_failed"]),
        ("error", ["library", "worker_failed"]),
    ],
)
def test_a_level_says_from_where_on_events_are_told(level: str, events: list[str]) -> None:
    assert [json.loads(line)["event"] for line in told("json", level)] == events


@pytest.mark.parametrize(
    ("identity", "is_shown"),
    [
        ("0b2f4d5e-7a86-4c1e-9d3a-1f2e3d4c5b6a", True),
        ("4bf92f3577b34da6a3ce929d0e0e4736", True),
        ("01ARZ3NDEKTSV4RRFFQ69G5FAV", True),
        ("John.Smith", False),
        ("9434765919", False),
        ("1969-02-27", False),
        ("r-1", False),
    ],
)
def test_an_id_stands_in_the_log_only_in_a_form_that_machines_make(identity: str, is_shown: bool) -> None:
    assert logs.is_harmless(identity) is is_shown


def test_the_process_in_a_line_is_the_one_that_wrote_it() -> None:
    assert json.loads(told("json", "info")[0])["process"] != os.getpid()
