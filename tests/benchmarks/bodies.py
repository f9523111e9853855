"""What is sent: the referral of the first example, alone and in a transaction, with numbers of its own each time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from uuid import UUID

from tests.benchmarks.load import NUMBER

EXAMPLES = Path(__file__).parent.parent.parent / "profiles" / "examples" / "valid"
EXAMPLE = EXAMPLES / "01-cervical-dystonia-contained-patient.json"
SEARCH = "Task?status=requested&owner=HealthcareService/adult-movement-disorders&_count=20"


def referral() -> dict[str, Any]:
    """A ServiceRequest that contains its Patient; both with a number, so that none is a replay."""
    template = json.loads(EXAMPLE.read_bytes())
    template["identifier"][0]["value"] = f"B-{NUMBER}"
    template["contained"][0]["identifier"][0]["value"] = f"P-{NUMBER}"
    return dict(template)


def transaction() -> dict[str, Any]:
    """The same referral with Patient and Condition as entries of their own, which name each other by urn:uuid."""
    request = referral()
    patient, practitioner = request["contained"]
    del patient["id"]
    names = [UUID(int=number, version=4).urn for number in (1, 2, 3)]
    subject = {"reference": names[0]}
    condition = {
        "resourceType": "Condition",
        "clinicalStatus": _coding("http://terminology.hl7.org/CodeSystem/condition-clinical", "active"),
        "code": _coding("http://snomed.info/sct", "74333002", "Cervical dystonia"),
        "subject": subject,
    }
    request |= {"contained": [practitioner], "subject": subject, "reasonReference": [{"reference": names[1]}]}
    entries = [
        {"fullUrl": name, "resource": one, "request": {"method": "POST", "url": one["resourceType"]}}
        for name, one in zip(names, (patient, condition, request), strict=True)
    ]
    return {"resourceType": "Bundle", "type": "transaction", "entry": entries}


def _coding(system: str, code: str, display: str | None = None) -> dict[str, Any]:
    shown = {"display": display} if display else {}
    return {"coding": [{"system": system, "code": code, **shown}]}


def numbered(template: dict[str, Any], number: object) -> bytes:
    return json.dumps(template).replace(NUMBER, str(number)).encode()
