"""The attachments of a referral: what came with it, what it points at, and what was sent about its patient later.

A file is only ever given out to be saved, in a sandbox, as none of what a browser would run.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any

import orjson
from flask import Blueprint, Response

from referral_service.fhir.records import decoded
from referral_service.issues import Fault, FaultKind, error
from referral_service.referral import Queue
from referral_service.store import attached as stored
from referral_service.store import worklist
from referral_service.store.worklist import Reader, Row
from referral_service.web.auditing import audited
from referral_service.web.documents import nested
from referral_service.web.frame import parsed
from referral_service.web.http import actor, site
from referral_service.web.present.people import concept
from referral_service.web.present.plain import plain
from referral_service.web.present.queue import MASKED

Resource = Mapping[str, Any]
blueprint = Blueprint("attachments", __name__)
LONGEST_SHOWN = 100_000
_SAFE_TYPE = re.compile(r"image/(png|jpeg|gif|tiff|bmp|webp)|application/(pdf|dicom|rtf|msword)|text/plain|video/mp4")
_ENDINGS = {
    "application/fhir+json": ".json",
    "application/pdf": ".pdf",
    "image/png": ".png",
    "image/jpeg": ".jpg",
    "text/plain": ".txt",
}


@dataclass(frozen=True, slots=True)
class File:
    """One attachment. ``key`` tells it by its content, else by where it stands. ``data`` is None when it is only named,
    at ``address`` if anywhere; ``text`` is what of it can be read."""

    key: str
    title: str
    kind: str
    media_type: str
    date: str
    data: bytes | None
    address: str
    text: str

    @property
    def size(self) -> int:
        return len(self.data or b"")


def files_of(connection: Reader, row: Row) -> list[File]:
    """Every attachment once, in the order of the documents that hold them; the same content goes by all its titles."""
    if row["referral_status"] == MASKED:
        return []
    request = orjson.loads(row["request"])
    named = [*request.get("supportingInfo", []), *request.get("reasonReference", [])]
    pointed_at = [str(one["reference"]) for one in named if "reference" in one]
    beside = stored.sent_along(connection, row["client"], row["referral_id"])
    later = stored.about_patient(connection, row["client"], row["patient_id"]) if row["patient_id"] else []
    wanted = [(row["client"], name) for name in dict.fromkeys((*pointed_at, *beside, *later))]
    found = parsed(worklist.records(connection, wanted))
    records = [found[key] for key in wanted if key in found]
    theirs = [one for one in records if _reference_to(one) in pointed_at or _is_of(one, row["patient_id"])]
    held = [*theirs, *request.get("contained", [])]
    held.sort(key=lambda one: one["resourceType"] == "Binary")  # a document that points at one names it better
    shown: dict[str, list[File]] = {}
    for place, (record, words) in enumerate([*((one, "") for one in held), *nested(connection, row)]):
        for position, file in enumerate(_files(connection, row["client"], record, request)):
            key = file.key or f"{place}-{position}"
            shown.setdefault(key, []).append(replace(file, key=key, text=file.text or words[:LONGEST_SHOWN]))
    return [replace(same[0], title=_titles(same)) for same in shown.values()]


def _titles(same: list[File]) -> str:
    return "; ".join(dict.fromkeys(file.title for file in same if file.title)) or "Document"


def _reference_to(record: Resource) -> str:
    return f"{record['resourceType']}/{record['id']}"


def _is_of(record: Resource, patient_id: str | None) -> bool:
    """What came in the same request may speak of somebody else, for whom it brought a referral too."""
    about = record.get("subject", {}).get("reference", "")
    return not (patient_id and about.startswith("Patient/") and about != f"Patient/{patient_id}")


def _files(connection: Reader, client: str, record: Resource, request: Resource) -> Iterator[File]:
    if record.get("status") == "entered-in-error":
        return
    named = concept(record.get("type")) or str(record.get("description", "")) or concept(record.get("code"))
    for attachment in _attachments(record):
        whole = {**attachment, **_content(connection, client, attachment, request)}
        yield _file(whole, str(attachment.get("title") or named), str(record.get("date", "")))


def _attachments(record: Resource) -> Iterable[Resource]:
    kind = record.get("resourceType")
    if kind == "Binary":
        return [record]
    if kind == "DiagnosticReport":
        return list(record.get("presentedForm", []))
    if kind == "Communication":
        return [one["contentAttachment"] for one in record.get("payload", []) if "contentAttachment" in one]
    return [one.get("attachment", {}) for one in record.get("content", [])] if kind == "DocumentReference" else []


def _content(connection: Reader, client: str, attachment: Resource, request: Resource) -> Resource:
    """What an attachment's address leads to, when it is a Binary that is here."""
    address = str(attachment.get("url", ""))
    if not address or "data" in attachment:
        return {}
    if address.startswith("#"):
        own = (one for one in request.get("contained", []) if f"#{one.get('id')}" == address)
        binary: Resource = next(own, {})
    else:
        text = stored.binary(connection, client, address)
        binary = orjson.loads(text) if text else {}
    return {name: binary[name] for name in ("data", "contentType") if name in binary}


def _file(attachment: Resource, title: str, date: str) -> File:
    data = base64.b64decode(attachment["data"]) if "data" in attachment else None
    media_type = str(attachment.get("contentType", "")).partition(";")[0].strip().lower()
    address = "" if data is not None else str(attachment.get("url", ""))
    key = sha256(data).hexdigest()[:16] if data else ""
    return File(key, title, media_type or "type not given", media_type, date[:10], data, address, _text(attachment))


def _text(attachment: Resource) -> str:
    words = decoded(dict(attachment)) or ""
    is_html = str(attachment.get("contentType", "")).lower().startswith("text/html")
    return (plain(words) if is_html else words)[:LONGEST_SHOWN]


@blueprint.get("/referrals/<identity>/files/<key>")
def download(identity: str, key: str) -> Response:
    """One attachment, byte for byte, to be saved."""
    with site().store.reading() as connection:
        row = worklist.one_referral(connection, identity)
        is_seen = row is not None and actor().sees(Queue(row["queue"]), row["client"])
        files = files_of(connection, row) if row is not None and is_seen else []
    file = next((one for one in files if one.key == key and one.data is not None), None)
    if file is None:
        raise Fault(FaultKind.NOT_FOUND, error("not-found", "not-found", "There is no such attachment."))
    audited([f"ServiceRequest/{identity}"], [row["patient_id"]] if row is not None else [])
    kind = file.media_type if _SAFE_TYPE.fullmatch(file.media_type) else "application/octet-stream"
    response = Response(file.data, content_type=kind)
    response.headers["Content-Security-Policy"] = "sandbox; default-src 'none'"
    response.headers.set("Content-Disposition", "attachment", filename=_file_name(file))
    return response


def _file_name(file: File) -> str:
    """Letters, digits and single dots of its title, so that it is one file of that kind wherever it is saved."""
    name = re.sub(r"[^\w\-]+", "_", file.title, flags=re.ASCII).strip("_")[:60] or "attachment"
    return name + _ENDINGS.get(file.media_type, "")
