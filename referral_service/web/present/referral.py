"""The patient of a referral, and what its sender asks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import orjson

from referral_service.web.present import people, words
from referral_service.web.present.people import Contact, Key, Known, Line

Row = Mapping[str, Any]
Resource = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Patient:
    born: str
    gender: str
    deceased: str
    identifiers: tuple[Line, ...]
    reach: tuple[Line, ...]
    languages: str
    interpreter: str
    practitioners: tuple[str, ...]
    contacts: list[Contact]


def patient(row: Row, known: Known, related: Sequence[str]) -> Patient | None:
    """The Patient as the sender last sent it; None when it is not known yet."""
    if not row["patient"]:
        return None
    resource = orjson.loads(row["patient"])
    interpreter = people.needs_interpreter(resource)
    given = [known.name(row["client"], one) for one in resource.get("generalPractitioner", [])]
    return Patient(
        born=words.birth_day(resource["birthDate"]) if "birthDate" in resource else "not given",
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
    elements = ((row["request"], ("requester", "reasonReference")), (row["patient"], ("generalPractitioner",)))
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
    for reference in request.get("reasonReference", []):
        target = known.target(row["client"], reference, request) or {}
        reasons.append(people.concept(target.get("code")) or str(reference.get("display", "")))
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
