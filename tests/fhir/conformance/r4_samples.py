"""Small valid resources, and the one way of changing them that the tests use."""

from __future__ import annotations

import copy
from typing import Any

from referral_service.fhir.conformance import check
from referral_service.fhir.parse import parse

DIV = '<div xmlns="http://www.w3.org/1999/xhtml">Neck turned to the left.</div>'

PATIENT: dict[str, Any] = {
    "resourceType": "Patient",
    "id": "p1",
    "identifier": [{"system": "urn:oid:1.2.36.1", "value": "42"}],
    "name": [{"family": "Muster", "given": ["Anna", "B."]}],
    "gender": "female",
    "birthDate": "1975-04-12",
    "contact": [{"name": {"text": "Sister"}}],
}

REFERRAL: dict[str, Any] = {
    "resourceType": "ServiceRequest",
    "text": {"status": "generated", "div": DIV},
    "contained": [PATIENT],
    "identifier": [{"system": "https://ehr.example/orders", "value": "7"}],
    "status": "active",
    "intent": "order",
    "priority": "routine",
    "code": {"coding": [{"system": "http://snomed.info/sct", "code": "306206005"}]},
    "subject": {"reference": "#p1"},
    "occurrencePeriod": {"start": "2024-05", "end": "2024-05-20"},
    "authoredOn": "2024-05-06T10:20:30+02:00",
    "requester": {"reference": "Practitioner/dr-1"},
    "reasonCode": [
        {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "G24.3"}], "text": "Torticollis"}
    ],
    "note": [{"time": "2024-05-06T10:20:30Z", "text": "For two years."}],
}

CONDITION: dict[str, Any] = {
    "resourceType": "Condition",
    "clinicalStatus": {
        "coding": [{"system": "http://terminology.hl7.org/CodeSystem/condition-clinical", "code": "active"}]
    },
    "code": {"text": "Cervical dystonia"},
    "subject": {"reference": "Patient/1"},
}

OBSERVATION: dict[str, Any] = {
    "resourceType": "Observation",
    "status": "final",
    "code": {"coding": [{"system": "http://loinc.org", "code": "29463-7"}]},
    "valueQuantity": {"value": 70, "unit": "kg", "system": "http://unitsofmeasure.org", "code": "kg"},
}

TASK: dict[str, Any] = {
    "resourceType": "Task",
    "status": "requested",
    "intent": "order",
    "focus": {"reference": "ServiceRequest/1"},
    "authoredOn": "2024-05-06",
    "lastModified": "2024-05-07T08:00:00Z",
}

TRANSACTION: dict[str, Any] = {
    "resourceType": "Bundle",
    "type": "transaction",
    "entry": [
        {
            "fullUrl": "urn:uuid:0d9a3b0e-6c1c-4b7e-9b50-0d3cfa3f3b11",
            "resource": PATIENT,
            "request": {"method": "POST", "url": "Patient"},
        },
        {
            "fullUrl": "urn:uuid:0d9a3b0e-6c1c-4b7e-9b50-0d3cfa3f3b12",
            "resource": {
                "resourceType": "ServiceRequest",
                "status": "active",
                "intent": "order",
                "subject": {"reference": "urn:uuid:0d9a3b0e-6c1c-4b7e-9b50-0d3cfa3f3b11"},
            },
            "request": {"method": "POST", "url": "ServiceRequest"},
        },
        {"request": {"method": "GET", "url": "Patient?name=x"}},
    ],
}

VALID = {
    "patient": PATIENT,
    "referral": REFERRAL,
    "condition": CONDITION,
    "observation": OBSERVATION,
    "task": TASK,
    "transaction": TRANSACTION,
}

Finding = tuple[str, str]


def changed(sample: dict[str, Any], *changes: tuple[tuple[str | int, ...], Any]) -> dict[str, Any]:
    """A copy with the value at each path replaced; ``...`` takes the member away."""
    found = copy.deepcopy(sample)
    for path, value in changes:
        holder: Any = found
        for part in path[:-1]:
            holder = holder[part]
        if value is ...:
            del holder[path[-1]]
        else:
            holder[path[-1]] = value
    return found


def findings(payload: Any) -> list[Finding]:
    return [(issue.expression, issue.rule) for issue in check(payload)]


def findings_in(body: str) -> list[Finding]:
    return findings(parse(body.encode()).value)
