"""Messages: one door for every event that is taken (https://hl7.org/fhir/R4/messaging.html).

Answered at once, with a message; whoever speaks BaRS is told of a failure by an OperationOutcome alone.
"""

from __future__ import annotations

from typing import Any
from uuid import NAMESPACE_URL, uuid4, uuid5

import orjson
from flask import Blueprint, Response, request

from referral_service.fhir import writer
from referral_service.fhir.messages import Asked
from referral_service.intake import MESSAGES, Answer, Received, receive
from referral_service.intake.site import MESSAGE_DOOR
from referral_service.issues import Fault, FaultKind, Issue, error
from referral_service.store.engine import instant
from referral_service.web.http import (
    BUNDLE_BYTES,
    STATUS,
    caller,
    client,
    fhir_base,
    fhir_response,
    incoming,
    note_fault,
    now,
    request_id,
    site,
)
from referral_service.web.submitting import check_entries

blueprint = Blueprint("messages", __name__, url_prefix="/fhir")


@blueprint.post("/$process-message")
def process() -> Response:
    """https://hl7.org/fhir/R4/messageheader-operation-process-message.html: a referral, its update or its cancel."""
    _check_answered_at_once()
    request_in = incoming(MESSAGE_DOOR, BUNDLE_BYTES)
    check_entries(request_in.body)
    received = receive(site(), request_in, "Bundle", MESSAGES)
    if received.failed is not None:
        return _failed(received.asked, received.failed)
    return fhir_response(_taken(received))


def _check_answered_at_once() -> None:
    if request.args.get("async", "false") != "false" or "response-url" in request.args:
        words = "A message is answered in the same call; send it without async and response-url."
        raise Fault(FaultKind.INVALID, error("not-supported", "async-not-supported", words))


def _taken(received: Received) -> dict[str, object]:
    referrals = [
        (one.id, one.task_id, orjson.Fragment(one.content))
        for one in received.answers
        if one.type == "ServiceRequest" and one.id
    ]
    issues = list(dict.fromkeys(issue for one in received.answers for issue in one.issues))
    outcome = writer.outcome(_notice_first(issues)) if issues else None
    return writer.message_answer(received.asked, _told(received.asked), outcome, referrals, is_ok=True)


def _notice_first(issues: list[Issue]) -> list[Issue]:
    return sorted(issues, key=lambda issue: issue.rule != "red-flag")


def _failed(asked: Asked, answer: Answer) -> Response:
    assert answer.fault is not None
    note_fault(answer.fault)
    outcome = writer.outcome(answer.issues)
    if caller().bars:
        return fhir_response(_as_bars(outcome, answer.fault), STATUS[answer.fault])
    return fhir_response(writer.message_answer(asked, _told(asked), outcome, (), is_ok=False), STATUS[answer.fault])


def _as_bars(outcome: dict[str, Any], fault: FaultKind) -> dict[str, Any]:
    """The outcome with BaRS's own code of a receiver's fault in each issue, after ours."""
    for issue in outcome["issue"]:
        if fault in _BARS_CODES and issue["severity"] in ("fatal", "error"):
            issue["details"]["coding"].append({"system": _BARS_SYSTEM, "code": _BARS_CODES[fault]})
    return outcome


_BARS_SYSTEM = "https://fhir.nhs.uk/CodeSystem/http-error-codes"
_BARS_CODES = {
    FaultKind.INVALID: "REC_BAD_REQUEST",
    FaultKind.FORBIDDEN: "REC_FORBIDDEN",
    FaultKind.CONFLICT: "REC_CONFLICT",
    FaultKind.BUSINESS_RULE: "REC_UNPROCESSABLE_ENTITY",
}


def _told(asked: Asked) -> writer.Told:
    """The same message is answered under the same id, however often it is sent."""
    own = uuid5(NAMESPACE_URL, f"{fhir_base()}/{client()}/{asked.key}") if asked.key else uuid4()
    answers = asked.id or request_id().translate(_NOT_AN_ID)[:64]
    return writer.Told(str(own), instant(now()), fhir_base(), answers, asked.endpoint or "", asked.name)


_NOT_AN_ID = dict.fromkeys(map(ord, "_:/+="), "-")
"""What a request id may hold and a FHIR id may not."""
