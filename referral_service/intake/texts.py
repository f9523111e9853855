"""The words of documents whose files came apart from them: posted before, or fetched from the sender's EHR.

They are laid beside the request, and read with the document as if they had come in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import orjson

from referral_service.content_types import bare
from referral_service.fhir.attachments import addresses_of
from referral_service.fhir.bundle import Entry, Resource, literal
from referral_service.fhir.reader import own_documents
from referral_service.fhir.records import READABLE
from referral_service.intake.course import Course
from referral_service.intake.site import type_and_id
from referral_service.intake.subject import names_of
from referral_service.store import attached, binaries, files
from referral_service.store.files import Row

LONGEST = 1024 * 1024
"""Bytes of a text that is read."""


def read_texts(course: Course, entry: Entry, before: Iterable[Resource]) -> tuple[str, ...]:
    """Lays beside the request what can be read of files; the names of those that are not here yet.

    ``before`` are records of the same patient that the referral points at and that came earlier.
    """
    awaiting: list[str] = []
    for document, owner, is_stored in _documents(course, entry, before):
        for address, kind in addresses_of(document.resource).items():
            if bare(kind) not in ("", *READABLE) or course.envelope.resolve({"reference": address}, document):
                continue
            names = names_of(address, document, course.site.public_url)
            row = _fetched(course, owner, address) or _sent(course, names, only_ours=is_stored)
            binary = _text(course, row) if row is not None else None
            parts = literal(address)
            if binary is not None:
                course.envelope.files[id(document.resource), address] = binary
            elif row is None and parts is not None and parts.type == "Binary":
                awaiting += names
    return tuple(awaiting)


def _documents(course: Course, entry: Entry, before: Iterable[Resource]) -> Iterator[tuple[Entry, str, bool]]:
    """Each with the id of the record that it is stored as, or in; empty when that is not here yet."""
    for document in own_documents(course.envelope, entry):
        home = document.container or document
        reference = course.draft.assigned.get(id(home.resource)) or course.known.reference(home.addresses())
        yield document, type_and_id(reference or "")[1], False
    for record in before:
        if record["resourceType"] == "DocumentReference":
            yield Entry("", record), record["id"], True


def _fetched(course: Course, owner: str, address: str) -> Row | None:
    found = files.binary_of(course.connection, owner, address) if owner else None
    return attached.binary(course.connection, course.incoming.client, f"Binary/{found}") if found else None


def _sent(course: Course, names: list[str], *, only_ours: bool) -> Row | None:
    """What the sender has sent as a Binary. In a stored record such an address is ours, or was never found."""
    found = names[0] if only_ours else course.known.reference(names)
    row = attached.binary(course.connection, course.incoming.client, found) if found else None
    return None if row is None or found != f"Binary/{row['id']}" else row


def _text(course: Course, row: Row) -> Resource | None:
    """A Binary with its data; None when nothing of it can be read."""
    if bare(orjson.loads(row["content"]).get("contentType")) not in READABLE:
        return None
    apart = binaries.described(course.connection, row["id"], row["version"])
    if apart is not None and apart["size"] > LONGEST:
        return None
    return dict(orjson.loads(binaries.whole(course.connection, row)))
