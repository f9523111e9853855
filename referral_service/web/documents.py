"""Referral documents that came as Bundles of their own, inside of a message or another Bundle, as attachments.

They are not stored by themselves: each stands in the text received.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from referral_service.fhir.bundle import Entry, Envelope, Resource
from referral_service.fhir.parse import dump
from referral_service.fhir.reader import documents_of_subject, records_of_document
from referral_service.intake.reading import read
from referral_service.store import attached as stored
from referral_service.store.worklist import Reader, Row
from referral_service.web.present.plain import plain

_MARK = b"Composition"


def nested(connection: Reader, row: Row) -> Iterator[tuple[Resource, str]]:
    """Each document about the referral's patient as a record that holds it, and its words; then those held in it."""
    for received_id, body in stored.texts(connection, row["client"], row["referral_id"]):
        envelope = read(body).envelope if _MARK in body else None
        referral = _referral_in(envelope, row, received_id) if envelope is not None else None
        if envelope is not None and referral is not None:
            for document in documents_of_subject(envelope, referral):
                yield _held(document), _words(document)
                own = records_of_document(envelope, referral, document)
                yield from ((one, "") for one in _held_inside(document, own))


def _referral_in(envelope: Envelope, row: Row, received_id: str) -> Entry | None:
    """Of a version before, only a sole referral tells which one it is."""
    referrals = envelope.referrals()
    if received_id == row["received_id"]:
        return next((one for one in referrals if one.path == row["path"]), None)
    return referrals[0] if len(referrals) == 1 else None


def _held(document: Envelope) -> Resource:
    composition = document.entries[0].resource
    data = base64.b64encode(dump(document.payload)).decode()
    attachment = {"contentType": "application/fhir+json", "title": composition["title"], "data": data}
    return {
        "resourceType": "DocumentReference",
        "type": composition["type"],
        "date": composition["date"],
        "content": [{"attachment": attachment}],
    }


def _words(document: Envelope) -> str:
    return "\n".join(plain(words) for words in _narratives(document.entries[0].resource))


def _narratives(holder: Resource) -> Iterator[str]:
    if "div" in holder.get("text", {}):
        yield holder["text"]["div"]
    for section in holder.get("section", []):
        yield from _narratives(section)


def _held_inside(document: Envelope, own: Iterable[Entry]) -> Iterator[Resource]:
    """Those of the patient's own records that are files; a Binary that one of them points at is given with it."""
    for entry in own:
        if entry.type == "DocumentReference":
            contents = [_filled(document, entry, one.get("attachment", {})) for one in entry.resource["content"]]
            yield {**entry.resource, "content": [{"attachment": one} for one in contents]}
        elif entry.type == "DiagnosticReport":
            yield entry.resource


def _filled(document: Envelope, entry: Entry, attachment: Resource) -> Resource:
    binary = document.resolve({"reference": attachment.get("url")}, entry)
    if "data" in attachment or binary is None or binary.type != "Binary":
        return attachment
    found: Mapping[str, Any] = binary.resource
    return {**attachment, **{name: found[name] for name in ("data", "contentType") if name in found}}
