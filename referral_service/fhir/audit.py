"""One access as an AuditEvent, in the shapes of IHE's Basic Audit Log Patterns (https://profiles.ihe.net/ITI/BALP/).

Written as plain text of JSON and not typed on the way, for one is written with every request; tests hold what comes out
against R4 and the models.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import orjson

from referral_service.fhir.harmless import OUR_ID, is_harmless, is_known

_BALP = "https://profiles.ihe.net/ITI/BALP"
_DICOM = "http://dicom.nema.org/resources/ontology/DCM"
_INTERACTION = "http://hl7.org/fhir/restful-interaction"
_REST = {"system": "http://terminology.hl7.org/CodeSystem/audit-event-type", "code": "rest"}
_AUTHENTICATION = {"system": _DICOM, "code": "110114", "display": "User Authentication"}
_ENTITY = "http://terminology.hl7.org/CodeSystem/audit-entity-type"
_ROLE = "http://terminology.hl7.org/CodeSystem/object-role"
_SOURCE = {"coding": [{"system": _DICOM, "code": "110153", "display": "Source Role ID"}]}
_DESTINATION = {"coding": [{"system": _DICOM, "code": "110152", "display": "Destination Role ID"}]}
_PARTICIPATION = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType"
_NAME = "Referral service"

GRANTED, DENIED, FAILED = "0", "4", "8"
"""https://hl7.org/fhir/R4/valueset-audit-event-outcome.html: 4 is whatever a caller asked for and was not given, an
answer 4xx of HTTP; 8 is a fault of ours, an answer 5xx."""

LOGIN, LOGOUT = "110122", "110123"
"""What happened in a User Authentication (https://dicom.nema.org/medical/dicom/current/output/chtml/part16/sect_CID_402.html)."""
_OF_AUTHENTICATION = {LOGIN: "Login", LOGOUT: "Logout"}

_PROFILES = {"C": ("Create", "create"), "R": ("Read", "read"), "U": ("Update", "update")}
WITHHELD = "***"


@dataclass(frozen=True, slots=True)
class Who:
    """``kind`` is system, person, anyone or machine; ``client`` is the one whose records a system speaks for."""

    id: str
    name: str
    kind: str
    client: str
    roles: tuple[str, ...] = ()
    network: str = ""


@dataclass(slots=True)
class Access:
    """One request as far as the audit trail has to know of it, filled in as it goes through.

    ``action`` is C, R, U, D or E, ``interaction`` a code of restful-interaction or one of :data:`LOGIN` and
    :data:`LOGOUT`, ``server`` the host that was called.
    ``references`` are what was touched, ``patients`` whose it is, both by our ids; ``query`` is what was asked for.
    ``is_durable`` is set once an event of it is committed with what it wrote.
    """

    who: Who
    request_id: str
    action: str
    interaction: str
    server: str
    references: dict[str, None] = field(default_factory=dict)
    patients: dict[str, None] = field(default_factory=dict)
    query: str | None = None
    is_durable: bool = False

    def touched(self, references: Iterable[str] = (), patients: Iterable[str | None] = ()) -> None:
        self.references.update(dict.fromkeys(references))
        self.patients.update(dict.fromkeys(one for one in patients if one))

    def has_become_durable(self) -> None:
        self.is_durable = True


@dataclass(frozen=True, slots=True)
class Event:
    """What becomes one AuditEvent. ``at`` is a FHIR instant; ``reason`` the code of why it was not granted."""

    id: str
    at: str
    access: Access
    action: str
    references: Sequence[str]
    patients: Sequence[str]
    outcome: str = GRANTED
    reason: str = ""
    query: str | None = None


def our_reference(kind: str, identity: str) -> str | None:
    """Type and id when the id is of our making; what a caller made up may be a name or a number, and is not kept."""
    return f"{kind}/{identity}" if OUR_ID.fullmatch(identity) else None


def query_text(path: str, parameters: Iterable[tuple[str, str]]) -> str:
    """What was asked for, as BALP wants it, with the names of the parameters that there are and their coded values.

    A value that may be a name, a number or a birth date is withheld, unless it is an id of ours: a search that found
    nobody would leave somebody in this trail who is nowhere else in the database, where only age removes anything.
    Whom a search did find stands beside it as an entity.
    """
    named = ((name if is_known(name) else WITHHELD, name, value) for name, value in parameters)
    shown = [(label, value if is_harmless(name, value) else WITHHELD) for label, name, value in named]
    pairs = (f"{quote(name, safe='*:.')}={quote(value, safe='*,|:/')}" for name, value in shown)
    return "?".join(part for part in (path, "&".join(pairs)) if part)


def entities_of(event: Event) -> list[str]:
    """Every ``Type/id`` that the AuditEvent names, each once."""
    return list(dict.fromkeys((*(f"Patient/{one}" for one in event.patients), *_data(event))))


def named_in(content: str) -> set[str]:
    """The same, read from the text of an AuditEvent."""
    return {one["what"]["reference"] for one in orjson.loads(content)["entity"] if "reference" in one.get("what", {})}


def audit_event(event: Event) -> dict[str, Any]:
    """https://hl7.org/fhir/R4/auditevent.html"""
    access = event.access
    written: dict[str, Any] = {
        "resourceType": "AuditEvent",
        "id": event.id,
        "meta": {"lastUpdated": event.at},
        "type": _AUTHENTICATION if access.interaction in _OF_AUTHENTICATION else _REST,
        "subtype": _subtypes(event),
        "action": event.action,
        "recorded": event.at,
        "outcome": event.outcome,
        "agent": _agents(event),
        "source": {
            "observer": {"display": _NAME, "identifier": {"value": access.server}},
            "type": [{"system": "http://terminology.hl7.org/CodeSystem/security-source-type", "code": "4"}],
        },
        "entity": _entities(event),
    }
    profile = _profile(event)
    if profile:
        written["meta"]["profile"] = [f"{_BALP}/StructureDefinition/IHE.BasicAudit.{profile}"]
    if event.reason:
        written["outcomeDesc"] = event.reason
    return written


def _subtypes(event: Event) -> list[dict[str, str]]:
    """What was called; before it the plain interaction that a profile asks for, where a door has another name."""
    code = event.access.interaction
    if code in _OF_AUTHENTICATION:
        return [{"system": _DICOM, "code": code, "display": _OF_AUTHENTICATION[code]}]
    codes = [code]
    wanted = _PROFILES.get(event.action, ("", ""))[1]
    if wanted and not _is_kind_of(wanted, codes[0]):
        codes.insert(0, wanted)
    return [{"system": _INTERACTION, "code": code} for code in codes]


def _is_kind_of(wanted: str, code: str) -> bool:
    return code in {"read": ("read", "vread"), "update": ("update", "patch")}.get(wanted, (wanted,))


def _profile(event: Event) -> str | None:
    """The profile that the event is true to; one that names several resources is true to none.

    BALP would write an event for each patient that was found; here one access is one event, and one of several patients
    is a Query, which is open to further entities.
    """
    if event.outcome != GRANTED:
        return None
    if event.query is not None:
        return "PatientQuery" if len(event.patients) == 1 else "Query"
    name = _PROFILES.get(event.action, ("", ""))[0]
    if not name or len(_data(event)) != 1 or len(event.patients) > 1:
        return None
    return f"Patient{name}" if event.patients else name


def _agents(event: Event) -> list[dict[str, Any]]:
    """The caller, this service and, behind the caller, the person. What is sent flows from source to destination."""
    access, who = event.access, event.access.who
    is_read = event.action == "R"
    by_person = who.kind in ("person", "anyone")
    client: dict[str, Any] = {
        "type": _DESTINATION if is_read else _SOURCE,
        "who": {"identifier": {"value": who.client}},
        "requestor": not by_person,
    }
    if not by_person:
        client["name"] = who.name
    client["network"] = {"address": who.network or access.server, "type": "2" if who.network else "1"}
    server = {
        "type": _SOURCE if is_read else _DESTINATION,
        "who": {"identifier": {"value": access.server}, "display": _NAME},
        "requestor": False,
        "network": {"address": access.server, "type": "1"},
    }
    return [client, server, _person(event)] if by_person else [client, server]


def _person(event: Event) -> dict[str, Any]:
    who = event.access.who
    code = "IRCP" if event.action in "RE" else "AUT"
    person: dict[str, Any] = {
        "type": {"coding": [{"system": _PARTICIPATION, "code": code}]},
        "who": {"identifier": {"value": who.id}},
        "name": who.name,
        "requestor": True,
    }
    if who.roles:
        person["role"] = [{"text": role} for role in who.roles]
    return person


def _data(event: Event) -> list[str]:
    """What was touched beside the patients; a patient alone is the data as well. Of a query it is not written down."""
    if event.query is not None:
        return []
    patients = {f"Patient/{one}" for one in event.patients}
    return [one for one in event.references if one not in patients] or list(event.references)


def _entities(event: Event) -> list[dict[str, Any]]:
    asked = {"system": f"{_BALP}/CodeSystem/BasicAuditEntityType", "code": "XrequestId"}
    entities: list[dict[str, Any]] = [
        {"what": {"reference": f"Patient/{one}"}, "type": _coding(_ENTITY, "1"), "role": _coding(_ROLE, "1")}
        for one in event.patients
    ]
    entities += [
        {"what": {"reference": one}, "type": _coding(_ENTITY, "2"), "role": _coding(_ROLE, "4")} for one in _data(event)
    ]
    if event.query is not None:
        query = base64.b64encode(event.query.encode()).decode()
        entities.append({"type": _coding(_ENTITY, "2"), "role": _coding(_ROLE, "24"), "query": query})
    entities.append({"what": {"identifier": {"value": event.access.request_id}}, "type": asked})
    return entities


def _coding(system: str, code: str) -> dict[str, str]:
    return {"system": system, "code": code}
