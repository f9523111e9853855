"""A resource cut down to what a search asks to see, marked as such."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from typing import Any

from fhir.resources.R4B import get_fhir_model_class

from referral_service.fhir.bundle import Resource
from referral_service.fhir.parse import dump, parse
from referral_service.fhir.search.query import Summary

SUBSETTED = {"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "code": "SUBSETTED"}
"""https://hl7.org/fhir/R4/search.html#summary"""

_IDENTITY = frozenset({"resourceType", "id", "meta"})
_MANDATORY = {
    "Task": frozenset({"status", "intent"}),
    "ServiceRequest": frozenset({"status", "intent", "subject"}),
    "Patient": frozenset[str](),
}
_MODIFIERS = {
    "Task": frozenset({"implicitRules", "modifierExtension"}),
    "ServiceRequest": frozenset({"implicitRules", "modifierExtension", "doNotPerform"}),
    "Patient": frozenset(
        {"implicitRules", "modifierExtension", "active", "deceasedBoolean", "deceasedDateTime", "link"}
    ),
}
"""What changes the meaning of the rest, and so is never left out (https://hl7.org/fhir/R4/search.html#elements)."""


def subset(text: str, summary: Summary, elements: AbstractSet[str]) -> str:
    """The stored text of a Task, ServiceRequest or Patient with only the elements asked for; else as it is."""
    if summary is Summary.FALSE and not elements:
        return text
    value: Any = parse(text.encode()).value
    resource: Resource = value
    kept = {name: item for name, item in resource.items() if _is_shown(resource, name, summary, elements)}
    meta = dict(kept.get("meta", {}))
    kept["meta"] = {**meta, "tag": [*meta.get("tag", []), SUBSETTED]}
    return dump(kept).decode()


def _is_shown(resource: Resource, name: str, summary: Summary, elements: AbstractSet[str]) -> bool:
    kind, element = resource["resourceType"], name.removeprefix("_")
    if element in _IDENTITY:
        return True
    if summary is Summary.DATA:
        return element != "text"
    if summary is Summary.TEXT:
        return element == "text" or element in _MANDATORY[kind]
    if summary is Summary.TRUE:
        return element in get_fhir_model_class(kind).summary_elements_sequence()
    return element in _MANDATORY[kind] | _MODIFIERS[kind] or _is_asked_for(element, elements)


def _is_asked_for(element: str, elements: AbstractSet[str]) -> bool:
    """Also when the element is one of a choice: ``deceased`` asks for ``deceasedBoolean``."""
    return any(element == name or (element.startswith(name) and element[len(name)].isupper()) for name in elements)
