"""What we author, as FHIR: the decision, the Task, the Provenance, outcomes and the tags on a referral.

What is written here is typed by ``fhir.resources.R4B``, so that a slip of ours fails here and not at the receiver;
the sender's own JSON only passes through :func:`served`, which adds id, meta and rewritten references and touches
nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from fhir.resources.R4B import get_fhir_model_class

from referral_service.fhir.bundle import Resource
from referral_service.fhir.parse import parse
from referral_service.issues import Issue, Severity
from referral_service.referral import Certainty, CodePair, Coding, Decision, Evidence, Queue

CANONICAL = "https://referral-service.example/fhir"
AI_ASSISTED = {
    "system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue",
    "code": "AIAST",
    "display": "Artificial Intelligence asserted",
}
"""Says that a machine chose the tags (https://terminology.hl7.org/CodeSystem-v3-ObservationValue.html)."""


def own_system(name: str) -> str:
    return f"{CANONICAL}/CodeSystem/{name}"


def typed(payload: Resource) -> Resource:
    """The same resource, once its R4B model has taken it."""
    get_fhir_model_class(payload["resourceType"]).model_validate(payload)
    return payload


def pretty(text: bytes) -> bytes:
    """The same JSON on many lines; numbers keep their digits."""
    value = parse(text).value
    lines = orjson.dumps(value, default=lambda number: orjson.Fragment(number.literal), option=orjson.OPT_INDENT_2)
    return lines if value is not None else text


def outcome(issues: Iterable[Issue]) -> Resource:
    """https://hl7.org/fhir/R4/operationoutcome.html; an empty one says that all is well, for it needs one issue."""
    listed = [_issue(issue) for issue in issues]
    return {"resourceType": "OperationOutcome", "issue": listed or [dict(_ALL_WELL)]}


_ALL_WELL = {"severity": "information", "code": "informational", "diagnostics": "No fault was found."}


def _issue(issue: Issue) -> Resource:
    written: Resource = {
        "severity": issue.severity.value,
        "code": issue.code,
        "details": {"coding": [{"system": own_system("issue"), "code": issue.rule}]},
        "diagnostics": issue.diagnostics,
    }
    if issue.expression:
        written["expression"] = [issue.expression]
    return written


def decided_issues(parameters: str) -> tuple[Issue, ...]:
    """The issues of one decision that was stored as FHIR."""
    stored = orjson.loads(parameters)["parameter"]
    listed = next(one["resource"]["issue"] for one in stored if one["name"] == "outcome")
    return tuple(_read_issue(one) for one in listed if "details" in one)


def decided_codings(parameters: str) -> list[Resource]:
    """The codings of one decision that was stored as FHIR; none when the indication was undetermined."""
    stored = orjson.loads(parameters)["parameter"]
    return [coding for one in stored if one["name"] == "code" for coding in one["valueCodeableConcept"]["coding"]]


def _read_issue(written: Resource) -> Issue:
    rule, place = written["details"]["coding"][0]["code"], written.get("expression", [""])[0]
    return Issue(Severity(written["severity"]), written["code"], rule, written["diagnostics"], place)


def coding(value: Coding, version: str | None = None) -> Resource:
    written = {"system": value.system, "version": version, "code": value.code, "display": value.display}
    return {name: text for name, text in written.items() if text}


def concept(pair: CodePair, versions: Mapping[str, str], text: str | None = None) -> Resource:
    """Both codings of a pair, each with the release it was taken from."""
    written: Resource = {"coding": [coding(one, versions.get(one.system)) for one in (pair.cm, pair.who)]}
    if text:
        written["text"] = text
    return written


def decision_parameters(decisions: list[Decision], versions: Mapping[str, str]) -> Resource:
    """The decision as FHIR: one set of parameters, or one part ``referral`` each when there are several."""
    if len(decisions) == 1:
        parameters = _parameters(decisions[0], versions)
    else:
        parameters = [{"name": "referral", "part": _parameters(decision, versions)} for decision in decisions]
    return {"resourceType": "Parameters", "parameter": parameters}


def _parameters(decision: Decision, versions: Mapping[str, str]) -> list[Resource]:
    found: list[Resource] = [{"name": "disposition", "valueCode": decision.disposition.value}]
    if decision.queue:
        found.append({"name": "queue", "valueCode": decision.queue.value})
    if decision.code:
        found.append({"name": "code", "valueCodeableConcept": concept(decision.code, versions)})
    found += [{"name": "alternative", "valueCodeableConcept": concept(a, versions)} for a in decision.alternatives]
    if decision.certainty:
        found.append({"name": "certainty", "valueCode": decision.certainty.value})
    found += [{"name": "flag", "valueCode": flag.value} for flag in decision.flags]
    if decision.age:
        found.append(
            {
                "name": "age",
                "part": [
                    {"name": "on", "valueDate": decision.age.on.isoformat()},
                    {"name": "min", "valueInteger": decision.age.minimum},
                    {"name": "max", "valueInteger": decision.age.maximum},
                ],
            }
        )
    requested, assessed = decision.requested_priority.value, decision.assessed_priority.value
    priority = [{"name": "requested", "valueCode": requested}, {"name": "assessed", "valueCode": assessed}]
    found.append({"name": "priority", "part": priority})
    found += [{"name": "evidence", "part": _evidence(item)} for item in decision.evidence]
    found.append({"name": "policy", "valueString": decision.policy})
    found.append({"name": "outcome", "resource": outcome(decision.issues)})
    return found


def _evidence(item: Evidence) -> list[Resource]:
    parts: list[Resource] = [{"name": "expression", "valueString": item.expression}]
    if item.start is not None and item.end is not None:
        parts += [{"name": "start", "valueInteger": item.start}, {"name": "end", "valueInteger": item.end}]
    if item.text:
        parts.append({"name": "text", "valueString": item.text})
    return [
        *parts,
        {"name": "finding", "valueCoding": coding(item.finding)},
        {"name": "assertion", "valueCode": item.assertion.value},
        {"name": "rule", "valueCode": item.rule},
    ]


def decision_tags(decision: Decision, versions: Mapping[str, str]) -> list[Resource]:
    """What is appended to ``meta.tag``: both ICD-10 codings, queue, certainty and flags."""
    tags = concept(decision.code, versions)["coding"] if decision.code else []
    if decision.queue:
        tags.append({"system": own_system("queue"), "code": decision.queue.value})
    if decision.certainty:
        tags.append({"system": own_system("certainty"), "code": decision.certainty.value})
    return tags + flag_tags(decision)


def flag_tags(decision: Decision) -> list[Resource]:
    return [{"system": own_system("flag"), "code": flag.value} for flag in decision.flags]


@dataclass(frozen=True, slots=True)
class Stamp:
    """Identity and time of one version of a resource; ``last_updated`` is a FHIR instant."""

    id: str
    version: int
    last_updated: str


def served(
    resource: Resource,
    stamp: Stamp,
    rewrite: Callable[[str], str | None],
    *,
    tags: Sequence[Resource] = (),
    security: Sequence[Resource] = (),
    replaced: Sequence[Resource] = (),
) -> Resource:
    """The sender's resource as we serve it: with our id and meta, and the references that ``rewrite`` knows.

    The sender's labels stay and ours follow; those of ``replaced`` are ours of before, come back with an update.
    """
    meta = dict(resource.get("meta", {}))
    meta["versionId"], meta["lastUpdated"] = str(stamp.version), stamp.last_updated
    for name, ours in (("tag", tags), ("security", security)):
        theirs = [label for label in meta.get(name, []) if label not in replaced]
        listed = theirs + [label for label in ours if label not in theirs]
        if listed:
            meta[name] = listed
    body = {name: value for name, value in resource.items() if name not in ("resourceType", "id", "meta")}
    return {"resourceType": resource["resourceType"], "id": stamp.id, "meta": meta, **_rewritten(body, rewrite)}


def _rewritten(value: Any, rewrite: Callable[[str], str | None]) -> Any:
    if isinstance(value, dict):
        changed = {name: _rewritten(item, rewrite) for name, item in value.items()}
        reference = value.get("reference")
        if isinstance(reference, str):
            changed["reference"] = rewrite(reference) or reference
        return changed
    if isinstance(value, list):
        return [_rewritten(item, rewrite) for item in value]
    return value


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
    return typed(decided_task(written, decision, policy_notice, versions))


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
    return typed(
        {
            **({"entity": entity} if entity else {}),
            "resourceType": "Provenance",
            "id": stamp.id,
            "meta": {"versionId": str(stamp.version), "lastUpdated": stamp.last_updated},
            "target": [{"reference": target} for target in targets],
            "recorded": stamp.last_updated,
            "policy": [f"{CANONICAL}/policy/{policy}"],
            "activity": {
                "coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-DataOperation", "code": activity}]
            },
            "agent": [
                {
                    "type": {
                        "coding": [
                            {
                                "system": "http://terminology.hl7.org/CodeSystem/provenance-participant-type",
                                "code": "assembler",
                            }
                        ]
                    },
                    "who": {"display": f"referral-service {package}"},
                }
            ],
        }
    )
