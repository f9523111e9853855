"""Patients, Conditions and the like: stored as sent, under our ids, upserted by the names their sender gives them."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import Any

import orjson

from referral_service.fhir.bundle import Entry, Resource
from referral_service.fhir.canonical import content_hash
from referral_service.fhir.writer import Stamp
from referral_service.intake.draft import Draft, Replacement, identifier_tokens, patient_tokens
from referral_service.intake.site import Answer, Became, failed, new_id, type_and_id
from referral_service.intake.subject import identifier_pairs
from referral_service.issues import FaultKind, error
from referral_service.store import tables

StoredRows = dict[str, dict[str, Any]]
"""Current rows of supporting resources by our id."""


def existing_reference(draft: Draft, entry: Entry) -> str | None:
    """The stored resource that an entry speaks of: by its sender's names, or a contained Patient by identifier."""
    if entry.container is None:
        return draft.known.reference(entry.addresses())
    return next(
        (f"Patient/{ids[0]}" for pair in identifier_pairs(entry.resource) if (ids := draft.known.patients.get(pair))),
        None,
    )


def assign(draft: Draft, entry: Entry) -> None:
    """Gives an entry its id before any content is written, so that all references to it can be rewritten."""
    reference = existing_reference(draft, entry)
    if reference is None:
        reference = f"{entry.type}/{new_id()}"
        draft.made.add(reference)
    draft.assign(entry, reference)


def store(draft: Draft, entry: Entry, stored: StoredRows) -> Answer:
    """Creates or updates one supporting resource; the same content again changes nothing."""
    reference = draft.assigned[id(entry.resource)]
    if reference in draft.stored:
        words = "Another entry of this request is the same resource."
        return failed(FaultKind.INVALID, error("invalid", "bundle-rule", words, entry.path))
    draft.stored.add(reference)
    kind, identity = type_and_id(reference)
    row = stored.get(identity)
    at = draft.incoming.instant
    stamp = Stamp.following(row, at) if row is not None else Stamp(identity, 1, at)
    served, text = draft.served_text(entry, stamp)
    digest = content_hash(served)
    if row is not None and row["content_hash"] == digest:
        return as_it_stands(row, Became.UNCHANGED)
    values = {
        "last_updated": stamp.last_updated,
        "content": text,
        "content_hash": digest,
        "birth_date": entry.resource.get("birthDate"),
    }
    if row is not None:
        draft.replacements.append(Replacement(tables.resource, identity, row["version"], kind, values))
    else:
        draft.add(tables.resource, id=identity, type=kind, version=1, **values)
    content = draft.incoming.content
    if content is not None:
        digest_of_content, size = sha256(content.data).hexdigest(), len(content.data)
        held = {"size": size, "sha256": digest_of_content, "kind": content.kind, "content": content.data}
        draft.add(tables.binary_content, owner=identity, version=stamp.version, **held)
    draft.add_tokens(kind, identity, tokens(served) | draft.refers(served))
    became = Became.CREATED if row is None else Became.UPDATED
    return Answer(became, (), kind, identity, stamp.version, stamp.last_updated, text)


def as_it_stands(row: Mapping[str, Any], became: Became) -> Answer:
    return Answer(became, (), row["type"], row["id"], row["version"], row["last_updated"], row["content"])


def store_contained(draft: Draft, entry: Entry, stored: StoredRows) -> None:
    """A contained Patient beside its referral, for Tasks and searches to point at.

    One that says less than the Patient who is here already is a mention and replaces nothing.
    """
    reference = draft.assigned[id(entry.resource)]
    row = stored.get(type_and_id(reference)[1])
    if reference in draft.stored or (row is not None and not _says_as_much(entry.resource, row)):
        return
    store(draft, entry, stored)


def _says_as_much(resource: Resource, row: Mapping[str, Any]) -> bool:
    here: Resource = orjson.loads(row["content"])
    return here.keys() - resource.keys() <= {"meta", "text"}


def tokens(resource: Resource) -> dict[str, list[tuple[str, str]]]:
    """What a resource is found by, among it the stored Patient that it speaks of."""
    if resource["resourceType"] == "Patient":
        return patient_tokens(resource)
    about = resource.get("patient") or resource.get("subject") or {}
    kind, identity = type_and_id(about.get("reference", "") if isinstance(about, dict) else "")
    return {"identifier": identifier_tokens(resource), "_about": [("", identity)] if kind == "Patient" else []}
