"""The Task that a referral lives as, and the Provenance of what was decided.

Written as plain JSON and not typed on the way, for both are written with every referral; tests hold what comes out
against the models.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from referral_service.fhir.bundle import Resource
from referral_service.fhir.writer.decision import concept, flag_tags
from referral_service.fhir.writer.outcome import CANONICAL
from referral_service.fhir.writer.served import Stamp
from referral_service.referral import Certainty, CodePair, Decision, Queue

_OPERATION = "http://terminology.hl7.org/CodeSystem/v3-DataOperation"
_PARTICIPANT = "http://terminology.hl7.org/CodeSystem/provenance-participant-type"


def task_reason(pair: CodePair, certainty: Certainty | None, versions: Mapping[str, str]) -> Resource:
    words = f"Suspected {pair.cm.display[:1].lower()}{pair.cm.display[1:]}"
    return concept(pair, versions, words if certainty is Certainty.SUSPECTED else pair.cm.display)


@dataclass(frozen=True, slots=True)
class TaskFacts:
    """What a new Task is made from. ``subject`` is the reference to the patient, None while unknown."""

    referral_id: str
    subject: Resource | None
    requester: Resource | None
    placer: Resource | None
    received_at: str
    due: str


def task(
    facts: TaskFacts, stamp: Stamp, decision: Decision, policy_notice: str, versions: Mapping[str, str]
) -> Resource:
    """https://hl7.org/fhir/R4/task.html, as it first stands in its queue: requested."""
    assert decision.queue is not None
    written: Resource = {
        "resourceType": "Task",
        "id": stamp.id,
        "meta": {"versionId": str(stamp.version), "lastUpdated": stamp.last_updated},
        "identifier": [_filler_identifier(stamp.id), *([facts.placer] if facts.placer else [])],
        "status": "requested",
        "intent": "order",
        "code": {"coding": [{"system": "http://hl7.org/fhir/CodeSystem/task-code", "code": "fulfill"}]},
        "focus": {"reference": f"ServiceRequest/{facts.referral_id}"},
        "authoredOn": facts.received_at,
        "lastModified": stamp.last_updated,
        "restriction": {"period": {"end": facts.due}},
    }
    if facts.subject:
        written["for"] = facts.subject
    if facts.requester:
        written["requester"] = facts.requester
    return decided_task(written, decision, policy_notice, versions)


def decided_task(current: Resource, decision: Decision, policy_notice: str, versions: Mapping[str, str]) -> Resource:
    """The Task with all that follows from a decision; status, history and clock are left as they are."""
    written = dict(current)
    meta = dict(written["meta"])
    tags = flag_tags(decision)
    meta.pop("tag", None)
    written["meta"] = {**meta, "tag": tags} if tags else meta
    written["priority"] = decision.assessed_priority.value
    if decision.queue:
        written["owner"] = owner(decision.queue)
    written.pop("reasonCode", None)
    if decision.code:
        written["reasonCode"] = task_reason(decision.code, decision.certainty, versions)
    notes = [note for note in written.pop("note", []) if note["text"] != policy_notice]
    if "red-flag" in decision.flags:
        notes.append({"text": policy_notice})
    if notes:
        written["note"] = notes
    return written


def owner(queue: Queue) -> Resource:
    return {"reference": f"HealthcareService/{queue.value}"}


def _filler_identifier(task_id: str) -> Resource:
    kind = {"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "FILL"}
    return {"type": {"coding": [kind]}, "system": "urn:ietf:rfc:3986", "value": f"urn:uuid:{task_id}"}


def provenance(
    stamp: Stamp, targets: list[str], policy: str, package: str, activity: str, follows: str | None = None
) -> Resource:
    """Who decided: this service, by which policy and package version (https://hl7.org/fhir/R4/provenance.html)."""
    entity = [{"role": "revision", "what": {"reference": f"ServiceRequest/{follows}"}}] if follows else []
    return {
        **({"entity": entity} if entity else {}),
        "resourceType": "Provenance",
        "id": stamp.id,
        "meta": {"versionId": str(stamp.version), "lastUpdated": stamp.last_updated},
        "target": [{"reference": target} for target in targets],
        "recorded": stamp.last_updated,
        "policy": [f"{CANONICAL}/policy/{policy}"],
        "activity": {"coding": [{"system": _OPERATION, "code": activity}]},
        "agent": [
            {
                "type": {"coding": [{"system": _PARTICIPANT, "code": "assembler"}]},
                "who": {"display": f"referral-service {package}"},
            }
        ],
    }


def provenance_by_hand(stamp: Stamp, targets: list[str], actor: str, name: str, reason: str) -> Resource:
    """Which human has corrected a decision, and why; what the sender sent is not among the targets."""
    return {
        "resourceType": "Provenance",
        "id": stamp.id,
        "meta": {"versionId": str(stamp.version), "lastUpdated": stamp.last_updated},
        "target": [{"reference": target} for target in targets],
        "recorded": stamp.last_updated,
        "reason": [{"text": reason}],
        "activity": {"coding": [{"system": _OPERATION, "code": "UPDATE"}]},
        "agent": [
            {
                "type": {"coding": [{"system": _PARTICIPANT, "code": "author"}]},
                "who": {"identifier": {"value": actor}, "display": name},
            }
        ],
    }
