"""Tasks moved from outside: put, patched, taken back; and what may be done with one now."""

from __future__ import annotations

from typing import Any

import orjson
from flask import Blueprint, Response, g, request

from referral_service.fhir.writer import own_system
from referral_service.intake.changes import if_match_missing
from referral_service.intake.conditions import version_of
from referral_service.intake.moves import Move, act, actions_of, patch_task, put_task
from referral_service.intake.reading import validated
from referral_service.issues import Fault, FaultKind, error, errors_of
from referral_service.web.auditing import audited_rows
from referral_service.web.http import (
    JSON_PATCH,
    RESOURCE_BYTES,
    access,
    actor,
    answer_response,
    body_of,
    fhir_response,
    now,
    site,
)
from referral_service.worklist import REASONS, Action, Position

blueprint = Blueprint("moving", __name__, url_prefix="/fhir")
_DISPLAYS = {reason.code: reason.display for reason in REASONS}


@blueprint.put("/Task/<identity>")
def put(identity: str) -> Response:
    """https://hl7.org/fhir/R4/http.html#update, judged as the named moves that it amounts to."""
    body = body_of(RESOURCE_BYTES)
    return answer_response(put_task(_move(identity), body))


@blueprint.patch("/Task/<identity>")
def patch(identity: str) -> Response:
    """https://hl7.org/fhir/R4/http.html#patch, as JSON Patch; judged like the Task put whole."""
    body = body_of(RESOURCE_BYTES, frozenset({JSON_PATCH}))
    return answer_response(patch_task(_move(identity), body))


@blueprint.get("/Task/<identity>/$actions")
def actions(identity: str) -> Response:
    """The moves that this caller may make now, with what each takes."""
    found = actions_of(site(), actor(), identity)
    if found is None:
        raise Fault(FaultKind.NOT_FOUND, error("not-found", "not-found", "There is no such Task."))
    task, allowed = found
    audited_rows("Task", [task.row])
    parameters: list[dict[str, Any]] = [
        {"name": "version", "valueString": str(task.row["version"])},
        {"name": "status", "valueCode": task.position.status},
    ]
    parameters += [{"name": "action", "part": _parts(action, task.position)} for action in allowed]
    return fhir_response({"resourceType": "Parameters", "parameter": parameters})


def _parts(action: Action, position: Position) -> list[dict[str, Any]]:
    system = own_system("status-reason")
    return [
        {"name": "code", "valueCode": action.code},
        {"name": "label", "valueString": action.label},
        {"name": "target", "valueCode": action.target_from(position)},
        *({"name": "required", "valueCode": takes.value} for takes in action.required),
        *({"name": "optional", "valueCode": takes.value} for takes in action.optional),
        *(
            {"name": "reason", "valueCoding": {"system": system, "code": code, "display": _DISPLAYS[code]}}
            for code in action.reasons
        ),
    ]


@blueprint.post("/Task/<identity>/$undo")
def undo(identity: str) -> Response:
    """An end made in error is taken back; ``If-Match`` is honoured when it is given."""
    body = body_of(RESOURCE_BYTES)
    faults = errors_of(validated(body, "Parameters", ()))
    if faults:
        raise Fault(FaultKind.INVALID, *faults)
    given = orjson.loads(body.removeprefix(b"\xef\xbb\xbf")).get("parameter", [])
    reason = next((one.get("valueString", "") for one in given if one["name"] == "reason"), "")
    version = _version() if "If-Match" in request.headers else None
    return answer_response(
        act(site(), actor(), identity, version, "undo", {"comment": reason}, now(), g.request_id, access())
    )


def _move(identity: str) -> Move:
    return Move(site(), actor(), identity, _version(), now(), g.request_id, access())


def _version() -> int:
    version = version_of(request.headers.get("If-Match", ""))
    if version is None:
        raise Fault(FaultKind.INVALID, if_match_missing())
    return version
