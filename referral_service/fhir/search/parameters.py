"""Which types can be searched, and by what: the same table that the CapabilityStatement is written from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class ParameterType(StrEnum):
    """https://hl7.org/fhir/R4/search.html#ptypes"""

    TOKEN = "token"  # noqa: S105
    DATE = "date"
    REFERENCE = "reference"
    STRING = "string"


@dataclass(frozen=True, slots=True)
class Parameter:
    """``targets`` are the types that a reference may lead to."""

    type: ParameterType
    modifiers: frozenset[str] = frozenset()
    targets: tuple[str, ...] = ()


_ACTORS = ("Practitioner", "PractitionerRole", "Organization", "Patient", "RelatedPerson", "Device")
_SUBJECTS = ("Patient", "Group", "Location", "Device")
_NAMED = ("Patient", "ServiceRequest", "Task", "Condition", "Observation", "DocumentReference", "Binary", "Provenance")
_ID = Parameter(ParameterType.TOKEN)
_UPDATED = Parameter(ParameterType.DATE)
_CHAINED = Parameter(ParameterType.TOKEN)
_TOKEN = Parameter(ParameterType.TOKEN, frozenset({"not", "missing"}))
_DATE = Parameter(ParameterType.DATE, frozenset({"missing"}))
_STRING = Parameter(ParameterType.STRING, frozenset({"exact", "contains", "missing"}))


def _reference(*targets: str) -> Parameter:
    """The type of a target may be said by a modifier (https://hl7.org/fhir/R4/search.html#reference)."""
    return Parameter(ParameterType.REFERENCE, frozenset({"missing", *targets}), targets)


PARAMETERS: Mapping[str, Mapping[str, Parameter]] = {
    "Task": {
        "_id": _ID,
        "_lastUpdated": _UPDATED,
        "_tag": _TOKEN,
        "status": _TOKEN,
        "business-status": _TOKEN,
        "priority": _TOKEN,
        "owner": _reference("HealthcareService"),
        "patient": _reference("Patient"),
        "requester": _reference(*_ACTORS),
        "focus": _reference("ServiceRequest"),
        "identifier": _TOKEN,
        "code": _TOKEN,
        "authored-on": _DATE,
        "modified": _DATE,
        "due": _DATE,
        "assignee": _STRING,
        "patient.identifier": _CHAINED,
        "focus:ServiceRequest.identifier": _CHAINED,
    },
    "ServiceRequest": {
        "_id": _ID,
        "_lastUpdated": _UPDATED,
        "_tag": _TOKEN,
        "identifier": _TOKEN,
        "status": _TOKEN,
        "intent": _TOKEN,
        "priority": _TOKEN,
        "subject": _reference(*_SUBJECTS),
        "patient": _reference("Patient"),
        "requester": _reference(*_ACTORS),
        "authored": _DATE,
        "code": _TOKEN,
        "patient.identifier": _CHAINED,
    },
    "Patient": {
        "_id": _ID,
        "identifier": _TOKEN,
        "birthdate": _DATE,
        "family": _STRING,
        "given": _STRING,
    },
    "AuditEvent": {
        "_id": _ID,
        "date": Parameter(ParameterType.DATE),
        "agent": Parameter(ParameterType.TOKEN, frozenset({"identifier"})),
        "patient": Parameter(ParameterType.REFERENCE, frozenset({"Patient"}), ("Patient",)),
        "entity": Parameter(ParameterType.REFERENCE, frozenset(_NAMED), _NAMED),
        "action": _ID,
        "outcome": _ID,
    },
}
"""``agent`` of an AuditEvent is asked for by the identifier of who it was, for nobody who calls is a resource here."""

SAME = {"patient:Patient.identifier": "patient.identifier"}
"""The same chain with its type said, which is only needed where there is a choice."""

SORTABLE: Mapping[str, frozenset[str]] = {
    "Task": frozenset(
        {"_id", "_lastUpdated", "status", "business-status", "priority", "owner", "authored-on", "modified", "due"}
    ),
    "ServiceRequest": frozenset({"_id", "_lastUpdated", "status", "intent", "priority", "authored"}),
    "Patient": frozenset({"_id", "_lastUpdated", "birthdate", "family", "given"}),
    "AuditEvent": frozenset(),
}

PRIVATE = frozenset({"birthdate", "family", "given"})
"""What must not stand in a cursor, which is part of a URL and so of other people's logs."""

INCLUDES: Mapping[str, frozenset[str]] = {
    "Task": frozenset({"Task:focus", "Task:patient", "Task:owner"}),
    "ServiceRequest": frozenset({"ServiceRequest:subject", "ServiceRequest:patient"}),
    "Patient": frozenset(),
    "AuditEvent": frozenset(),
}

REVINCLUDES: Mapping[str, frozenset[str]] = {
    "Task": frozenset(),
    "ServiceRequest": frozenset({"Task:focus"}),
    "Patient": frozenset(),
    "AuditEvent": frozenset(),
}
