"""One referral on one page: the patient, what was asked, what was decided and why, and what has happened since."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import orjson

from referral_service.policy import Policy
from referral_service.referral import Queue
from referral_service.web.present import evidence, people, words
from referral_service.web.present.people import Contact, Key, Known, Line
from referral_service.web.present.words import Chip, Moment, Now

Row = Mapping[str, Any]
Resource = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Patient:
    name: str
    age: str
    born: str
    gender: str
    deceased: str
    identifiers: tuple[Line, ...]
    reach: tuple[Line, ...]
    languages: str
    interpreter: str
    practitioners: tuple[str, ...]
    contacts: list[Contact]


def patient(row: Row, known: Known, related: Sequence[str], now: Now) -> Patient | None:
    """The Patient as the sender last sent it; None when it is not known yet."""
    if not row["patient"]:
        return None
    resource = orjson.loads(row["patient"])
    interpreter = people.needs_interpreter(resource)
    given = [known.name(row["client"], one) for one in resource.get("generalPractitioner", [])]
    return Patient(
        name=people.name_of(resource) or "Name not given",
        age=words.age(resource.get("birthDate"), now.today),
        born=words.born(resource.get("birthDate")),
        gender=resource.get("gender", ""),
        deceased=_deceased(resource),
        identifiers=people.identifiers(resource),
        reach=(*people.telecoms(resource), *people.addresses(resource)),
        languages=people.languages(resource),
        interpreter="" if interpreter is None else "Interpreter needed" if interpreter else "No interpreter needed",
        practitioners=tuple(name for name in given if name),
        contacts=people.contacts(resource, [orjson.loads(text) for text in related]),
    )


def _deceased(resource: Resource) -> str:
    if "deceasedDateTime" in resource:
        return f"Died {resource['deceasedDateTime'][:10]}"
    return "Deceased" if resource.get("deceasedBoolean") else ""


def wanted(row: Row) -> Iterator[Key]:
    """What has to be looked up before a referral can name its people."""
    elements = ((row["request"], ("requester", "performer")), (row["patient"], ("generalPractitioner",)))
    for text, names in elements:
        if text:
            for reference in people.references_of(orjson.loads(text), *names):
                yield row["client"], reference


@dataclass(frozen=True, slots=True)
class Asked:
    """The request in the sender's own words."""

    service: str
    reasons: list[str]
    notes: list[str]
    requester: str
    requester_lines: tuple[Line, ...]
    authored: str
    identifiers: tuple[Line, ...]


def asked(row: Row, known: Known) -> Asked:
    request = orjson.loads(row["request"])
    reasons = [people.concept(one) for one in request.get("reasonCode", [])]
    reasons += [str(one.get("display", "")) for one in request.get("reasonReference", [])]
    notes = [str(note.get("text", "")) for note in request.get("note", [])]
    who = known.target(row["client"], request.get("requester"), request)
    return Asked(
        service=people.concept(request.get("code")),
        reasons=[reason for reason in dict.fromkeys(reasons) if reason],
        notes=[note for note in (*notes, request.get("patientInstruction", "")) if note],
        requester=known.name(row["client"], request.get("requester"), request),
        requester_lines=people.telecoms(who) if who else (),
        authored=_authored(request.get("authoredOn", "")),
        identifiers=people.identifiers(request),
    )


def _authored(sent: str) -> str:
    """The day the sender wrote it, as sent: it may be no more than a year."""
    try:
        return words.day(date.fromisoformat(sent[:10]))
    except ValueError:
        return sent


@dataclass(frozen=True, slots=True)
class CodeLine:
    system: str
    code: str
    title: str


@dataclass(frozen=True, slots=True)
class Decision:
    disposition: str
    headline: str
    codes: list[CodeLine]
    suspected: bool
    certainty: str
    alternatives: list[list[CodeLine]]
    flags: list[Chip]
    age: str
    requested: str
    assessed: str
    policy: str
    evidence: list[evidence.Group]
    issues: list[Mapping[str, str]]


