"""What a body, a form or an address can do that is no fault of its JSON."""

from __future__ import annotations

import io
import json

import pytest
from flask.testing import FlaskClient

from tests.shapes import Caller, patient, referral, rules

BUSINESS_STATUS = "https://referral-service.example/fhir/CodeSystem/business-status"


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
def test_a_body_of_unsaid_length_is_taken_whole_or_not_at_all(app_client: FlaskClient) -> None:
    """A chunked body has no Content-Length by which to refuse it."""
    body = json.dumps(referral()).encode() + b" " * (1024 * 1024)
    answer = app_client.post(
        "/fhir/ServiceRequest",
        input_stream=io.BytesIO(body),
        content_type="application/fhir+json",
        headers={"Transfer-Encoding": "chunked"},
        environ_overrides={"wsgi.input_terminated": True},
    )
    assert answer.status_code == 413
    assert json.loads(app_client.get("/fhir/ServiceRequest?_total=accurate").data)["total"] == 0


@pytest.mark.parametrize("value", ["\\ud800", "\\u0000"])
def test_an_identifier_that_no_database_can_hold_is_refused_and_counted(caller: Caller, value: str) -> None:
    body = json.dumps(referral()).replace('"A-1"', f'"{value}"').encode()
    answer = caller.post("ServiceRequest", body)
    assert (answer.status_code, caller.sums()["refused"]) == (400, 1)
    assert "invalid-string" in {rule for rule, _ in rules(answer.json)}


def test_a_filter_that_cannot_be_read_finds_nothing(caller: Caller) -> None:
    caller.post("Patient", patient())
    form = {"data": b"family=\xff", "content_type": "application/x-www-form-urlencoded"}
    for answer in (caller.http.post("/fhir/Patient/_search", **form), caller.http.get("/fhir/Patient?family=%FF")):
        assert (answer.status_code, json.loads(answer.data)["resourceType"]) == (400, "OperationOutcome")


@pytest.mark.parametrize(
    ("method", "address"),
    [("GET", "/fhir//ServiceRequest"), ("OPTIONS", "/fhir/ServiceRequest"), ("GET", "/fhir/x/y/z")],
)
def test_nothing_below_fhir_is_html(caller: Caller, method: str, address: str) -> None:
    assert "html" not in caller.http.open(address, method=method).headers.get("Content-Type", "")


def test_a_task_takes_only_codes_that_our_systems_have(caller: Caller) -> None:
    task = caller.task_of(caller.create(referral()).json["id"])
    answers = [
        caller.move(task, businessStatus=_business_status(code)).status_code
        for code in ("nosuch", "awaiting-appointment")
    ]
    assert answers == [422, 200]


def test_a_revoke_keeps_what_was_said_of_the_task(caller: Caller) -> None:
    identity = caller.create(referral()).json["id"]
    caller.move(caller.task_of(identity), businessStatus=_business_status("awaiting-appointment"))
    caller.put(f"ServiceRequest/{identity}", referral(id=identity, status="revoked"), If_Match='W/"1"')
    found = json.loads(caller.http.get("/fhir/Task?business-status=awaiting-appointment").data)
    assert [entry["resource"]["status"] for entry in found["entry"]] == ["cancelled"]


def _business_status(code: str) -> dict[str, list[dict[str, str]]]:
    return {"coding": [{"system": BUSINESS_STATUS, "code": code}]}
