"""A decision as Parameters, read from them again, and as tags."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

import orjson

from referral_service.fhir.bundle import Resource
from referral_service.fhir.writer.outcome import outcome, own_system, read_issue
from referral_service.issues import Issue
from referral_service.referral import (
    AgeInterval,
    Alternative,
    Assertion,
    Certainty,
    CodePair,
    Coding,
    Decision,
    Disposition,
    Evidence,
    Flag,
    Priority,
    Queue,
    WhyNot,
)

WHY_NOT: Mapping[WhyNot, str] = {
    WhyNot.CLASSIFICATIONS_DIFFER: "Classifications differ on this term; the policy chose the other.",
    WhyNot.WITHOUT_CAUSE: "What the term alone says, without the cause that is named beside it.",
    WhyNot.HEDGED: "Named too, but as a suspicion beside a plain statement.",
    WhyNot.LESS_SPECIFIC: "Named too, but it says less.",
    WhyNot.LATER_IN_ORDER: "Named too; a drug as cause goes first, then genetic, then the site, then the rest.",
}
"""Our words for each reason why a code was not chosen: the text of each alternative."""
_WHY_NOT = {words: why for why, words in WHY_NOT.items()}


def decided_issues(parameters: str) -> tuple[Issue, ...]:
    """The issues of one decision that was stored as FHIR."""
    stored = orjson.loads(parameters)["parameter"]
    listed = next(one["resource"]["issue"] for one in stored if one["name"] == "outcome")
    return tuple(read_issue(one) for one in listed if "details" in one)


def decided_codings(parameters: str) -> list[Resource]:
    """The codings of one decision that was stored as FHIR; none when the indication was undetermined."""
    stored = orjson.loads(parameters)["parameter"]
    return [coding for one in stored if one["name"] == "code" for coding in one["valueCodeableConcept"]["coding"]]


def read_decision(parameters: str) -> Decision:
    """The decision that was stored as FHIR by :func:`decision_parameters`."""
    stored = orjson.loads(parameters)["parameter"]
    age, priority = _parts(stored, "age"), _parts(stored, "priority")
    return Decision(
        disposition=Disposition(_values(stored, "disposition")[0]),
        queue=next(map(Queue, _values(stored, "queue")), None),
        code=next(map(_read_pair, _values(stored, "code")), None),
        alternatives=tuple(
            Alternative(_read_pair(one), _WHY_NOT[one["text"]]) for one in _values(stored, "alternative")
        ),
        certainty=next(map(Certainty, _values(stored, "certainty")), None),
        flags=tuple(map(Flag, _values(stored, "flag"))),
        age=AgeInterval(date.fromisoformat(age["on"]), age["min"], age["max"]) if age else None,
        requested_priority=Priority(priority["requested"]),
        assessed_priority=Priority(priority["assessed"]),
        evidence=tuple(map(_read_evidence, _values(stored, "evidence"))),
        policy=_values(stored, "policy")[0],
        issues=decided_issues(parameters),
    )


def _values(parameters: list[Resource], name: str) -> list[Any]:
    """The values, parts or resources of the parameters with a name, in order."""
    return [next(value for key, value in one.items() if key != "name") for one in parameters if one["name"] == name]


def _parts(parameters: list[Resource], name: str) -> dict[str, Any]:
    parts: list[Resource] = next(iter(_values(parameters, name)), [])
    return {part["name"]: next(value for key, value in part.items() if key != "name") for part in parts}


def _read_pair(concept: Resource) -> CodePair:
    cm, who = map(_read_coding, concept["coding"])
    return CodePair(cm, who)


def _read_coding(written: Resource) -> Coding:
    return Coding(written["system"], written["code"], written.get("display", ""))


def _read_evidence(parts: list[Resource]) -> Evidence:
    found = _parts([{"name": "evidence", "part": parts}], "evidence")
    return Evidence(
        expression=found["expression"],
        finding=_read_coding(found["finding"]),
        assertion=Assertion(found["assertion"]),
        rule=found["rule"],
        start=found.get("start"),
        end=found.get("end"),
        text=found.get("text"),
    )


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


def correction_parameter(row: Mapping[str, Any]) -> Resource:
    """A human's correction as it stands in the decision served: what, from, to, who, when and why."""
    parts: list[Resource] = [{"name": "kind", "valueCode": row["kind"]}]
    if row["before"]:
        parts.append({"name": "from", "valueString": row["before"]})
    return {
        "name": "correction",
        "part": [
            *parts,
            {"name": "to", "valueString": row["value"]},
            {"name": "by", "valueString": row["actor_name"]},
            {"name": "at", "valueInstant": row["at"]},
            {"name": "reason", "valueString": row["reason"]},
        ],
    }


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
