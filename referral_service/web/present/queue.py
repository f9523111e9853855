"""One line of a queue: all that a coordinator needs to choose what to open next."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from referral_service.fhir.names import name_of
from referral_service.policy import Policy
from referral_service.referral import Priority
from referral_service.web.present import people, words
from referral_service.web.present.people import Key, Known
from referral_service.web.present.words import Chip, Due, Moment, Now

Row = Mapping[str, Any]
MASKED = "entered-in-error"
PRIORITIES = tuple(priority.value for priority in Priority)


@dataclass(frozen=True, slots=True)
class Line:
    referral_id: str
    task_id: str
    version: int
    red_flag: bool
    priority: str
    status: str
    status_words: str
    notice: str
    assignee: str
    place: str
    name: str
    age: str
    code: str
    title: str
    suspected: bool
    said: str
    flags: list[Chip]
    received: Moment
    waited: str
    due: Due
    changed: Moment
    changed_ago: str
    sender: str
    client: str


def line(row: Row, known: Known, now: Now, policy: Policy) -> Line:
    """A row of a queue as it is shown. Nothing of the patient is left of a referral that was entered in error."""
    masked = row["referral_status"] == MASKED
    request = orjson.loads(row["request"])
    patient = orjson.loads(row["patient"]) if row["patient"] and not masked else {}
    code, title, suspected = _indication(orjson.loads(row["task"]))
    return Line(
        referral_id=row["referral_id"],
        task_id=row["task_id"],
        version=row["version"],
        red_flag=bool(row["red_flag"]),
        priority=PRIORITIES[row["priority_rank"]],
        status=row["status"],
        status_words=words.status(row["status"], policy),
        notice=words.sentence(row["business_status"]) if row["business_status"] else "",
        assignee=row["assignee"] or "",
        place=words.queue_name(row["queue"], policy),
        name="Entered in error" if masked else patient_name(row, patient, request, known),
        age="" if masked else _age(row, now),
        code="" if masked else code,
        title="" if masked else title,
        suspected=suspected and not masked,
        said="" if masked else _said(row, request, known),
        flags=words.flag_chips(row["flags"], policy),
        received=now.moment(row["authored_on"]),
        waited=now.waited(row["authored_on"]),
        due=words.due(row["due"], now.today),
        changed=now.moment(row["last_updated"]),
        changed_ago=now.ago(row["last_updated"]),
        sender=row["client"] if masked else row["sender"],
        client=row["client"],
    )


def patient_name(row: Row, patient: people.Resource, request: people.Resource, known: Known) -> str:
    """The stored Patient's name, else what the sender calls the subject."""
    if patient:
        return name_of(patient) or "Name not given"
    return known.name(row["client"], request.get("subject"), request) or "Patient not known yet"


def _indication(task: people.Resource) -> tuple[str, str, bool]:
    """Code, title and whether it is only suspected, as the Task's reason states them."""
    reason = task.get("reasonCode", {})
    first: people.Resource = next(iter(reason.get("coding", [])), {})
    return first.get("code", ""), first.get("display", ""), reason.get("text", "").startswith("Suspected ")


def _age(row: Row, now: Now) -> str:
    """By the birth date as the patient's record states it, or as somebody here has made sure of it."""
    return (
        words.age_and_birth(row["born"] or None, now.today) if row["patient"] or row["born"] else "record not sent yet"
    )


def _said(row: Row, request: people.Resource, known: Known) -> str:
    """The reason in the sender's own words, for a referral without a code."""
    said = [people.concept(one) for one in request.get("reasonCode", [])]
    for reference in request.get("reasonReference", []):
        target = known.target(row["client"], reference, request) or {}
        said += [str(reference.get("display", "")), people.concept(target.get("code"))]
    return next((reason for reason in said if reason), "")


def wanted(rows: Iterable[Row]) -> Iterator[Key]:
    """What has to be looked up before lines can give their reasons."""
    for row in rows:
        for reference in people.references_of(orjson.loads(row["request"]), "reasonReference"):
            yield row["client"], reference


def ends_of_roles(known: Known) -> set[Key]:
    """A PractitionerRole is named by whom it leads to."""
    return {
        (client, reference)
        for (client, _), resource in known.resources.items()
        if resource.get("resourceType") == "PractitionerRole"
        for reference in people.references_of(resource, "practitioner", "organization")
    }
