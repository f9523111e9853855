"""What a coordinator would wish to find in a referral and R4 does not ask for: named, weighed, never refused.

Each wish is an element that a profile of the package marks ``mustSupport``
(https://hl7.org/fhir/R4/profiling.html#mustsupport): this service reads it wherever it is given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from referral_service.fhir.conformance.invariants import has, has_choice
from referral_service.fhir.conformance.scope import Object
from referral_service.fhir.reader import placer_identifier
from referral_service.issues import Issue, warning

Given = Callable[[Object, Sequence[Object], str | None], bool]

MEDICINES = frozenset(
    {"MedicationStatement", "MedicationRequest", "MedicationAdministration", "MedicationDispense"},
)


@dataclass(frozen=True, slots=True)
class Wish:
    """``elements`` are those of the profiles that carry it; ``expression`` is where its absence is told."""

    rule: str
    words: str
    expression: str
    elements: tuple[str, ...]
    given: Given


def of_type(beside: Iterable[Object], *types: str) -> list[Object]:
    return [each for each in beside if each.get("resourceType") in types]


def has_onset(_: Object, beside: Sequence[Object], __: str | None) -> bool:
    return any(has_choice(each, "onset") for each in of_type(beside, "Condition"))


def has_medicines(_: Object, beside: Sequence[Object], __: str | None) -> bool:
    return any(each.get("resourceType") in MEDICINES for each in beside)


def has_family_history(_: Object, beside: Sequence[Object], __: str | None) -> bool:
    return bool(of_type(beside, "FamilyMemberHistory"))


def has_contact(_: Object, beside: Sequence[Object], __: str | None) -> bool:
    """Of the patient, or of who answers for the patient."""
    return any(
        has(each, "telecom") or contact_has_telecom(each) for each in of_type(beside, "Patient", "RelatedPerson")
    )


def contact_has_telecom(patient: Object) -> bool:
    contacts: Any = patient.get("contact", [])
    return any(has(each, "telecom") for each in contacts)


WISHES = (
    Wish(
        "missing-reason",
        "No reason is given.",
        "ServiceRequest.reasonCode",
        ("ServiceRequest.reasonCode", "ServiceRequest.reasonReference"),
        lambda referral, *_: has(referral, "reasonCode", "reasonReference"),
    ),
    Wish(
        "missing-requester",
        "No requester is named.",
        "ServiceRequest.requester",
        ("ServiceRequest.requester",),
        lambda referral, *_: has(referral, "requester"),
    ),
    Wish(
        "missing-placer-identifier",
        "No placer identifier is given; a repeated referral cannot be recognised by it.",
        "ServiceRequest.identifier",
        ("ServiceRequest.identifier", "ServiceRequest.identifier:placer"),
        lambda referral, _, placer_system: placer_identifier(referral, placer_system) is not None,
    ),
    Wish(
        "missing-onset",
        "No Condition tells since when there are symptoms.",
        "ServiceRequest.reasonReference",
        ("ServiceRequest.reasonReference", "Condition.onset[x]"),
        has_onset,
    ),
    Wish(
        "missing-medicines",
        "No medicines are listed; some cause dystonia.",
        "ServiceRequest.supportingInfo",
        ("ServiceRequest.supportingInfo",),
        has_medicines,
    ),
    Wish(
        "missing-family-history",
        "No family history is given.",
        "ServiceRequest.supportingInfo",
        ("ServiceRequest.supportingInfo",),
        has_family_history,
    ),
    Wish(
        "missing-contact",
        "Nothing tells how the patient, or who answers for the patient, can be reached.",
        "ServiceRequest.subject",
        ("Patient.telecom", "Patient.contact.telecom"),
        has_contact,
    ),
)


def completeness(
    referral: Object, beside: Iterable[Object] = (), placer_system: str | None = None
) -> tuple[float, list[Issue]]:
    """The share of wishes that are met, 0 to 1, and a warning for each that is not.

    ``referral`` is a checked ServiceRequest; ``beside`` the checked resources about the same patient that came with
    it or came before, the Patient among them. What it contains is looked at anyway. ``placer_system`` is the one of the
    sender's placer identifiers that carry no type.
    """
    known = [*referral.get("contained", []), *beside]
    unmet = [wish for wish in WISHES if not wish.given(referral, known, placer_system)]
    issues = [warning("incomplete", wish.rule, wish.words, wish.expression) for wish in unmet]
    return round(1 - len(unmet) / len(WISHES), 2), issues
