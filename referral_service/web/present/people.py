"""Persons, places and identifiers of FHIR R4 as lines of text, and whom a reference names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from referral_service.fhir.names import name_of, referenced_name

Resource = Mapping[str, Any]
Key = tuple[str, str]
"""(client, ``Type/id``): one client's references never lead to another's resources."""

PATIENT_SYSTEMS = {
    "https://fhir.nhs.uk/Id/nhs-number": "NHS number",
    "http://ns.electronichealth.net.au/id/hi/ihi/1.0": "IHI",
    "http://hl7.org/fhir/sid/us-ssn": "Social security number",
}
"""Numbers that a patient goes by everywhere in a country, by system."""

_SYSTEMS = {**PATIENT_SYSTEMS, "http://hl7.org/fhir/sid/us-npi": "NPI"}
_CODE_SYSTEMS = {
    "http://hl7.org/fhir/sid/icd-10-cm": "ICD-10-CM",
    "http://hl7.org/fhir/sid/icd-10": "ICD-10",
    "http://hl7.org/fhir/sid/icd-9-cm": "ICD-9-CM",
    "http://snomed.info/sct": "SNOMED CT",
    "http://www.whocc.no/atc": "ATC",
    "http://www.nlm.nih.gov/research/umls/rxnorm": "RxNorm",
    "http://loinc.org": "LOINC",
    "http://www.orpha.net": "ORPHA",
    "http://human-phenotype-ontology.org": "HPO",
}
_INTERPRETER = "http://hl7.org/fhir/StructureDefinition/patient-interpreterRequired"


@dataclass(frozen=True, slots=True)
class Line:
    """A value with what it is: ``home phone`` · ``(555) 555-0117``."""

    label: str
    value: str


@dataclass(frozen=True, slots=True)
class Contact:
    """Somebody to speak with about a patient."""

    name: str
    role: str
    lines: tuple[Line, ...] = ()


def telecoms(resource: Resource) -> tuple[Line, ...]:
    points = [point for point in resource.get("telecom", []) if point.get("value")]
    return tuple(Line(_joined(point.get("use"), point.get("system")) or "contact", point["value"]) for point in points)


def _joined(*parts: object) -> str:
    return " ".join(str(part) for part in parts if part)


def addresses(resource: Resource) -> tuple[Line, ...]:
    listed = resource.get("address", [])
    return tuple(
        Line(address.get("use", "address"), written)
        for address in ([listed] if isinstance(listed, Mapping) else listed)
        if (written := _address(address))
    )


def _address(address: Resource) -> str:
    parts = [*address.get("line", []), address.get("city"), address.get("district"), address.get("state")]
    written = ", ".join(part for part in [*parts, address.get("postalCode"), address.get("country")] if part)
    return str(written or address.get("text", ""))


def identifiers(resource: Resource) -> tuple[Line, ...]:
    listed = [one for one in resource.get("identifier", []) if one.get("value")]
    return tuple(Line(_kind_of_identifier(one), one["value"]) for one in listed)


def _kind_of_identifier(identifier: Resource) -> str:
    system = identifier.get("system", "")
    return _SYSTEMS.get(system) or concept(identifier.get("type")) or system.rpartition("/")[2] or "identifier"


def concept(value: Resource | None) -> str:
    """A CodeableConcept in words: its text, else what its codings display, else their codes."""
    if not value:
        return ""
    if value.get("text"):
        return str(value["text"])
    codings = value.get("coding", [])
    shown = [coding["display"] for coding in codings if coding.get("display")]
    return str(next(iter(shown), "") or next((coding["code"] for coding in codings if coding.get("code")), ""))


def coding_words(coding: Resource) -> str:
    """``SNOMED CT 74333002 Cervical dystonia``; a code of a system without a common name stands with its address."""
    system = coding.get("system", "")
    return _joined(_CODE_SYSTEMS.get(system, system), coding.get("code"), coding.get("display"))


def system_name(system: str) -> str:
    return _CODE_SYSTEMS.get(system, "")


def languages(resource: Resource) -> str:
    """Languages with the preferred one named: what an interpreter is asked for."""
    spoken = resource.get("communication", [])
    words = [_joined(concept(one.get("language")), "(preferred)" if one.get("preferred") else "") for one in spoken]
    return ", ".join(word for word in words if word)


def needs_interpreter(resource: Resource) -> bool | None:
    """https://hl7.org/fhir/R4/extension-patient-interpreterrequired.html; None when nothing is said."""
    said = [one.get("valueBoolean") for one in resource.get("extension", []) if one.get("url") == _INTERPRETER]
    return said[0] if said else None


def contacts(patient: Resource, related: Iterable[Resource]) -> list[Contact]:
    """The patient's own contacts and the RelatedPersons sent for the patient: guardians, next of kin."""
    own = [_contact(one) for one in patient.get("contact", [])]
    return [*own, *(_contact(one) for one in related if one.get("active", True))]


def _contact(resource: Resource) -> Contact:
    role = ", ".join(filter(None, (concept(one) for one in resource.get("relationship", []))))
    tongue = languages(resource)
    spoken = (Line("speaks", tongue),) if tongue else ()
    lines = (*telecoms(resource), *addresses(resource), *spoken)
    return Contact(name_of(resource) or "name not given", role or "contact", lines)


@dataclass(frozen=True, slots=True)
class Known:
    """Resources that references of a page may lead to, by client and reference."""

    resources: Mapping[Key, Resource] = field(default_factory=dict)

    def name(self, client: str, reference: Resource | None, source: Resource | None = None) -> str:
        """Whom a Reference names: what it displays, else the resource it leads to, else its address; empty if none."""
        return referenced_name(reference, lambda one: self._target(client, one, source))

    def target(self, client: str, reference: Resource | None, source: Resource | None = None) -> Resource | None:
        return self._target(client, reference, source) if reference else None

    def _target(self, client: str, reference: Resource, source: Resource | None) -> Resource | None:
        address = str(reference.get("reference", ""))
        if address.startswith("#"):
            own = (source or {}).get("contained", [])
            return next((one for one in own if one.get("id") == address[1:]), None)
        return self.resources.get((client, address))


def references_of(resource: Resource, *elements: str) -> Iterator[str]:
    """Literal references that stand in elements of a resource."""
    for element in elements:
        value = resource.get(element, [])
        for reference in value if isinstance(value, list) else [value]:
            if isinstance(reference.get("reference"), str):
                yield reference["reference"]
