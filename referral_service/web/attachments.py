"""The attachments of a referral: what came with it, what it points at, and what was sent about its patient later.

A file is given out to be saved, in a sandbox, as none of what a browser would run; and to be looked at when its bytes
are those of a PDF, a picture or a film, as it is said to be.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any

import orjson
from flask import Blueprint, Response, request

from referral_service.content_types import SHOWN, bare, media_type
from referral_service.fhir.attachments import attachments_of
from referral_service.fhir.records import decoded
from referral_service.issues import Fault, FaultKind, error
from referral_service.referral import Queue
from referral_service.store import attached as stored
from referral_service.store import binaries, worklist
from referral_service.store import files as at_ehr
from referral_service.store.worklist import Reader, Row
from referral_service.web.auditing import audited
from referral_service.web.binaries import SANDBOX
from referral_service.web.documents import nested
from referral_service.web.frame import parsed
from referral_service.web.http import actor, site
from referral_service.web.present.people import concept
from referral_service.web.present.plain import plain
from referral_service.web.present.queue import MASKED

Resource = Mapping[str, Any]
blueprint = Blueprint("attachments", __name__)
LONGEST_SHOWN = 100_000
LONGEST_READ = 1024 * 1024
READABLE_AS_TEXT = frozenset({"text/plain", "text/html"})
_SAFE_TYPE = re.compile(r"image/(png|jpeg|gif|tiff|bmp|webp)|application/(pdf|dicom|rtf|msword)|text/plain|video/mp4")
_ENDINGS = {
    "application/fhir+json": ".json",
    "application/pdf": ".pdf",
    "image/gif": ".gif",
    "image/jpeg": ".jpg",
    "image/png": ".png",
    "text/plain": ".txt",
    "video/mp4": ".mp4",
}


@dataclass(frozen=True, slots=True)
class File:
    """One attachment. ``key`` tells it by its content, else by where it stands. Its bytes are ``data``, or lie apart as
    those of a Binary (``held``: its id and version); with neither it is only named, at ``address`` if anywhere.
    ``shows`` is the media type that the bytes show; ``text`` what of it can be read; ``fetch`` the row of a file that
    is fetched from its sender's EHR."""

    key: str
    title: str
    kind: str
    media_type: str
    date: str
    data: bytes | None
    held: tuple[str, int] | None
    size: int
    shows: str
    address: str
    text: str
    fetch: Row | None = None

    @property
    def is_here(self) -> bool:
        return self.data is not None or self.held is not None

    @property
    def is_awaited(self) -> bool:
        return self.fetch is not None and not self.is_here

    @property
    def can_be_shown(self) -> bool:
        """Whether a browser may show it: its bytes are what it is said to be, and nothing that runs in our name."""
        return self.is_here and self.media_type in SHOWN and self.shows == self.media_type

    @property
    def is_something_else(self) -> bool:
        return self.is_here and self.media_type in SHOWN and self.shows != self.media_type


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
    fetches = at_ehr.of_owners(connection, [row["referral_id"], *(one["id"] for one in theirs)])
    own = ((one, row["referral_id"]) for one in request.get("contained", []))
    held = [*((one, one["id"]) for one in theirs), *own]
    held.sort(key=lambda one: one[0]["resourceType"] == "Binary")  # a document that points at one names it better
    shown: dict[str, list[File]] = {}
    inside = ((one, "", words) for one, words in nested(connection, row))
    for place, (record, owner, words) in enumerate([*((one, owner, "") for one, owner in held), *inside]):
        fetched = {address: one for (holder, address), one in fetches.items() if holder == owner}
        for position, file in enumerate(_files(connection, row["client"], record, request, fetched)):
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


def _files(
    connection: Reader, client: str, record: Resource, request: Resource, fetches: Mapping[str, Row]
) -> Iterator[File]:
    if record.get("status") == "entered-in-error":
        return
    named = concept(record.get("type")) or str(record.get("description", "")) or concept(record.get("code"))
    for attachment in attachments_of(dict(record)):
        fetch = fetches.get(attachment.get("url", ""))
        is_one = record["resourceType"] == "Binary"
        binary = record if is_one else _binary(connection, client, attachment, request, fetch)
        whole = {**attachment, **{name: binary[name] for name in ("data", "contentType") if name in binary}}
        title, date = str(attachment.get("title") or named), str(record.get("date", ""))
        held = _described(connection, binary)
        file = _here(whole, title, date) if held is None else _apart(connection, binary, held, whole, title, date)
        yield replace(file, fetch=fetch)


def _binary(connection: Reader, client: str, attachment: Resource, request: Resource, fetch: Row | None) -> Resource:
    """The Binary that an attachment's address leads to; empty when it leads to none that is here."""
    address = str(attachment.get("url", ""))
    if not address or "data" in attachment:
        return {}
    if address.startswith("#"):
        own = (one for one in request.get("contained", []) if f"#{one.get('id')}" == address)
        return next((one for one in own if one["resourceType"] == "Binary"), {})
    fetched = f"Binary/{fetch['binary_id']}" if fetch is not None and fetch["binary_id"] else None
    row = stored.binary(connection, client, fetched or address)
    return dict(orjson.loads(row["content"])) if row is not None else {}


