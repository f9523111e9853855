"""Calls of CDS Hooks as an EHR makes them."""

from __future__ import annotations

import json
from typing import Any

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.shapes import Resource, patient

SERVICE = "/cds-services/dystonia-referral"
EHR = "https://ehr.example/fhir"
MRN = {"system": "urn:example:nhs", "value": "mrn-7"}


def draft(reason: str = "Cervical dystonia", **more: Any) -> Resource:
    """An order that is not signed yet; an element given as None is left out."""
    written: Resource = {
        "resourceType": "ServiceRequest",
        "id": "draft-1",
        "status": "draft",
        "intent": "order",
        "subject": {"reference": "Patient/7"},
        **({"reasonCode": [{"text": reason}]} if reason else {}),
    }
    return {name: value for name, value in (written | more).items() if value is not None}


def known_patient(**more: Any) -> Resource:
    return patient(**{"id": "7", "identifier": [MRN], **more})


def call(*orders: Resource, **changed: Any) -> Resource:
    """The body of a call about the patient 7; what is given as None is left out."""
    context = {
        "userId": "Practitioner/1",
        "patientId": "7",
        "draftOrders": {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": one} for one in orders]},
    }
    written = {
        "hook": "order-sign",
        "hookInstance": "d1577c69-dfbe-44ad-ba6d-3e05e953b2ea",
        "fhirServer": EHR,
        "context": context,
        "prefetch": {"patient": known_patient()},
    }
    return {name: value for name, value in (written | changed).items() if value is not None}


def send(http: FlaskClient, body: Resource | bytes, path: str = SERVICE, **headers: str) -> TestResponse:
    data = body if isinstance(body, bytes) else json.dumps(body)
    return http.open(path, method="POST", data=data, headers={"Content-Type": "application/json", **headers})


def cards(http: FlaskClient, *orders: Resource, **changed: Any) -> list[dict[str, Any]]:
    answer = send(http, call(*orders, **changed))
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.get_json()["cards"]
    return found


def summaries(found: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(card["indicator"], card["summary"]) for card in found]
