"""What can be read of a referral in a text that is no valid request: to be looked over by a human, never decided on."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from referral_service.fhir.parse import parse
from referral_service.fhir.writer import Entered
from referral_service.intake.reading import readable_referrals
from referral_service.referral import Priority
from referral_service.web.present.people import PATIENT_SYSTEMS

_BIRTH_DATE = re.compile(r"\d{4}(-\d{2}(-\d{2})?)?", re.ASCII)


def prefilled(body: bytes, position: int) -> Entered:
    """The fields that can be made out for the referral at a place in a text; all empty when there are none."""
    payload: Any = parse(body).value
    referrals = readable_referrals(payload)
    if position >= len(referrals):
        return Entered()
    referral = referrals[position]
    patient = _patient(payload, referral)
    return Entered(
        family=_first(patient, "name", "family") or _first(patient, "name", "text"),
        given=" ".join(_strings(_only(patient.get("name")), "given")),
        birth_date=next(filter(_BIRTH_DATE.fullmatch, _strings(patient, "birthDate")), ""),
        identifier_system=_identifier_system(patient),
        identifier=_first(_only(patient.get("identifier")), "value"),
        telephone=_first(patient, "telecom", "value"),
        address=_first(patient, "address", "text") or ", ".join(_strings(_only(patient.get("address")), "line")),
        guardian=_first(patient, "contact", "name", "text"),
        practitioner=_first(patient, "generalPractitioner", "display"),
        requester=_first(referral, "requester", "display"),
        placer=_first(referral, "identifier", "value"),
        priority=_priority(referral),
        reason="\n".join(dict.fromkeys(_concepts(referral, "reasonCode"))),
        body_site=", ".join(dict.fromkeys(_concepts(referral, "bodySite"))),
        medicines="\n".join(_medicines(payload)),
    )


def _identifier_system(patient: Mapping[str, Any]) -> str:
    system = _first(_only(patient.get("identifier")), "system")
    return system if system in PATIENT_SYSTEMS else ""


def _priority(referral: Mapping[str, Any]) -> str:
    return next((one for one in _strings(referral, "priority") if one in set(Priority)), Priority.ROUTINE.value)


def _concepts(resource: Any, element: str) -> Iterator[str]:
    yield from _strings(resource, element, "text")
    yield from _strings(resource, element, "coding", "display")


def _medicines(payload: Any) -> list[str]:
    """Of all that came along: one that is another patient's is struck out by whoever looks the form over."""
    kinds = ("MedicationStatement", "MedicationRequest")
    listed = [one for one in _resources(payload) if one.get("resourceType") in kinds]
    return list(dict.fromkeys(word for one in listed for word in _concepts(one, "medicationCodeableConcept")))


def _patient(payload: Any, referral: Mapping[str, Any]) -> Mapping[str, Any]:
    """The one that the subject points at; else the only one there is; never the first of several."""
    address = _first(referral, "subject", "reference")
    patients = [one for one in (*_contained(referral), *_resources(payload)) if one.get("resourceType") == "Patient"]
    named = [one for one in patients if address and address in _names(payload, one)]
    found = named or patients
    return found[0] if len(found) == 1 else {}


def _names(payload: Any, patient: Mapping[str, Any]) -> set[str]:
    identity = _first(patient, "id")
    urls = {_first(entry, "fullUrl") for entry in _entries(payload) if entry.get("resource") is patient}
    return urls | ({f"#{identity}", f"Patient/{identity}"} if identity else set())


def _contained(resource: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [one for one in _listed(resource.get("contained")) if isinstance(one, Mapping)]


def _entries(payload: Any) -> list[Mapping[str, Any]]:
    entries = payload.get("entry") if isinstance(payload, Mapping) else None
    return [one for one in _listed(entries) if isinstance(one, Mapping)]


def _resources(payload: Any) -> list[Mapping[str, Any]]:
    return [one["resource"] for one in _entries(payload) if isinstance(one.get("resource"), Mapping)]


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _only(value: Any) -> Any:
    """The first of a list, or what stands there without one."""
    return next(iter(_listed(value)), None)


def _first(value: Any, *path: str) -> str:
    return next(_strings(value, *path), "")


def _strings(value: Any, *path: str) -> Iterator[str]:
    """Every text at a path, whether an element on the way repeats or not."""
    for one in _listed(value):
        if not path:
            if isinstance(one, str) and "\0" not in one:
                yield one.strip()
        elif isinstance(one, Mapping):
            yield from _strings(one.get(path[0]), *path[1:])
