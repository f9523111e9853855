"""Nothing of a patient stands in logs, errors or temporary files: the scanner would find it, and finds nothing."""

from __future__ import annotations

import base64
import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import pytest
import requests
from flask import Flask, Response

from referral_service.intake import Site
from tests import canaries
from tests.callers import Doors, placer
from tests.serving import Server
from tests.shapes import Resource, bundle, entry, referral

FORMS = {
    "as it is": lambda value: value,
    "in a URL": lambda value: f"/fhir/Patient?name={quote(value, safe='')}&x=1",
    "in base64": lambda value: base64.b64encode(value.encode()).decode(),
    "in base64, one before": lambda value: base64.b64encode(f"x{value}behind".encode()).decode(),
    "in base64, two before": lambda value: base64.urlsafe_b64encode(f"xy{value}be".encode()).decode(),
    "in capitals": lambda value: value.upper(),
}


@pytest.mark.parametrize("value", canaries.ALL)
@pytest.mark.parametrize("form", FORMS)
def test_a_leak_is_found_in_every_form(value: str, form: str) -> None:
    assert canaries.leak(f"before {FORMS[form](value)} behind") is not None
    assert canaries.leak("referral 7f3c routed to adult-movement-disorders on 2026-03-16") is None


def test_a_leak_is_found_in_the_log_the_errors_and_the_files(tmp_path: Path) -> None:
    logging.getLogger("referral_service.seeded").debug("decided for %s", canaries.NAME)
    app = Flask(__name__)
    app.add_url_rule(
        "/", view_func=lambda: Response(f'{{"was": "{canaries.PHONE}"}}', 422, mimetype="application/json")
    )
    app.test_client().get("/")
    (tmp_path / "spool").write_text(canaries.FREE_TEXT, "utf-8")
    canaries.SCANNER.look_into(tmp_path)
    assert canaries.SCANNER.taken() == [
        f"log referral_service.seeded: {canaries.NAME}",
        f"error 422: {canaries.PHONE}",
        f"file spool: {canaries.FREE_TEXT}",
    ]


def _broken(resource: Resource) -> Iterator[Resource]:
    """The resource with each of its elements wrong in turn: of another shape, or unknown with the value in its name."""
    for name, value in resource.items():
        if name != "resourceType":
            yield {**resource, name: {"text": value}}
            yield {**resource, name: [value, value] if not isinstance(value, list) else value[0]}
    for value in canaries.ALL:
        yield {**resource, "birthDate": value, "gender": value}
        yield {**resource, value: value}
        yield {**resource, "identifier": [{"system": value, "value": 1, "use": value}]}


def _referral_for(patient: Resource, **more: Any) -> Resource:
    said = {"reasonCode": [{"text": f"Cervical dystonia. {canaries.FREE_TEXT}"}], "note": [{"text": canaries.NAME}]}
    return referral(canaries.NUMBER, contained=[{**patient, "id": "p"}], **said, **more)


def test_no_fault_repeats_what_was_sent(site: Site) -> None:
    """Whatever is wrong, at every door; the scanner looks at each answer and at the log."""
    caller = Doors(site).of(placer("north"))
    whole = deepcopy(canaries.PATIENT)
    statuses = {caller.create(_referral_for(whole, priority=one)).status_code for one in ("routine", "urgent")}
    for patient in _broken(whole):
        answers = [
            caller.post("Patient", patient),
            caller.put("Patient/1", {**patient, "id": "1"}),
            caller.create(_referral_for(patient)),
            caller.post("", bundle(entry(patient), entry(_referral_for(whole)))),
        ]
        statuses |= {one.status_code for one in answers}
    text = json.dumps(_referral_for(whole))
    for body in (text[:-20], text.replace("{", "[", 1), text.replace('"active"', f'"{canaries.NAME}"'), text * 2):
        statuses.add(caller.create(body).status_code)
    for query in ("identifier", "birthdate", "family", "unheard-of"):
        for value in canaries.ALL:
            form = {"Content_Type": "application/x-www-form-urlencoded"}
            statuses.add(caller.post("Patient/_search", f"{query}={quote(value)}", **form).status_code)
    assert {200, 201, 400, 409} <= statuses
    assert max(statuses) < 500


@pytest.mark.skipif(not canaries.PROCESSES.is_dir(), reason="no /proc on this machine")
def test_a_leak_is_found_in_the_arguments_of_a_process() -> None:
    words = [sys.executable, "-c", "print('started', flush=True); input()", canaries.NAME]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(words, start_new_session=True, **pipes) as started:
        assert started.stdout is not None
        assert started.stdout.readline() == b"started\n"
        assert canaries.SCANNER.look_at_processes(started.pid) == 1
        started.communicate(b"\n")
    assert canaries.SCANNER.taken() == [f"argv: {canaries.NAME}"]


@pytest.mark.skipif(not canaries.PROCESSES.is_dir(), reason="no /proc on this machine")
def test_a_served_process_leaves_nothing_of_a_patient_where_others_look(tmp_path: Path) -> None:
    """In its arguments, temporary files, log and metrics."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    server = Server(f"sqlite:///{tmp_path / 'referrals.db'}", tmp_path, {"TMPDIR": str(temporary)})
    server.start()
    try:
        statuses = _send_all(server)
        assert server.process is not None
        looked = canaries.SCANNER.look_at_processes(server.process.pid)
        canaries.SCANNER.look_into(temporary)
        canaries.SCANNER.look_at("metrics", server.get("/metrics").text)
    finally:
        server.stop()
    canaries.SCANNER.look_into(temporary)
    assert (statuses, looked > 0) == ([201, 200, 200], True)
    assert canaries.SCANNER.taken() == []


def _send_all(server: Server) -> list[int]:
    """A referral, a Bundle, and a form with a file that is too large to be held in memory while it comes."""
    large = {"attachment": ("letter.txt", f"{canaries.FREE_TEXT} " * 20_000, "text/plain")}
    typed = {"key": str(uuid4()), "family": canaries.NAME, "reason": canaries.FREE_TEXT, "priority": "routine"}
    ours = {"Sec-Fetch-Site": "same-origin"}
    return [
        server.post("/fhir/ServiceRequest", _referral_for(canaries.PATIENT)).status_code,
        server.post("/fhir", bundle(entry(deepcopy(canaries.PATIENT)), kind="batch")).status_code,
        requests.post(f"{server.base}/referrals/new", data=typed, files=large, headers=ours, timeout=30).status_code,
    ]
