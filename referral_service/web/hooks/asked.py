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
from referral_service.web.http import BUNDLE_ENTRIES

HOOK = "order-sign"
DRAFTS = 50
"""Orders that one call may ask about: somebody waits for the answer, and each takes its share of the time."""
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
    """Raises 400 for what is no call of this hook, 412 without the patient, 413 for too many entries."""
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
    drafts, others = _taken_apart(context["draftOrders"], prefetch.get("conditions"))
    named = {name for draft in drafts for name in _pointed_at(draft["resource"])}
    beside = [entry for entry in others if named & _names(entry)]
    entries = [*map(_as_active, drafts), {"resource": patient, **_address(call, patient)}, *beside]
    bundle: Any = {"resourceType": "Bundle", "type": "collection", "entry": entries}
    return Asked(
        dump(bundle),
        tuple(draft["resource"] for draft in drafts),
    )


def _taken_apart(orders: object, conditions: object) -> tuple[list[Resource], list[Resource]]:
    """The ServiceRequests among the orders, and all else; counted before anything is made of them."""
    if len(_listed(orders)) + len(_listed(conditions)) > BUNDLE_ENTRIES:
        raise _too_many(f"{BUNDLE_ENTRIES} entries, those of prefetch.conditions among them")
    drafts: list[Resource] = []
    others = list(_entries(conditions))
    for entry in _entries(orders):
        (drafts if _type_of(entry["resource"]) == "ServiceRequest" else others).append(entry)
    if len(drafts) > DRAFTS:
        raise _too_many(f"{DRAFTS} ServiceRequests")
    return drafts, others


def _too_many(limit: str) -> Fault:
    place = "context.draftOrders.entry"
    return Fault(FaultKind.TOO_LARGE, error("too-long", "too-many-entries", f"A call may have {limit}.", place))


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


def _listed(bundle: object) -> list[Any]:
    listed = bundle.get("entry") if isinstance(bundle, dict) else None
    return listed if isinstance(listed, list) else []


def _entries(bundle: object) -> Iterator[Resource]:
    """What of a Bundle's entries holds a resource, with the address when it has one."""
    for entry in _listed(bundle):
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