def _described(connection: Reader, binary: Resource) -> Row | None:
    """What is known of the bytes of a Binary that lie apart from it."""
    if not binary or "data" in binary or "versionId" not in binary.get("meta", {}):
        return None
    return binaries.described(connection, binary["id"], int(binary["meta"]["versionId"]))


def _here(attachment: Resource, title: str, date: str) -> File:
    """What holds its data in itself, or is only named."""
    data = base64.b64decode(attachment["data"]) if "data" in attachment else None
    kind = bare(attachment.get("contentType"))
    address = "" if data is not None else str(attachment.get("url", ""))
    key = sha256(data).hexdigest()[:16] if data else ""
    shows = media_type(data) if data is not None else ""
    shown = (kind or "type not given", kind, date[:10], data, None, len(data or b""), shows, address)
    return File(key, title, *shown, _text(attachment))


def _apart(connection: Reader, binary: Resource, held: Row, attachment: Resource, title: str, date: str) -> File:
    """What was posted as a Binary by itself; its bytes are read here only when they are words to be shown."""
    place, kind, text = (str(binary["id"]), int(binary["meta"]["versionId"])), bare(attachment.get("contentType")), ""
    if kind in READABLE_AS_TEXT and held["size"] <= LONGEST_READ:
        data = base64.b64encode(binaries.content(connection, *place) or b"").decode()
        text = _text({**attachment, "data": data})
    shown = (kind or "type not given", kind, date[:10], None, place, held["size"], held["kind"], "")
    return File(held["sha256"][:16], title, *shown, text)


def _text(attachment: Resource) -> str:
    words = decoded(dict(attachment)) or ""
    is_html = str(attachment.get("contentType", "")).lower().startswith("text/html")
    return (plain(words) if is_html else words)[:LONGEST_SHOWN]


@blueprint.get("/referrals/<identity>/files/<key>")
def download(identity: str, key: str) -> Response:
    """One attachment, byte for byte, to be saved."""
    file, data = _found(identity, key)
    kind = file.media_type if _SAFE_TYPE.fullmatch(file.media_type) else "application/octet-stream"
    response = Response(data, content_type=kind)
    response.headers["Content-Security-Policy"] = SANDBOX
    response.headers.set("Content-Disposition", "attachment", filename=_file_name(file))
    return response


@blueprint.get("/referrals/<identity>/files/<key>/shown")
def show(identity: str, key: str) -> Response:
    """One attachment to be looked at: a PDF, a picture or a film, by what its bytes are, and nothing else."""
    file, data = _found(identity, key)
    if not file.can_be_shown:
        raise Fault(FaultKind.NOT_FOUND, error("not-found", "not-found", "This attachment can only be saved."))
    response = Response(data, content_type=file.shows)
    # Browsers show no PDF in a sandbox; they run it apart from this site anyway.
    sandbox = "default-src 'none'; frame-ancestors 'none'" if file.shows == "application/pdf" else SANDBOX
    response.headers["Content-Security-Policy"] = sandbox
    response.headers.set("Content-Disposition", "inline", filename=_file_name(file))
    response.accept_ranges = "bytes"
    response.make_conditional(request, accept_ranges=_asks_for_a_part(len(data)), complete_length=len(data))
    return response


def _asks_for_a_part(size: int) -> bool:
    """Players ask for parts of a film. What is no range of bytes, several, or the end of more than there is, gets the
    whole (https://www.rfc-editor.org/rfc/rfc9110#section-14.2)."""
    wanted = request.range
    return wanted is not None and wanted.units == "bytes" and len(wanted.ranges) == 1 and wanted.ranges[0][0] >= -size


def _found(identity: str, key: str) -> tuple[File, bytes]:
    """An attachment that is here, with its bytes, of a referral that is seen; 404 for any other."""
    with site().store.reading() as connection:
        row = worklist.one_referral(connection, identity)
        is_seen = row is not None and actor().sees(Queue(row["queue"]), row["client"])
        files = files_of(connection, row) if row is not None and is_seen else []
        file = next((one for one in files if one.key == key and one.is_here), None)
        data = file.data if file is not None else None
        if file is not None and file.held is not None:
            data = binaries.content(connection, *file.held)
    if row is None or file is None or data is None:
        raise Fault(FaultKind.NOT_FOUND, error("not-found", "not-found", "There is no such attachment."))
    audited([f"ServiceRequest/{identity}"], [row["patient_id"]])
    return file, data


def _file_name(file: File) -> str:
    """Letters, digits and single dots of its title, so that it is one file of that kind wherever it is saved."""
    name = re.sub(r"[^\w\-]+", "_", file.title, flags=re.ASCII).strip("_")[:60] or "attachment"
    return name + _ENDINGS.get(file.media_type, "")
