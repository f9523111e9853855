"""Records that a referral points at and that came before it: read as its evidence, or waited for.

Only what the same client sent about the same patient is looked at.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from referral_service.fhir.bundle import Entry, Envelope, Resource, literal
from referral_service.fhir.parse import parse
from referral_service.fhir.records import EVIDENCE
from referral_service.intake.course import Course
from referral_service.intake.deciding import Records
from referral_service.intake.site import type_and_id
from referral_service.intake.subject import Subject, identifier_pairs, names_of
from referral_service.intake.texts import read_texts
from referral_service.store import lookups


def records_of(course: Course, entry: Entry, subject: Subject, patient: Resource | None) -> Records:
    """What ``reasonReference`` and ``supportingInfo`` lead to outside of the request, and the files of documents."""
    records = _pointed_at(course, entry, subject, patient)
    return replace(records, awaiting=(*records.awaiting, *read_texts(course, entry, records.found.values())))


def _pointed_at(course: Course, entry: Entry, subject: Subject, patient: Resource | None) -> Records:
    references: dict[str, str] = {}
    awaiting: list[str] = []
    for address in outside(course.envelope, entry):
        names = names_of(address, entry, course.site.public_url)
        reference = course.known.reference(names)
        if reference is None:
            awaiting += names
        else:
            references[address] = reference
    if not references:
        return Records({}, tuple(awaiting))
    theirs = _patients(course, entry, subject, patient)
    rows = lookups.stored_rows(course.connection, references.values())
    found: dict[str, Resource] = {}
    for address, reference in references.items():
        row = rows.get(type_and_id(reference)[1])
        if row is not None:
            record: Any = parse(row["content"].encode()).value
            if _subject_of(record) in theirs:
                found[address] = record
    return Records(found, tuple(awaiting))


def outside(envelope: Envelope, entry: Entry) -> Iterator[str]:
    """The references of a referral to records that did not come along."""
    for element in ("reasonReference", "supportingInfo"):
        for reference in entry.resource.get(element, []):
            parts = literal(reference.get("reference"))
            if parts is not None and parts.type in EVIDENCE and envelope.resolve(reference, entry) is None:
                yield reference["reference"]


def _patients(course: Course, entry: Entry, subject: Subject, patient: Resource | None) -> set[str]:
    """Every reference under which a stored record may speak of the referral's patient.

    A record that came before its patient still carries the sender's own name for it.
    """
    sent = entry.resource["subject"].get("reference", "#")
    names = [] if sent.startswith("#") else names_of(sent, entry, course.site.public_url)
    named = course.known.reference(subject.entry.addresses()) if subject.entry is not None else subject.stored
    alike = (one for pair in identifier_pairs(patient or {}) for one in course.known.patients.get(pair, []))
    return {*([named] if named else []), *(f"Patient/{one}" for one in alike), *names}


def _subject_of(record: Resource) -> str | None:
    theirs: Resource = record.get("subject") or record.get("patient") or {}
    return theirs.get("reference")