def decision(row: Row, roots: Mapping[str, Resource], policy: Policy) -> Decision:
    """What the machine decided, as stored. ``roots`` are what its evidence points into, by resource type."""
    said = _parameters(orjson.loads(row["decision"])["parameter"])
    priority = _parameters(_one(said, "priority", []))
    certainty, name = _one(said, "certainty", ""), _one(said, "policy", "")
    found = [{key: values[0] for key, values in _parameters(part).items()} for part in said.get("evidence", [])]
    return Decision(
        disposition=_one(said, "disposition", ""),
        headline=_headline(said, policy),
        codes=_codes(_one(said, "code", {})),
        suspected=certainty == "suspected",
        certainty={"suspected": "suspected, not confirmed", "confirmed": "stated as confirmed"}.get(certainty, certainty),
        alternatives=[_codes(concept) for concept in said.get("alternative", [])],
        flags=words.flag_chips(said.get("flag", []), policy),
        age=age_words(_parameters(_one(said, "age", [])), _birth_date(row), policy if name == policy.label else None),
        requested=_one(priority, "requested", ""),
        assessed=_one(priority, "assessed", ""),
        policy=name,
        evidence=evidence.groups(found, roots),
        issues=issues(_one(said, "outcome", {})),
    )


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
        return f"; this site’s ages {band.from_age} up to {band.to_age} go to {name}"
    if maximum < adult:
        return f"; under {adult}, {words.queue_name(Queue.PEDIATRIC, policy)}"
    if minimum >= adult:
        return f"; {adult} or over, {words.queue_name(Queue.ADULT, policy)}"
    return f"; that leaves open whether {adult} has been reached"


def issues(outcome: Resource) -> list[Mapping[str, str]]:
    """Issues of a stored OperationOutcome, the gravest kind of word first in each."""
    return [
        {
            "severity": issue.get("severity", ""),
            "words": issue.get("diagnostics", "") or people.concept(issue.get("details")),
            "rule": next((one.get("code", "") for one in issue.get("details", {}).get("coding", [])), ""),
            "expression": ", ".join(issue.get("expression", [])),
        }
        for issue in outcome.get("issue", [])
    ]


@dataclass(frozen=True, slots=True)
class Event:
    at: Moment
    who: str
    what: str
    why: str


def timeline(rows: Sequence[Row], now: Now, policy: Policy) -> list[Event]:
    """What happened to a Task, newest first; each change told against the one before."""
    befores: list[Row | None] = [None, *rows]
    events = [
        Event(now.moment(row["at"]), _who(row["actor"]), _what(before, row, policy), _why(row["reason"]))
        for before, row in zip(befores, rows, strict=False)
    ]
    return events[::-1]


def _who(actor: str) -> str:
    return "This service" if actor == "referral-service" else actor


def _what(before: Row | None, row: Row, policy: Policy) -> str:
    queue = words.queue_name(row["queue"], policy)
    if before is None:
        return f"Received and placed in {queue}"
    told = []
    if row["queue"] != before["queue"]:
        told.append(f"Moved from {words.queue_name(before['queue'], policy)} to {queue}")
    if row["status"] != before["status"]:
        told.append(words.STATUSES.get(row["status"], words.sentence(row["status"])))
    if row["business_status"] and row["business_status"] != before["business_status"]:
        told.append(words.sentence(row["business_status"]))
    return "; ".join(told) or "Updated; queue and status unchanged"


def _why(reason: str | None) -> str:
    """The reason of a move: a CodeableConcept as JSON, or plain words."""
    if not reason:
        return ""
    try:
        stated = orjson.loads(reason)
    except orjson.JSONDecodeError:
        return reason
    if not isinstance(stated, Mapping):
        return reason
    text = people.concept(stated)
    return text if stated.get("text") else words.sentence(text)
