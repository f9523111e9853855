"""A referral that came by telephone or fax, as the Bundle that an EHR would have sent."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from uuid import NAMESPACE_URL, uuid5

from referral_service.fhir.bundle import Resource

PLACER = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "PLAC"}]}
_INTERPRETER = "http://hl7.org/fhir/StructureDefinition/patient-interpreterRequired"


@dataclass(frozen=True, slots=True)
class Attachment:
    """What was faxed or brought. ``type`` is its media type."""

    name: str
    type: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Entered:
    """The fields of the form, empty where left empty. ``birth_date`` is ``YYYY``, ``YYYY-MM`` or ``YYYY-MM-DD``."""

    family: str = ""
    given: str = ""
    birth_date: str = ""
    identifier_system: str = ""
    identifier: str = ""
    telephone: str = ""
    address: str = ""
    guardian: str = ""
    guardian_role: str = ""
    guardian_telephone: str = ""
    interpreter: str = ""
    language: str = ""
    practitioner: str = ""
    requester: str = ""
    requester_telephone: str = ""
    placer: str = ""
    priority: str = "routine"
    reason: str = ""
    body_site: str = ""
    medicines: str = ""


@dataclass(frozen=True, slots=True)
class Filled:
    """The Bundle, and which field each of its elements was filled from, by FHIRPath."""

    bundle: Resource
    fields: dict[str, str]

    def field_of(self, expression: str) -> str:
        """The field that a fault in the Bundle lies in; empty when it is in none."""
        fitting = [path for path in self.fields if expression.startswith(path)]
        return self.fields[max(fitting, key=len)] if fitting else ""


def entered_bundle(entered: Entered, attachment: Attachment | None, key: str) -> Filled:
    """The same fields, ``attachment`` and ``key`` give the same Bundle, byte for byte."""
    entries = list(_entries(entered, attachment, key))
    bundle = {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [
            {
                "fullUrl": _url(key, name),
                "resource": resource,
                "request": {"method": "POST", "url": resource["resourceType"]},
            }
            for name, resource, _ in entries
        ],
    }
    fields = {
        f"Bundle.entry[{place}].resource{element}": field
        for place, (_, _, elements) in enumerate(entries)
        for element, field in elements.items()
    }
    return Filled(bundle, fields)


_Part = tuple[str, Resource, dict[str, str]]
"""The name of an entry, its resource, and the field of each of its elements."""


def _entries(entered: Entered, attachment: Attachment | None, key: str) -> Iterator[_Part]:
    yield "patient", _patient(entered), _PATIENT_FIELDS
    if entered.guardian:
        yield "guardian", _guardian(entered, key), {"": "guardian", ".telecom": "guardian_telephone"}
    if entered.requester_telephone:
        yield "requester", _practitioner(entered), {"": "requester", ".telecom": "requester_telephone"}
    for place, line in enumerate(_lines(entered.medicines)):
        yield f"medicine-{place}", _medicine(line, key), {"": "medicines"}
    if attachment is not None:
        yield "content", _binary(attachment), {"": "attachment"}
        yield "document", _document(attachment, key), {"": "attachment"}
    yield "referral", _referral(entered, key, has_document=attachment is not None), _REFERRAL_FIELDS


_PATIENT_FIELDS = {
    ".name": "family",
    ".name[0].given": "given",
    ".birthDate": "birth_date",
    ".identifier": "identifier",
    ".telecom": "telephone",
    ".address": "address",
    ".generalPractitioner": "practitioner",
    ".communication": "language",
    ".extension": "interpreter",
}
_REFERRAL_FIELDS = {
    ".identifier": "placer",
    ".requester": "requester",
    ".priority": "priority",
    ".reasonCode": "reason",
    ".bodySite": "body_site",
}


def _patient(entered: Entered) -> Resource:
    name = _given({"family": entered.family, "given": entered.given.split()})
    identifier = _given({"system": entered.identifier_system, "value": entered.identifier})
    interpreter = {"url": _INTERPRETER, "valueBoolean": entered.interpreter == "yes"}
    language = {"language": {"text": entered.language}, "preferred": True}
    return _given(
        {
            "resourceType": "Patient",
            "extension": [interpreter] if entered.interpreter else [],
            "identifier": [identifier] if entered.identifier else [],
            "name": [name] if name else [],
            "telecom": _telephone(entered.telephone),
            "birthDate": entered.birth_date,
            "address": [{"text": ", ".join(_lines(entered.address))}] if entered.address else [],
            "communication": [language] if entered.language else [],
            "generalPractitioner": [{"display": entered.practitioner}] if entered.practitioner else [],
        }
    )


def _guardian(entered: Entered, key: str) -> Resource:
    return _given(
        {
            "resourceType": "RelatedPerson",
            "patient": _to(key, "patient"),
            "relationship": [{"text": entered.guardian_role}] if entered.guardian_role else [],
            "name": [{"text": entered.guardian}],
            "telecom": _telephone(entered.guardian_telephone),
        }
    )


def _practitioner(entered: Entered) -> Resource:
    name = [{"text": entered.requester}] if entered.requester else []
    telecom = _telephone(entered.requester_telephone)
    return _given({"resourceType": "Practitioner", "name": name, "telecom": telecom})


def _medicine(line: str, key: str) -> Resource:
    return {
        "resourceType": "MedicationStatement",
        "status": "unknown",
        "medicationCodeableConcept": {"text": line},
        "subject": _to(key, "patient"),
    }


def _binary(attachment: Attachment) -> Resource:
    data = base64.b64encode(attachment.data).decode()
    return {"resourceType": "Binary", "contentType": attachment.type, "data": data}


def _document(attachment: Attachment, key: str) -> Resource:
    content = {"contentType": attachment.type, "url": _url(key, "content"), "size": len(attachment.data)}
    return {
        "resourceType": "DocumentReference",
        "status": "current",
        "subject": _to(key, "patient"),
        "content": [{"attachment": _given({**content, "title": attachment.name})}],
    }


def _referral(entered: Entered, key: str, *, has_document: bool) -> Resource:
    requester = {"display": entered.requester} if entered.requester else {}
    if entered.requester_telephone:
        requester |= _to(key, "requester")
    supporting = [_to(key, f"medicine-{place}") for place, _ in enumerate(_lines(entered.medicines))]
    return _given(
        {
            "resourceType": "ServiceRequest",
            "identifier": [{"type": PLACER, "value": entered.placer}] if entered.placer else [],
            "status": "active",
            "intent": "order",
            "priority": entered.priority,
            "subject": _to(key, "patient"),
            "requester": requester,
            "reasonCode": [{"text": entered.reason}] if entered.reason else [],
            "supportingInfo": [*supporting, *([_to(key, "document")] if has_document else [])],
            "bodySite": [{"text": entered.body_site}] if entered.body_site else [],
        }
    )


def _telephone(number: str) -> list[Resource]:
    return [{"system": "phone", "value": number}] if number else []


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


def _given(resource: Resource) -> Resource:
    """Without what was left empty: FHIR has no empty elements."""
    return {name: value for name, value in resource.items() if value not in ("", [], {})}


def _to(key: str, name: str) -> Resource:
    return {"reference": _url(key, name)}


def _url(key: str, name: str) -> str:
    return f"urn:uuid:{uuid5(NAMESPACE_URL, f'{key}/{name}')}"
