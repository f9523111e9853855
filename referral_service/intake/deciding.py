"""One referral of a request, decided before anything is written."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

from referral_service.decide import decide
from referral_service.fhir.bundle import Entry, Envelope, Resource
from referral_service.fhir.canonical import canonical_hash
from referral_service.fhir.conformance.completeness import completeness
from referral_service.fhir.parse import parse
from referral_service.fhir.reader import placer_identifier, read_patient, read_referral, records_of_subject
from referral_service.intake.site import Site
from referral_service.intake.subject import Subject, identifier_pairs
from referral_service.issues import Issue
from referral_service.referral import Decision, DecisionInput, PatientFacts
from referral_service.store.lookups import Known


@dataclass(frozen=True, slots=True)
class Records:
    """What a referral points at outside of its request: ``found`` by the address that the referral uses.

    ``awaiting`` are the names of those that are not here yet.
    """

    found: Mapping[str, Resource] = field(default_factory=dict)
    awaiting: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Decided:
    """A referral with the decision made on it, before anything is written.

    Where humans have corrected it (``corrections``, the newest of each kind), ``decision`` is theirs and ``machine``
    what the machine alone decided.
    """

    entry: Entry
    subject: Subject
    given: DecisionInput
    decision: Decision
    content_hash: str
    placer: str | None
    awaiting: tuple[str, ...]
    """Names of the Patient and the records that are not here yet."""
    machine: Decision | None = None
    corrections: tuple[Mapping[str, Any], ...] = ()


def decide_entry(
    site: Site,
    envelope: Envelope,
    entry: Entry,
    subject: Subject,
    patient: Resource | None,
    records: Records,
    received_on: date,
    *,
    open_elsewhere: bool,
    already_taken: bool = False,
    taken_in: bool = False,
    birth_date: str | None = None,
    placer_system: str | None = None,
) -> Decided:
    """Pure: the same referral, patient and day give the same decision at every door.

    ``birth_date`` is what a human has made sure of, whatever the sender's Patient says; ``placer_system`` the system of
    the sender's placer identifiers that carry no type.
    """
    beside = [*records_of_subject(envelope, entry), *records.found.values()]
    known = [*beside, *([patient] if patient is not None else [])]
    score, wishes = completeness(entry.resource, known, placer_system)
    given = DecisionInput(
        referral=replace(read_referral(envelope, entry, records.found), completeness=score, wishes=tuple(wishes)),
        patient=_patient_facts(patient, birth_date),
        received_on=received_on,
        open_elsewhere=open_elsewhere,
        already_taken=already_taken,
        taken_in=taken_in,
    )
    return Decided(
        entry=entry,
        subject=subject,
        given=given,
        decision=decide(given, site.vocabulary, site.policy),
        content_hash=canonical_hash(envelope, entry),
        placer=placer_identifier(entry.resource, placer_system),
        awaiting=(*subject.awaiting, *records.awaiting),
    )


def _patient_facts(patient: Resource | None, birth_date: str | None) -> PatientFacts | None:
    facts = read_patient(patient) if patient is not None else None
    if birth_date is None:
        return facts
    return replace(facts or PatientFacts(None, deceased=False), birth_date=birth_date)


def located(issues: Iterable[Issue], entry: Entry) -> tuple[Issue, ...]:
    """What a decision says of a ServiceRequest, said of the entry that it came in."""
    if entry.path == "ServiceRequest":
        return tuple(issues)
    return tuple(
        replace(issue, expression=entry.path + issue.expression.removeprefix("ServiceRequest"))
        if issue.expression.startswith("ServiceRequest")
        else issue
        for issue in issues
    )


def patient_of(subject: Subject, stored_patients: dict[str, str]) -> Resource | None:
    """The Patient resource itself, from the request or from the store."""
    if subject.entry is not None:
        return subject.entry.resource
    if subject.stored is None or subject.stored.partition("/")[2] not in stored_patients:
        return None
    value: Any = parse(stored_patients[subject.stored.partition("/")[2]].encode()).value
    return dict(value)


def has_open_referral(subject: Subject, patient: Resource | None, known: Known) -> bool:
    """Whether this client has an open referral already for a patient with one of these identifiers."""
    return bool(open_for(subject, patient, known))


def open_for(subject: Subject, patient: Resource | None, known: Known) -> set[str]:
    """The ids of that patient's records that have one."""
    if patient is None:
        return set()
    ids = {one for pair in identifier_pairs(patient) for one in known.patients.get(pair, [])}
    if subject.stored:
        ids.add(subject.stored.partition("/")[2])
    return ids & known.with_open_referral
