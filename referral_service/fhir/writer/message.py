"""Messages that we write: the answer to one that came in, and what became of a referral for who sent it by message.

https://hl7.org/fhir/R4/messaging.html
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Any

from referral_service.fhir import package
from referral_service.fhir.bundle import Resource
from referral_service.fhir.messages import Asked
from referral_service.fhir.writer.outcome import own_system, typed

PROCESS_MESSAGE = "http://hl7.org/fhir/OperationDefinition/MessageHeader-process-message"
_NAME = "Referral service for dystonia"
_BSER_STATUS = "http://hl7.org/fhir/us/bser/CodeSystem/TaskBusinessStatusCS"
_BSER_MAPS = ("business-status-to-bser", "task-status-to-bser")


class Programme(StrEnum):
    """How a receiver wants to be told: by the MessageDefinition of that id."""

    BSER = "bser-referral-status"
    BARS = "bars-servicerequest-response"


@dataclass(frozen=True, slots=True)
class Told:
    """One message that tells of a change. ``id`` is a UUID that stays the same however often it is sent, ``at`` the
    instant of the change; ``base`` is where our resources are read, ``answers`` what the first message went by (its
    MessageHeader.id, for BaRS its Bundle.id), None where there was none; ``endpoint`` and ``name`` are the receiver's.
    """

    id: str
    at: str
    base: str
    answers: str | None
    endpoint: str
    name: str | None = None


def message_answer(
    asked: Asked, told: Told, outcome: Resource | None, referrals: Sequence[tuple[str, str | None, Any]], *, is_ok: bool
) -> Resource:
    """The answer to a message: response ``ok`` or ``fatal-error``, with the outcome in it.

    ``referrals`` are the ids of each ServiceRequest and its Task, and the ServiceRequest as JSON that stands as it is.
    """
    response: Resource = {"identifier": told.answers, "code": "ok" if is_ok else "fatal-error"}
    entries: list[Resource] = []
    if outcome is not None:
        place = f"urn:uuid:{told.id[:-1]}{'1' if told.id[-1] == '0' else '0'}"
        response["details"] = {"reference": place}
        entries.append({"fullUrl": place, "resource": typed(outcome)})
    focus = []
    for referral, task, content in referrals:
        focus += [f"Task/{task}"] if task else []
        focus.append(f"ServiceRequest/{referral}")
        entries.append({"fullUrl": f"{told.base}/ServiceRequest/{referral}", "resource": content})
    event = asked.event or {"eventUri": PROCESS_MESSAGE}
    header = _header(event, told, asked.endpoint, {"response": response}, focus)
    return _bundle(told, header, entries)


def message_of_change(programme: Programme, told: Told, task: Resource, referral: Resource) -> Resource:
    """What became of a referral, as the receiver's programme has it: the Task with status, owner and business status.

    ``task`` and ``referral`` are as they are served; BSeR has the Task in focus, BaRS the ServiceRequest.
    """
    definition = package.definitions()["MessageDefinition"][programme.value]
    told_task = _as_bser(task) if programme is Programme.BSER else task
    both = {one["resourceType"]: one for one in (told_task, referral)}
    in_order = [both[focus["code"]] for focus in definition["focus"]]
    names = [f"{one['resourceType']}/{one['id']}" for one in in_order]
    more: Resource = {"definition": definition["url"]}
    if told.answers is not None:  # only what answers a message has a response: R4, MessageHeader.response
        more["response"] = {"identifier": told.answers, "code": "ok"}
    if programme is Programme.BARS:
        reason = {"system": "https://fhir.nhs.uk/CodeSystem/message-reason-bars", "code": "update"}
        more["reason"] = {"coding": [reason]}
    header = _header({"eventCoding": definition["eventCoding"]}, told, told.endpoint, more, names[:1])
    entries = [{"fullUrl": f"{told.base}/{name}", "resource": one} for name, one in zip(names, in_order, strict=True)]
    return _bundle(told, header, entries)


def _header(
    event: Mapping[str, Any], told: Told, endpoint: str | None, more: Mapping[str, Any], focus: Sequence[str]
) -> Resource:
    destination = {**({"name": told.name} if told.name else {}), "endpoint": endpoint}
    return typed(
        {
            "resourceType": "MessageHeader",
            "id": told.id,
            **event,
            **({"destination": [destination]} if endpoint else {}),
            "source": {"name": _NAME, "endpoint": f"{told.base}/$process-message"},
            **more,
            **({"focus": [{"reference": f"{told.base}/{name}"} for name in focus]} if focus else {}),
        }
    )


def _bundle(told: Told, header: Resource, entries: Sequence[Resource]) -> Resource:
    return {
        "resourceType": "Bundle",
        "id": told.id,
        "type": "message",
        "timestamp": told.at,
        "entry": [{"fullUrl": f"urn:uuid:{told.id}", "resource": header}, *entries],
    }


def _as_bser(task: Resource) -> Resource:
    """Its business status in BSeR's terms too: that of the work, where BSeR has one, else that of the status."""
    status = _own_status(task)
    found = _to_bser().get(status or "") or _to_bser().get(task["status"])
    if found is None:
        return task
    before = task.get("businessStatus", {})
    return {**task, "businessStatus": {**before, "coding": [found, *before.get("coding", [])]}}


def _own_status(task: Resource) -> str | None:
    codings = task.get("businessStatus", {}).get("coding", [])
    own = (one.get("code") for one in codings if one.get("system") == own_system("business-status"))
    return next(own, None)


@cache
def _to_bser() -> dict[str, Resource]:
    """BSeR's statuses by our business status and by the status of a Task; their codes differ from one another."""
    return {
        element["code"]: {"system": _BSER_STATUS, "code": target["code"], "display": target["display"]}
        for name in _BSER_MAPS
        for group in package.definitions()["ConceptMap"][name]["group"]
        for element in group["element"]
        for target in element["target"]
        if "code" in target
    }
