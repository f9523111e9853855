"""A call of the hook order-sign -> the orders as the service would receive them.

https://cds-hooks.hl7.org/2.0/#http-request_1 and https://cds-hooks.org/hooks/order-sign/2020May/order-sign/
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from referral_service.fhir.bundle import Resource, literal
from referral_service.fhir.parse import dump, parse
from referral_service.intake.reading import references
from referral_service.issues import Fault, FaultKind, Issue, error, errors_of

HOOK = "order-sign"
PREFETCH = {
    "patient": "Patient/{{context.patientId}}",
    "conditions": "Condition?patient={{context.patientId}}",
}


@dataclass(frozen=True, slots=True)
class Asked:
    """``body`` is a Bundle of the drafts, in order and as active orders, with the patient and what they point at.

    ``drafts`` are the ServiceRequests as the EHR holds them.
    """

    body: bytes
    drafts: tuple[Resource, ...]


def read(body: bytes) -> Asked:
    """Raises 400 for what is no call of this hook, 412 when the patient was not sent along."""
    call = read_object(body)
    faults = list(_faults(call))
    if faults:
        raise Fault(FaultKind.INVALID, *faults)
    context, prefetch = call["context"], call.get("prefetch") or {}
    patient: Any = prefetch.get("patient")
    if _type_of(patient) != "Patient":
        words = "The patient could not be read: the service works with prefetch.patient and fetches nothing itself."
        raise Fault(FaultKind.PRECONDITION, error("required", "prefetch-missing", words, "prefetch.patient"))
    if patient.get("id") != context["patientId"].removeprefix("Patient/"):
        words = "The Patient in prefetch is not the one that the context names."
        raise Fault(FaultKind.INVALID, error("value", "hook-request", words, "prefetch.patient.id"))
    sent = list(_entries(context["draftOrders"]))
    drafts = [entry for entry in sent if _type_of(entry["resource"]) == "ServiceRequest"]
    others = [entry for entry in sent if entry not in drafts] + list(_entries(prefetch.get("conditions")))
    named = {name for draft in drafts for name in _pointed_at(draft["resource"])}
    beside = [entry for entry in others if named & _names(entry)]
    entries = [*map(_as_active, drafts), {"resource": patient, **_address(call, patient)}, *beside]
    bundle: Any = {"resourceType": "Bundle", "type": "collection", "entry": entries}
    return Asked(
        dump(bundle),
        tuple(draft["resource"] for draft in drafts),
    )


def read_object(body: bytes) -> dict[str, Any]:
    """Raises 400 for what is no JSON object."""
    parsed = parse(body)
    if errors_of(parsed.issues) or not isinstance(parsed.value, dict):
        not_object = error("structure", "not-object", "The text is JSON but no JSON object.")
        raise Fault(FaultKind.INVALID, *(errors_of(parsed.issues) or [not_object]))
    return parsed.value


def _faults(call: dict[str, Any]) -> Iterator[Issue]:
    context, prefetch = call.get("context"), call.get("prefetch")
    if call.get("hook") != HOOK:
        yield _fault("value", f"This service is called by the hook {HOOK}.", "hook")
    if not _is_text(call.get("hookInstance")):
        yield _fault("required", "The name of the call is missing.", "hookInstance")
    if prefetch is not None and not isinstance(prefetch, dict):
        yield _fault("structure", "What was fetched before is an object.", "prefetch")
    if not isinstance(context, dict):
        yield _fault("required", "The context is missing.", "context")
        return
    for name in ("userId", "patientId"):
        if not _is_text(context.get(name)):
            yield _fault("required", "It is a text that is not empty.", f"context.{name}")
    if _type_of(context.get("draftOrders")) != "Bundle":
        yield _fault("required", "The orders are a Bundle.", "context.draftOrders")


def _fault(code: str, words: str, expression: str) -> Issue:
    return error(code, "hook-request", words, expression)


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _type_of(resource: object) -> str | None:
    kind = resource.get("resourceType") if isinstance(resource, dict) else None
    return kind if isinstance(kind, str) else None


def _entries(bundle: object) -> Iterator[Resource]:
    """What of a Bundle's entries holds a resource, with the address when it has one."""
    listed = bundle.get("entry") if isinstance(bundle, dict) else None
    for entry in listed if isinstance(listed, list) else []:
        if isinstance(entry, dict) and _type_of(entry.get("resource")) is not None:
            yield {name: entry[name] for name in ("fullUrl", "resource") if name in entry}


def _as_active(entry: Resource) -> Resource:
    """An order that is being signed is active as soon as it is."""
    draft = entry["resource"]
    return entry | {"resource": {**draft, "status": "active"}} if draft.get("status") == "draft" else entry


def _pointed_at(draft: Resource) -> set[str]:
    sent = set(references(draft))
    return sent | {parts.relative for one in sent if (parts := literal(one)) is not None}


def _names(entry: Resource) -> set[str]:
    resource = entry["resource"]
    return {str(entry.get("fullUrl", "")), f"{resource['resourceType']}/{resource.get('id')}"}


def _address(call: dict[str, Any], patient: Resource) -> Resource:
    server = call.get("fhirServer")
    address = f"{server.rstrip('/')}/Patient/{patient['id']}" if isinstance(server, str) else ""
    return {"fullUrl": address} if literal(address) is not None else {}
