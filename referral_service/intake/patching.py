"""A JSON Patch (RFC 6902) of a resource as it stands: applied, then checked like everything that is sent."""

from __future__ import annotations

from typing import Any

import jsonpatch
import orjson
from jsonpointer import JsonPointerException

from referral_service.fhir.bundle import Resource
from referral_service.fhir.parse import dump
from referral_service.intake.reading import read
from referral_service.intake.site import Answer, failed
from referral_service.issues import FaultKind, error

MOST_OPERATIONS = 100
LARGEST = 1024 * 1024


def patched(content: Resource, body: bytes) -> Resource | Answer:
    """The resource after the patch, valid R4; else why there is none: not a patch (400), or it does not fit (422)."""
    try:
        operations = orjson.loads(body)
        patch = jsonpatch.JsonPatch(operations)
    except (orjson.JSONDecodeError, jsonpatch.InvalidJsonPatch, JsonPointerException, TypeError):
        return _no_patch("The body is no JSON Patch: an array of operations (RFC 6902).")
    if not isinstance(operations, list) or len(operations) > MOST_OPERATIONS:
        return _no_patch(f"A JSON Patch here is an array of at most {MOST_OPERATIONS} operations.")
    try:
        after = _applied(orjson.loads(dump(content)), patch)
    except (jsonpatch.JsonPatchException, JsonPointerException, TypeError):
        words = "The patch does not fit the Task as it stands: a path is not there, or a test has failed."
        return failed(FaultKind.BUSINESS_RULE, error("business-rule", "patch-does-not-fit", words))
    if after is None:
        return _no_patch("The Task would become too large.")
    reading = read(orjson.dumps(after), "Task")
    if reading.envelope is None:
        return failed(FaultKind.INVALID, *reading.faults)
    return dict(reading.payload)


def _applied(document: Any, patch: jsonpatch.JsonPatch) -> Any | None:
    """Operation by operation, for ``copy`` can double a resource each time; None once it is too large."""
    for operation in patch:
        document = jsonpatch.apply_patch(document, [operation], in_place=True)
        if len(orjson.dumps(document)) > LARGEST:
            return None
    return document


def _no_patch(words: str) -> Answer:
    return failed(FaultKind.INVALID, error("invalid", "no-patch", words))
