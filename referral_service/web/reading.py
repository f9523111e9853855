"""Reads: a resource, its history, one version; always the caller's own or what it may see."""

from __future__ import annotations

from typing import Any

import orjson
from flask import Blueprint, Response, request

from referral_service.fhir.writer import CANONICAL
from referral_service.intake.draft import SUPPORTING
from referral_service.issues import Fault, FaultKind, Issue, error
from referral_service.referral import Queue
from referral_service.store import binaries, lookups
from referral_service.store.sight import seen
from referral_service.web.auditing import audited_rows
from referral_service.web.http import FHIR_JSON, fhir_base, fhir_response, sight, site, version_headers

blueprint = Blueprint("reading", __name__, url_prefix="/fhir")
READABLE = (*sorted(SUPPORTING), "ServiceRequest", "Task")
GRANTABLE = frozenset({*READABLE, "Subscription"})
"""Types that a scope may name."""

_KIND = "<any({}):kind>".format(", ".join(READABLE))


@blueprint.get(f"/{_KIND}/<identity>")
def read(kind: str, identity: str) -> Response:
    """https://hl7.org/fhir/R4/http.html#read, by our id or by the sender's own; 304 when the ETag is still the same."""
    row = current(kind, identity)
    if request.if_none_match.contains_weak(str(row["version"])):
        response = Response(b"", 304, content_type=f"{FHIR_JSON}; charset=utf-8")
    else:
        response = fhir_response(_text(kind, row))
    version_headers(response, row["version"], row["last_updated"])
    return response


@blueprint.get(f"/{_KIND}/<identity>/_history")
def history(kind: str, identity: str) -> Response:
    """https://hl7.org/fhir/R4/http.html#history, newest first."""
    row = current(kind, identity)
    entries = [_history_entry(kind, row["id"], version) for version in (row, *_older(kind, row))]
    return fhir_response({"resourceType": "Bundle", "type": "history", "total": len(entries), "entry": entries})


@blueprint.get(f"/{_KIND}/<identity>/_history/<int:version>")
def version_read(kind: str, identity: str, version: int) -> Response:
    """https://hl7.org/fhir/R4/http.html#vread"""
    row = current(kind, identity)
    if is_masked(kind, row) and version < row["version"]:
        raise Fault(FaultKind.GONE, masked())
    found = next((one for one in (row, *_older(kind, row)) if one["version"] == version), None)
    if found is None:
        raise Fault(FaultKind.NOT_FOUND, error("not-found", "not-found", "There is no such version."))
    response = fhir_response(_text(kind, found))
    version_headers(response, found["version"], found["last_updated"])
    return response


@blueprint.get("/HealthcareService/<identity>")
def queue(identity: str) -> Response:
    """The queues as resources, for ``Task.owner`` to point at."""
    if identity not in set(Queue):
        raise Fault(FaultKind.NOT_FOUND, error("not-found", "not-found", "There is no such queue."))
    return fhir_response(healthcare_service(Queue(identity), site().policy.queues[Queue(identity)]))


def healthcare_service(queue: Queue, name: str) -> dict[str, Any]:
    coding = {"system": f"{CANONICAL}/CodeSystem/queue", "code": queue.value}
    return {
        "resourceType": "HealthcareService",
        "id": queue.value,
        "active": True,
        "type": [{"coding": [coding]}],
        "name": name,
    }


def current(kind: str, identity: str) -> Any:
    """The current row; a fault when there is none for this caller (404) or it was entered in error (410)."""
    with site().store.reading() as connection:
        row = seen(connection, sight(), kind, identity)
    if row is None:
        raise Fault(FaultKind.NOT_FOUND, error("not-found", "not-found", f"There is no such {kind}."))
    audited_rows(kind, [row])
    return row


def _text(kind: str, row: Any) -> str:
    """A version as it is served: a Binary with its data, wherever that lies."""
    if kind != "Binary":
        return str(row["content"])
    with site().store.reading() as connection:
        return binaries.whole(connection, row)


def is_masked(kind: str, row: Any) -> bool:
    return kind == "ServiceRequest" and row["status"] == "entered-in-error"


def masked() -> Issue:
    return error("deleted", "entered-in-error", "The referral was entered in error.")


def _older(kind: str, row: Any) -> list[Any]:
    """What newer versions replaced; nothing of what was masked."""
    if is_masked(kind, row):
        return []
    with site().store.reading() as connection:
        return list(lookups.versions(connection, row["client"], row["id"]))


def _history_entry(kind: str, identity: str, row: Any) -> dict[str, Any]:
    is_first = row["version"] == 1
    return {
        "fullUrl": f"{fhir_base()}/{kind}/{identity}",
        "resource": orjson.Fragment(_text(kind, row)),
        "request": {"method": "POST" if is_first else "PUT", "url": kind if is_first else f"{kind}/{identity}"},
        "response": {
            "status": "201" if is_first else "200",
            "etag": f'W/"{row["version"]}"',
            "lastModified": row["last_updated"],
        },
    }
