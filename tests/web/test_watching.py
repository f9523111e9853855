"""What /metrics and the log say of requests, decisions and the database, and what they never say."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import update

from referral_service.intake import Site
from referral_service.metrics import FAMILIES
from referral_service.store import tables
from referral_service.store.engine import instant
from referral_service.watching import Watch
from referral_service.worker import now
from tests.canaries import CARRIED, NAME, NUMBER, PATIENT, leak
from tests.scraped import Samples, samples, value
from tests.shapes import Caller, referral

POLICY = "default|2026.1"


def scraped(client: FlaskClient) -> Samples:
    """What is read of the database is read anew."""
    watch: Watch = client.application.extensions["watch"]
    watch._gauges.keeps = watch._in_all.keeps = 0
    answer = client.get("/metrics")
    assert (answer.status_code, answer.mimetype) == (200, "text/plain")
    return samples(answer.text)


def counted(before: Samples, after: Samples, name: str, **labels: str) -> float:
    return value(after, name, **labels) - value(before, name, **labels)


def test_requests_are_counted_by_template_method_and_status(caller: Caller, app_client: FlaskClient) -> None:
    before = scraped(app_client)
    identity = caller.create(referral()).json["id"]
    caller.get(f"ServiceRequest/{identity}")
    caller.get("Patient/nobody")
    after = scraped(app_client)
    labels = {"route": "/fhir/ServiceRequest", "method": "POST", "status": "201"}
    assert counted(before, after, "requests_total", **labels) == 1
    read = {"route": "/fhir/{kind}/{identity}", "method": "GET"}
    assert [counted(before, after, "requests_total", **read, status=one) for one in ("200", "404")] == [1, 1]
    assert counted(before, after, "request_seconds_count", **labels | {"status": "2xx"}) == 1
    assert counted(before, after, "request_seconds_sum", **labels | {"status": "2xx"}) > 0
    assert identity not in app_client.get("/metrics").text


def test_whatever_is_nowhere_is_one_route_and_unknown_methods_are_one(app_client: FlaskClient) -> None:
    before = scraped(app_client)
    for path, method in ((f"/{NAME}", "GET"), ("/nowhere/1", "GET"), ("/fhir/Patient", NUMBER), ("/fhir", "BREW")):
        assert app_client.open(path, method=method).status_code in (404, 405)
    after = scraped(app_client)
    assert counted(before, after, "requests_total", route="unknown", method="GET", status="404") == 2
    assert counted(before, after, "requests_total", route="unknown", method="other", status="405") == 2
    assert leak(app_client.get("/metrics").text) is None


def test_decisions_are_counted_once_they_are_durable(caller: Caller, app_client: FlaskClient) -> None:
    before = scraped(app_client)
    taken = caller.create(referral("D-1"))
    again = caller.create(referral("D-1"))
    other = caller.create(referral("D-1", "Writer's cramp"))
    away = caller.create(referral("D-2", "Right knee pain"))
    nothing = caller.post("ServiceRequest", {"resourceType": "ServiceRequest"})
    assert [one.status_code for one in (taken, again, other, away, nothing)] == [201, 200, 409, 422, 400]
    after = scraped(app_client)

    def decided(disposition: str, queue: str = "none", code: str = "none") -> float:
        labels = {"disposition": disposition, "queue": queue, "code": code, "policy": POLICY}
        return counted(before, after, "decisions_total", **labels)

    adult = "adult-movement-disorders"
    assert (decided("routed", adult, "G24.3"), decided("rejected"), decided("refused")) == (1, 1, 1)
    results = [counted(before, after, "received_total", door="create", result=one) for one in RESULTS]
    assert dict(zip(RESULTS, results, strict=True)) == {"decided": 3, "replay": 1, "conflict": 1}


RESULTS = ("decided", "replay", "conflict")


def test_what_the_database_knows_is_told_as_it_stands(caller: Caller, app_client: FlaskClient, site: Site) -> None:
    caller.create(referral("G-1"))
    caller.create(referral("G-2", "Acute dystonic reaction after metoclopramide"))
    caller.create(referral("G-3", "Right knee pain"))
    with site.store.writing() as connection:
        old = {"authored_on": instant(now() - timedelta(hours=2)), "due": "2026-01-02"}
        connection.execute(update(tables.task).values(old))
    found = scraped(app_client)
    adult = {"queue": "adult-movement-disorders", "status": "requested"}
    assert value(found, "tasks_open", **adult) == 2
    assert 7200 <= value(found, "tasks_oldest_seconds", **adult) < 7300
    assert value(found, "tasks_overdue", queue="adult-movement-disorders") == 2
    ledger = {state: value(found, "ledger", state=state) for state in ("routed", "review", "rejected", "refused")}
    assert ledger == {"routed": 2, "review": 0, "rejected": 1, "refused": 0}
    assert value(found, "ledger_received") == sum(ledger.values())
    assert (value(found, "referrals_stored"), value(found, "tasks_stored")) == (2, 2)
    assert (value(found, "alerts_open", kind="red-flag"), value(found, "review_share")) == (1, 0)
    assert value(found, "outbox_pending") == 4
    assert value(found, "audit_unsealed") >= 3
    assert 0 <= now().timestamp() - value(found, "last_received_timestamp_seconds") < 60
    assert (value(found, "database_up"), value(found, "database_bytes") > 0) == (1, True)
    assert value(found, "build_info", version=site.package_version, policy=POLICY) == 1


def test_everything_that_is_read_of_the_database_is_in_the_table_of_what_is_told(
    caller: Caller, app_client: FlaskClient
) -> None:
    caller.create(referral())
    named = {name.removeprefix("referral_") for name, _ in scraped(app_client)}
    assert set(FAMILIES) - named == set()


def test_while_the_database_is_away_its_gauges_are_absent_and_the_rest_is_told(app: Flask) -> None:
    watch: Watch = app.extensions["watch"]

    def away() -> Any:
        raise ConnectionError

    watch._gauges.ask = watch._in_all.ask = away
    watch._gauges._question = watch._in_all._question = None
    found = samples(app.test_client().get("/metrics").text)
    assert found["referral_database_up", ()] == 0
    told = {name.removeprefix("referral_") for name, _ in found}
    assert told & set(FAMILIES) == {"disk_free_bytes"}
    assert ("referral_requests_in_flight", ()) in found


def test_nothing_of_a_patient_stands_in_the_metrics(caller: Caller, app_client: FlaskClient) -> None:
    sent = referral("P-1", f"Cervical dystonia, {NAME}", contained=[{**PATIENT, "id": "p"}])
    assert caller.create(sent, X_Request_Id="R1", Idempotency_Key=NUMBER).status_code == 201
    caller.create({**sent, **CARRIED, "status": NAME})
    caller.get(f"Patient?family={NAME}")
    caller.get(f"Patient/{NUMBER}")
    assert leak(app_client.get("/metrics").text) is None


@contextmanager
def listened() -> Iterator[list[str]]:
    lines: list[str] = []

    class Ear(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.name == "referral_service":
                lines.append(record.getMessage())

    ear = Ear()
    logging.getLogger().addHandler(ear)
    yield lines
    logging.getLogger().removeHandler(ear)


@pytest.mark.parametrize("sent", ["Quillfeather.Zamboanga", "9434765919", "1969-02-27"])
def test_a_request_is_told_with_its_template_and_not_by_what_the_caller_called_it(caller: Caller, sent: str) -> None:
    with listened() as lines:
        answer = caller.get("Patient/p-7719", X_Request_Id=sent)
    assert answer.headers["X-Request-Id"] == sent
    told = [line for line in lines if line.startswith("event='request'")]
    assert len(told) == 1
    assert "route='/fhir/{kind}/{identity}'" in told[0]
    assert "status=404" in told[0]
    assert [one for one in (sent, "p-7719") if one in " ".join(lines)] == []
