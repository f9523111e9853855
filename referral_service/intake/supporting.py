"""Patients, Conditions and the like: stored as sent, under our ids, upserted by the names their sender gives them."""

from __future__ import annotations

from typing import Any

from referral_service.fhir.bundle import Entry, Resource
from referral_service.fhir.canonical import content_hash
from referral_service.fhir.writer import Stamp
from referral_service.intake.draft import Draft, Replacement, identifier_tokens, patient_tokens
from referral_service.intake.site import Answer, Became, new_id, type_and_id
from referral_service.store import tables

StoredRows = dict[str, dict[str, Any]]
"""Current rows of supporting resources by our id."""


def existing_reference(draft: Draft, entry: Entry) -> str | None:
    """The stored resource that an entry speaks of: by its sender's names, or a contained Patient by identifier."""
    for name in entry.addresses():
        if name in draft.known.addresses:
            return draft.known.addresses[name]
    if entry.container is not None:
        for pair in identifier_tokens(entry.resource):
            if draft.known.patients.get(pair):
                return f"Patient/{draft.known.patients[pair][0]}"
    return None


def assign(draft: Draft, entry: Entry) -> None:
    """Gives an entry its id before any content is written, so that all references to it can be rewritten."""
    draft.assign(entry, existing_reference(draft, entry) or f"{entry.type}/{new_id()}")


def store(draft: Draft, entry: Entry, stored: StoredRows) -> Answer:
    """Creates or updates one supporting resource; the same content again changes nothing."""
    kind, identity = type_and_id(draft.assigned[id(entry.resource)])
    row = stored.get(identity)
    digest = content_hash(entry.resource)
    if row is not None and row["content_hash"] == digest:
        return Answer(
            Became.UNCHANGED,
            type=kind,
            id=identity,
            version=row["version"],
            last_updated=row["last_updated"],
            content=row["content"],
        )
    version = row["version"] + 1 if row is not None else 1
    _, text = draft.served_text(entry, Stamp(identity, version, draft.incoming.instant))
    values = {
        "last_updated": draft.incoming.instant,
        "content": text,
        "content_hash": digest,
        "birth_date": entry.resource.get("birthDate"),
    }
    if row is not None:
        draft.replacements.append(Replacement(tables.resource, identity, row["version"], kind, values))
    else:
        draft.add(tables.resource, id=identity, type=kind, version=1, **values)
    draft.add_tokens(kind, identity, tokens(entry.resource))
    became = Became.CREATED if row is None else Became.UPDATED
    return Answer(became, (), kind, identity, version, draft.incoming.instant, text)


def tokens(resource: Resource) -> dict[str, list[tuple[str, str]]]:
    if resource["resourceType"] == "Patient":
        return patient_tokens(resource)
    return {"identifier": identifier_tokens(resource)}
