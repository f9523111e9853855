"""What this service writes with every referral is typed by nobody on the way; here it is, by the models and by R4."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from fhir.resources.R4B import get_fhir_model_class
from flask.testing import FlaskClient
from sqlalchemy import select

from referral_service.fhir import conformance
from referral_service.intake import Site
from referral_service.store import tables
from tests.serving import FHIR
from tests.web.test_acting import do
from tests.web.test_pages import patient, referral, send

EXAMPLES = Path(__file__).parents[2] / "profiles" / "examples" / "valid"


def _written(site: Site) -> list[str]:
    """Every Task and Provenance in the database, and every version before."""
    with site.store.reading() as connection:
        tasks = connection.execute(select(tables.task.c.content)).scalars()
        authored = select(tables.resource.c.content).where(tables.resource.c.type == "Provenance")
        before = select(tables.history.c.content).where(tables.history.c.type == "Task")
        return [*tasks, *connection.execute(authored).scalars(), *connection.execute(before).scalars()]


def _is_sound(text: str) -> None:
    resource = json.loads(text)
    get_fhir_model_class(resource["resourceType"]).model_validate(resource)
    assert [issue for issue in conformance.check(resource) if issue.is_error] == []


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
def test_every_task_and_provenance_of_the_examples_is_sound(site: Site, app_client: FlaskClient) -> None:
    for file in sorted(EXAMPLES.glob("*.json")):
        payload = json.loads(file.read_bytes())
        message = payload.get("type") == "message"
        door = "/$process-message" if message else "" if payload["resourceType"] == "Bundle" else "/ServiceRequest"
        app_client.post(f"/fhir{door}", data=file.read_bytes(), headers=FHIR)
    texts = _written(site)
    assert {json.loads(text)["resourceType"] for text in texts} == {"Task", "Provenance"}
    assert len(texts) > 2 * 30
    for text in texts:
        _is_sound(text)


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
def test_and_so_is_what_a_human_changes(site: Site, app_client: FlaskClient) -> None:
    identity = send(site, referral("Generalized dystonia", patient("2009")))
    do(app_client, identity, "correct-code", code="G24.1", comment="A variant of TOR1A is known.")
    do(app_client, identity, "confirm-birth-date", birth_date="2009-09-14", comment="By telephone, mother.")
    do(app_client, identity, "hold", reason="patient-unavailable")
    texts = _written(site)
    assert len([text for text in texts if '"Provenance"' in text]) >= 3
    for text in texts:
        _is_sound(text)
