"""What EHRs send: a ServiceRequest, a Bundle, supporting data, and changes to either."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson
from flask import Blueprint, Response, request

from referral_service.intake import Answer, Received, receive, receive_supporting
from referral_service.intake.changes import if_match_missing
from referral_service.intake.conditions import version_of
from referral_service.intake.draft import AUTHORED_ONLY, SUPPORTING
from referral_service.issues import Fault, FaultKind, Issue, error
from referral_service.store import lookups
from referral_service.store.sight import seen
from referral_service.web.guard import forbidden
from referral_service.web.http import (
    BUNDLE_BYTES,
    BUNDLE_ENTRIES,
    RESOURCE_BYTES,
    answer_response,
    client,
    entry_response,
    fault_response,
    fhir_response,
    incoming,
    may_be_shown,
    prefers,
    sight,
    site,
)

blueprint = Blueprint("submitting", __name__, url_prefix="/fhir")


@blueprint.post("/ServiceRequest")
def create() -> Response:
    """https://hl7.org/fhir/R4/http.html#create"""
    return _sole(receive(site(), incoming("create", RESOURCE_BYTES), "ServiceRequest"))


@blueprint.post("", strict_slashes=False)
@blueprint.post("/")
def bundle() -> Response:
    """https://hl7.org/fhir/R4/http.html#transaction; a collection or document is answered like a batch."""
    request_in = incoming("bundle", BUNDLE_BYTES)
    check_entries(request_in.body)
    received = receive(site(), request_in, "Bundle")
    if received.failed is not None:
        assert received.failed.fault is not None
        return fault_response(received.failed.fault, received.failed.issues)
    kind = "transaction-response" if received.bundle_type == "transaction" else "batch-response"
    notice = [issue for answer in received.answers for issue in answer.issues if issue.rule == "red-flag"][:1]
    entries = [_entry(answer, notice) for answer in received.answers]
    return fhir_response({"resourceType": "Bundle", "type": kind, "entry": entries})


def _entry(answer: Answer, notice: list[Issue]) -> dict[str, Any]:
    entry: dict[str, Any] = {"response": entry_response(answer, notice)}
    if prefers("return") == "representation" and answer.content and may_be_shown(answer):
        entry["resource"] = orjson.Fragment(answer.content)
    return entry


def check_entries(body: bytes) -> None:
    """The limit on entries is one of size (413); a body that cannot be counted is judged by intake."""
    if body.count(b"{") <= BUNDLE_ENTRIES:
        return
    try:
        entries = orjson.loads(body.removeprefix(b"\xef\xbb\xbf")).get("entry", [])
    except (orjson.JSONDecodeError, AttributeError):
        return
    if isinstance(entries, list) and len(entries) > BUNDLE_ENTRIES:
        words = f"A Bundle may have {BUNDLE_ENTRIES} entries."
        raise Fault(FaultKind.TOO_LARGE, error("too-long", "too-many-entries", words, "Bundle.entry"))


@blueprint.put("/ServiceRequest/<identity>")
def update(identity: str) -> Response:
    """The sender corrects, adds or revokes, at the version that If-Match names; an id not known yet is made."""
    request_in = replace(incoming("update", RESOURCE_BYTES), put_to=f"ServiceRequest/{identity}")
    row = _current("ServiceRequest", identity)
    if row is None and _is_of_another("ServiceRequest", identity):
        raise forbidden("A referral is changed by its sender; move its Task instead.")
    if row is not None:
        version = _wanted_version()
        if row["version"] != version:
            return fault_response(FaultKind.PRECONDITION, [_stale(row["version"])])
        request_in = replace(request_in, is_update=True)
    return _sole(receive(site(), request_in, "ServiceRequest"))


@blueprint.post("/<any({}):kind>".format(", ".join(sorted(SUPPORTING))))
def create_supporting(kind: str) -> Response:
    return _sole(receive_supporting(site(), incoming("supporting", RESOURCE_BYTES), kind))


@blueprint.put("/<any({}):kind>/<identity>".format(", ".join(sorted(SUPPORTING))))
def put_supporting(kind: str, identity: str) -> Response:
    """Upsert by the sender's own id, which goes on working for that sender beside ours."""
    request_in = replace(incoming("supporting", RESOURCE_BYTES), put_to=f"{kind}/{identity}")
    if _current(kind, identity) is None and _is_of_another(kind, identity):
        raise forbidden("A record is changed by its sender.")
    return _sole(receive_supporting(site(), request_in, kind))


@blueprint.post("/<any({}):kind>".format(", ".join(sorted(AUTHORED_ONLY - {"Subscription"}))))
def not_created(kind: str) -> Response:
    words = f"A {kind} is written by this service itself."
    response = fault_response(FaultKind.METHOD, [error("not-supported", "method-not-allowed", words)])
    response.headers["Allow"] = "GET"
    return response


def _sole(received: Received) -> Response:
    return answer_response(received.failed or received.answers[0])


def _current(kind: str, identity: str) -> Any:
    with site().store.reading() as connection:
        ours = lookups.our_id(connection, client(), kind, identity)
        return lookups.current(connection, client(), kind, ours) if ours else None


def _is_of_another(kind: str, identity: str) -> bool:
    """Whether it is a record in sight that somebody else has sent. To others the address is free, and stays so."""
    with site().store.reading() as connection:
        row = seen(connection, sight(), kind, identity) if sight().queues else None
        return row is not None and row["client"] != client()


def _wanted_version() -> int:
    header = request.headers.get("If-Match")
    version = version_of(header) if header else None
    if version is None:
        raise Fault(FaultKind.INVALID, if_match_missing())
    return version


def _stale(version: int) -> Any:
    words = f"The resource is at version {version}; read it again before changing it."
    return error("conflict", "stale-version", words)
