"""Operations: what would be decided, what was decided, what was sent, what became of it, and what is wrong with it."""

from __future__ import annotations

from typing import Any

import orjson
from flask import Blueprint, Response, request

from referral_service.fhir import writer
from referral_service.intake import preview
from referral_service.intake.reading import validated
from referral_service.issues import Fault, FaultKind, error
from referral_service.store import audit, ledger, lookups
from referral_service.store.sight import sees_whole_request
from referral_service.web.auditing import audited
from referral_service.web.guard import forbidden
from referral_service.web.http import (
    BUNDLE_BYTES,
    RESOURCE_BYTES,
    body_of,
    client,
    fhir_response,
    incoming,
    sight,
    site,
    too_large,
)
from referral_service.web.reading import current, is_masked, masked
from referral_service.web.submitting import check_entries

blueprint = Blueprint("operations", __name__, url_prefix="/fhir")


@blueprint.post("/ServiceRequest/$preview")
def preview_decision() -> Response:
    """The decision on a ServiceRequest or Bundle, nothing stored; 200 also for what would be refused."""
    request_in = incoming("preview", BUNDLE_BYTES)
    check_entries(request_in.body)
    _check_size(request_in.body)
    return fhir_response(writer.decision_parameters(preview(site(), request_in), site().code_versions))


@blueprint.post("/<kind>/$validate")
def validate(kind: str) -> Response:
    """https://hl7.org/fhir/R4/resource-operation-validate.html: every fault and remark at once."""
    body = body_of(BUNDLE_BYTES)
    check_entries(body)
    return fhir_response(writer.outcome(validated(body, kind, request.args.getlist("profile"))))


@blueprint.get("/ServiceRequest/<identity>/$decision")
def decision(identity: str) -> Response:
    """The decision as stored."""
    return fhir_response(_unmasked(identity)["decision"])


@blueprint.get("/ServiceRequest/<identity>/$original")
def original(identity: str) -> Response:
    """The text received, byte for byte, whatever it was: a ServiceRequest or the Bundle that it came in."""
    row = _unmasked(identity)
    with site().store.reading() as connection:
        if not sees_whole_request(connection, sight(), row["received_id"]):
            raise forbidden("The text came with other referrals or patients, which are not yours to see.")
        text = lookups.received_text(connection, row["received_id"])
    return Response(text, content_type="application/fhir+json; charset=utf-8")


@blueprint.get("/ServiceRequest/$receipt")
def receipt() -> Response:
    """What became of what this client sent, by its request id or by a placer identifier."""
    request_id, identifier = request.args.get("request-id"), request.args.get("identifier")
    if (request_id is None) == (identifier is None):
        words = "Ask with request-id=… or with identifier=system|value."
        raise Fault(FaultKind.INVALID, error("required", "receipt-parameter", words))
    with site().store.reading() as connection:
        found = ledger.receipts(connection, client(), request_id=request_id, placer=identifier)
    if not found:
        raise Fault(FaultKind.NOT_FOUND, error("not-found", "not-found", "Nothing was received under that name."))
    referrals = [one["referral_id"] for one in found if one["referral_id"]]
    with site().store.reading() as connection:
        audited([f"ServiceRequest/{one}" for one in referrals], sorted(audit.patients_of(connection, referrals)))
    return fhir_response({"resourceType": "Parameters", "parameter": [_receipt(one) for one in found]})


def _receipt(row: Any) -> dict[str, Any]:
    parts: list[dict[str, Any]] = [
        {"name": "request-id", "valueString": row["request_id"]},
        {"name": "received", "valueInstant": row["at"]},
        {"name": "result", "valueCode": row["result"]},
    ]
    if row["state"]:
        parts.append({"name": "disposition", "valueCode": row["state"]})
    for name, kind, key in (("referral", "ServiceRequest", "referral_id"), ("task", "Task", "task_id")):
        if row[key]:
            parts.append({"name": name, "valueReference": {"reference": f"{kind}/{row[key]}"}})
    if row["outcome"]:
        parts.append({"name": "outcome", "resource": orjson.Fragment(row["outcome"])})
    return {"name": "receipt", "part": parts}


def _unmasked(identity: str) -> Any:
    row = current("ServiceRequest", identity)
    if is_masked("ServiceRequest", row):
        raise Fault(FaultKind.GONE, masked())
    return row


def _check_size(body: bytes) -> None:
    """A bare resource has the limit of a resource at every door."""
    if len(body) <= RESOURCE_BYTES:
        return
    try:
        kind = orjson.loads(body.removeprefix(b"\xef\xbb\xbf")).get("resourceType")
    except (orjson.JSONDecodeError, AttributeError):
        kind = None
    if kind != "Bundle":
        raise Fault(FaultKind.TOO_LARGE, too_large(RESOURCE_BYTES))
