"""A decision as Parameters, and as tags."""

from __future__ import annotations

from collections.abc import Mapping

import orjson

from referral_service.fhir.bundle import Resource
from referral_service.fhir.writer.outcome import outcome, own_system, read_issue
from referral_service.issues import Issue
from referral_service.referral import CodePair, Coding, Decision, Evidence, WhyNot

WHY_NOT: Mapping[WhyNot, str] = {
    WhyNot.CLASSIFICATIONS_DIFFER: "Classifications differ on this term; the policy chose the other.",
    WhyNot.WITHOUT_CAUSE: "What the term alone says, without the cause that is named beside it.",
    WhyNot.HEDGED: "Named too, but as a suspicion beside a plain statement.",
    WhyNot.LESS_SPECIFIC: "Named too, but it says less.",
    WhyNot.LATER_IN_ORDER: "Named too; a drug as cause goes first, then genetic, then the site, then the rest.",
}
"""Our words for each reason why a code was not chosen: the text of each alternative."""


def decided_issues(parameters: str) -> tuple[Issue, ...]:
    """The issues of one decision that was stored as FHIR."""
    stored = orjson.loads(parameters)["parameter"]
    listed = next(one["resource"]["issue"] for one in stored if one["name"] == "outcome")
    return tuple(read_issue(one) for one in listed if "details" in one)


def decided_codings(parameters: str) -> list[Resource]:
    """The codings of one decision that was stored as FHIR; none when the indication was undetermined."""
    stored = orjson.loads(parameters)["parameter"]
    return [coding for one in stored if one["name"] == "code" for coding in one["valueCodeableConcept"]["coding"]]


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
    found += [
        {"name": "alternative", "valueCodeableConcept": {**concept(one.code, versions), "text": WHY_NOT[one.why]}}
        for one in decision.alternatives
    ]
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
