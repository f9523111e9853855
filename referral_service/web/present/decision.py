"""What was decided, in words: the stored decision, how its age was worked out, and what the sender was told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import orjson

from referral_service.coding.prompts import prompts_of
from referral_service.fhir.canonical import read_input
from referral_service.fhir.terminology import vocabulary
from referral_service.policy import Policy
from referral_service.referral import Flag, Queue
from referral_service.routing import age_interval
from referral_service.web.present import evidence, people, words
from referral_service.web.present.words import Chip, Moment, Now

Row = Mapping[str, Any]
Resource = Mapping[str, Any]

_CERTAINTIES = {"suspected": "suspected, not confirmed", "confirmed": "stated as confirmed"}


@dataclass(frozen=True, slots=True)
class CodeLine:
    system: str
    code: str
    title: str


@dataclass(frozen=True, slots=True)
class Flagged:
    """A flag with what it means here: the words that the sender was told with it, else what it means anywhere."""

    chip: Chip
    words: str


@dataclass(frozen=True, slots=True)
class Correction:
    """What a human decided over the machine: from what, to what, who, when, why."""

    what: str
    before: str
    after: str
    who: str
    at: Moment
    why: str


@dataclass(frozen=True, slots=True)
class Decision:
    disposition: str
    headline: str
    codes: list[CodeLine]
    suspected: bool
    certainty: str
    alternatives: list[tuple[list[CodeLine], str]]
    """Each with why it was not chosen."""
    flags: list[Flagged]
    age: str
    requested: str
    assessed: str
    policy: str
    evidence: list[evidence.Group]
    issues: list[Mapping[str, str]]
    prompts: tuple[str, ...]
    """Questions for the clinician who reads it."""


def decision(row: Row, roots: Mapping[str, Resource], policy: Policy) -> Decision:
    """What the machine decided, as stored. ``roots`` are what its evidence points into, by resource type.

    What the sender was told is what was decided in the end, by whomever.
    """
    said = _parameters(orjson.loads(row["machine_decision"] or row["decision"])["parameter"])
    priority = _parameters(_one(said, "priority", []))
    told = issues(_one(_parameters(orjson.loads(row["decision"])["parameter"]), "outcome", {}))
    certainty, name = _one(said, "certainty", ""), _one(said, "policy", "")
    found = [{key: values[0] for key, values in _parameters(part).items()} for part in said.get("evidence", [])]
    return Decision(
        disposition=_one(said, "disposition", ""),
        headline=_headline(said, policy),
        codes=_codes(_one(said, "code", {})),
        suspected=certainty == "suspected",
        certainty=_CERTAINTIES.get(certainty, certainty),
        alternatives=[(_codes(one), one.get("text", "")) for one in said.get("alternative", [])],
        flags=_flagged(said.get("flag", []), told, policy),
        age=age_words(_parameters(_one(said, "age", [])), _birth_date(row), policy if name == policy.label else None),
        requested=_one(priority, "requested", ""),
        assessed=_one(priority, "assessed", ""),
        policy=name,
        evidence=evidence.groups(found, roots),
        issues=told,
        prompts=_prompts(row, policy),
    )


def corrections(row: Row, now: Now, policy: Policy) -> list[Correction]:
    """What humans have decided over the machine, the newest of each kind, in the order in which it was done."""
    said = _parameters(orjson.loads(row["decision"])["parameter"]).get("correction", [])
    found = [{name: str(values[0]) for name, values in _parameters(parts).items()} for parts in said]
    return [_correction(one, now, policy) for one in sorted(found, key=lambda one: one["at"])]


def _correction(said: Mapping[str, str], now: Now, policy: Policy) -> Correction:
    kind = said["kind"]
    words_of = {"queue": lambda text: words.queue_name(text, policy), "birth-date": words.birth_day}.get(kind, str)
    before = words_of(said["from"]) if "from" in said else "none" if kind == "code" else "not given"
    at = now.moment(said["at"])
    return Correction(words.sentence(kind), before, words_of(said["to"]), said["by"], at, said["reason"])


def _prompts(row: Row, policy: Policy) -> tuple[str, ...]:
    given = read_input(row["decision_input"])
    age = age_interval(given.patient.birth_date, given.received_on) if given.patient else None
    return prompts_of(given.referral.facts, vocabulary(), policy, age)


def _parameters(parameters: Sequence[Resource]) -> dict[str, list[Any]]:
    """FHIR Parameters by name: of each the value, the parts or the resource, whichever it has."""
    found: dict[str, list[Any]] = {}
    for parameter in parameters:
        value = next((value for name, value in parameter.items() if name != "name"), None)
        found.setdefault(parameter["name"], []).append(value)
    return found


def _one(parameters: Mapping[str, list[Any]], name: str, default: Any) -> Any:
    return next(iter(parameters.get(name, [])), default)


def _headline(said: Mapping[str, list[Any]], policy: Policy) -> str:
    queue = _one(said, "queue", "")
    if _one(said, "disposition", "") == "review":
        return f"Held for a person to decide, in {words.queue_name(queue, policy)}"
    return f"Routed to {words.queue_name(queue, policy)}" if queue else "No queue"


def _flagged(flags: list[str], told: list[Mapping[str, str]], policy: Policy) -> list[Flagged]:
    here = {issue["rule"]: issue["words"] for issue in told if issue["rule"] != Flag.RED_FLAG}
    return [Flagged(chip, here.get(chip.kind, chip.meaning)) for chip in words.flag_chips(flags, policy)]


def _codes(concept: Resource) -> list[CodeLine]:
    return [
        CodeLine(people.system_name(one.get("system", "")), one.get("code", ""), one.get("display", ""))
        for one in concept.get("coding", [])
    ]


def _birth_date(row: Row) -> str | None:
    given = orjson.loads(row["decision_input"])["patient"]
    return given["birth_date"] if given else None


def age_words(age: Mapping[str, list[Any]], birth_date: str | None, policy: Policy | None) -> str:
    """How the age was worked out, and which side it falls on when the policy is still the one that decided."""
    if not age:
        return f"Not worked out: {words.born(birth_date)}."
    minimum, maximum = _one(age, "min", 0), _one(age, "max", 0)
    on = words.day(date.fromisoformat(_one(age, "on", "")))
    start = words.born(birth_date)
    told = f"{start[:1].upper()}{start[1:]}, so {words.interval(minimum, maximum)} on {on}, the day of first receipt"
    return f"{told}{_side(minimum, maximum, policy)}."


def _side(minimum: int, maximum: int, policy: Policy | None) -> str:
    if policy is None:
        return ""
    band, adult = policy.transition, policy.adult_from
    if band is not None and band.from_age <= minimum and maximum < band.to_age:
        name = words.queue_name(band.queue, policy)
        return f"; this site's ages {band.from_age} up to {band.to_age} go to {name}"
    if maximum < adult:
        return f"; under {adult}, {words.queue_name(Queue.PEDIATRIC, policy)}"
    if minimum >= adult:
        return f"; {adult} or over, {words.queue_name(Queue.ADULT, policy)}"
    return f"; that leaves open whether {adult} has been reached"


def issues(outcome: Resource) -> list[Mapping[str, str]]:
    """Issues of a stored OperationOutcome, in the order in which the sender was told."""
    return [
        {
            "severity": issue.get("severity", ""),
            "words": issue.get("diagnostics", "") or people.concept(issue.get("details")),
            "rule": next((one.get("code", "") for one in issue.get("details", {}).get("coding", [])), ""),
            "expression": ", ".join(issue.get("expression", [])),
        }
        for issue in outcome.get("issue", [])
    ]
