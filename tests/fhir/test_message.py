"""Messages that we write are valid, and say what became of a referral in the receiver's own terms."""

from __future__ import annotations

from typing import Any

import pytest

from referral_service.fhir import package
from referral_service.fhir.bundle import Entry
from referral_service.fhir.conformance import check
from referral_service.fhir.messages import Act, Asked, act_of, events
from referral_service.fhir.writer import Programme, Told, message_answer, message_of_change, outcome
from referral_service.issues import error
from tests.shapes import OWN, Resource, referral

BASE = "https://referrals.example/fhir"
TOLD = Told(
    "0a2c09e6-be18-4059-8a71-bb36932de6e8",
    "2026-03-16T12:00:00.000Z",
    BASE,
    "m-1",
    "https://ehr.example/fhir/$process-message",
    "Invented EHR",
)
BSER_STATUS = "http://hl7.org/fhir/us/bser/CodeSystem/TaskBusinessStatusCS"
OURS = f"{OWN}/CodeSystem/business-status"


def task(status: str = "accepted", business_status: str | None = None) -> Resource:
    shown = {"coding": [{"system": OURS, "code": business_status}]} if business_status else None
    return {
        "resourceType": "Task",
        "id": "t-1",
        "status": status,
        "intent": "order",
        "focus": {"reference": "ServiceRequest/s-1"},
        "owner": {"reference": "HealthcareService/adult-movement-disorders"},
        **({"businessStatus": shown} if shown else {}),
    }


def told_of(programme: Programme, one: Resource) -> tuple[Resource, list[Resource]]:
    """The header of a message that tells of a Task, and what stands beside it."""
    bundle = message_of_change(programme, TOLD, one, referral(id="s-1"))
    assert [issue for issue in check(bundle) if issue.is_error] == []
    header, *others = [entry["resource"] for entry in bundle["entry"]]
    assert [entry["fullUrl"] for entry in bundle["entry"]][1:] == [
        f"{BASE}/{other['resourceType']}/{other['id']}" for other in others
    ]
    return header, others


@pytest.mark.parametrize(
    ("programme", "event", "focus"),
    [
        (Programme.BSER, ("http://terminology.hl7.org/CodeSystem/v2-0003", "I12"), "Task/t-1"),
        (
            Programme.BARS,
            ("https://fhir.nhs.uk/CodeSystem/message-events-bars", "servicerequest-response"),
            "ServiceRequest/s-1",
        ),
    ],
)
def test_a_change_is_told_by_the_event_of_the_receivers_programme(
    programme: Programme, event: tuple[str, str], focus: str
) -> None:
    header, others = told_of(programme, task())
    assert (header["eventCoding"]["system"], header["eventCoding"]["code"]) == event
    assert header["focus"] == [{"reference": f"{BASE}/{focus}"}]
    assert header["response"] == {"identifier": "m-1", "code": "ok"}
    assert header["destination"] == [{"name": TOLD.name, "endpoint": TOLD.endpoint}]
    assert header["source"]["endpoint"] == f"{BASE}/$process-message"
    assert header["definition"] == f"{OWN}/MessageDefinition/{programme.value}"
    assert {one["resourceType"] for one in others} == {"Task", "ServiceRequest"}
    assert next(one for one in others if one["resourceType"] == "Task")["owner"] == task()["owner"]


@pytest.mark.parametrize(
    ("status", "business_status", "code"),
    [
        ("requested", None, "2.0"),
        ("accepted", None, "3.0"),
        ("accepted", "appointment-booked", "5.1.1"),
        ("in-progress", "cancellation-requested", "5.2"),
        ("on-hold", "awaiting-information", None),
        ("rejected", None, "4.0"),
        ("cancelled", None, "6.0"),
        ("completed", "seen", "5.1.4"),
        ("completed", None, "7.0"),
        ("failed", None, None),
    ],
)
def test_bser_is_told_the_business_status_in_its_own_terms_beside_ours(
    status: str, business_status: str | None, code: str | None
) -> None:
    _, (first, _) = told_of(Programme.BSER, task(status, business_status))
    codings = {one["system"]: one["code"] for one in first.get("businessStatus", {}).get("coding", [])}
    expected = {BSER_STATUS: code, OURS: business_status}
    assert (first["status"], codings) == (status, {system: one for system, one in expected.items() if one})


def test_every_status_of_a_task_is_mapped_or_said_to_have_no_match() -> None:
    from referral_service.worklist.table import MOVES

    (group,) = package.definitions()["ConceptMap"]["task-status-to-bser"]["group"]
    assert {one["code"] for one in group["element"]} == set(MOVES)


@pytest.mark.parametrize("asked", [Asked(), Asked({"eventUri": "urn:example:event"}, "m-1", None, "urn:ehr", "EHR")])
def test_an_answer_to_whatever_could_be_read_is_a_valid_message(asked: Asked) -> None:
    fault = outcome([error("not-supported", "event-not-supported", "No.")])
    bundle = message_answer(asked, TOLD, fault, (), is_ok=False)
    assert [issue for issue in check(bundle) if issue.is_error] == []
    header = bundle["entry"][0]["resource"]
    assert header["response"]["code"] == "fatal-error"
    assert header["response"]["details"]["reference"] == bundle["entry"][1]["fullUrl"] != bundle["entry"][0]["fullUrl"]


def test_the_events_taken_are_those_of_the_message_definitions() -> None:
    assert events() == [
        "https://fhir.nhs.uk/CodeSystem/message-events-bars#servicerequest-request",
        "http://terminology.hl7.org/CodeSystem/v2-0003#I12",
    ]


def _entry(resource: Any) -> Entry:
    return Entry("Bundle.entry[1].resource", resource)


@pytest.mark.parametrize(
    ("reason", "task_status", "status", "act"),
    [
        (None, None, "active", Act.CREATE),
        ("new", "requested", "active", Act.CREATE),
        ("update", None, "active", Act.UPDATE),
        ("new", "in-progress", "active", Act.UPDATE),
        ("update", None, "revoked", Act.REVOKED),
        ("new", "cancelled", "active", Act.REVOKED),
        (None, "cancelled", "entered-in-error", Act.ENTERED_IN_ERROR),
    ],
)
def test_of_all_that_a_message_says_the_weightiest_counts(
    reason: str | None, task_status: str | None, status: str, act: Act
) -> None:
    system = "https://fhir.nhs.uk/CodeSystem/message-reason-bars"
    header = {"reason": {"coding": [{"system": system, "code": reason}]}} if reason else {}
    tasks = [_entry({"resourceType": "Task", "status": task_status})] if task_status else []
    assert act_of(header, tasks, _entry(referral(status=status))) is act
