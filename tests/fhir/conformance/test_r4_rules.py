"""Invariants of types and the rules of Bundles."""

from __future__ import annotations

from typing import Any

import pytest

from referral_service.fhir.conformance import check, invariants, table
from referral_service.fhir.parse import Number
from tests.fhir.conformance.r4_samples import (
    CONDITION,
    OBSERVATION,
    PATIENT,
    REFERRAL,
    TASK,
    TRANSACTION,
    Finding,
    changed,
    findings,
)

UCUM = "http://unitsofmeasure.org"
TERMINOLOGY = "http://terminology.hl7.org/CodeSystem/"
# fmt: off
STORED = [
    "ServiceRequest", "Task", "Patient", "RelatedPerson", "Practitioner", "PractitionerRole", "Organization",
    "Location", "Condition", "Observation", "DiagnosticReport", "Procedure", "AllergyIntolerance",
    "FamilyMemberHistory", "MedicationStatement", "MedicationRequest", "Encounter", "DocumentReference", "Binary",
    "QuestionnaireResponse", "Communication", "Appointment", "Provenance", "AuditEvent", "HealthcareService",
    "Subscription", "MessageHeader", "Bundle", "Parameters", "Period", "Attachment", "Timing", "Quantity",
    "Reference", "Extension", "Element",
]
# fmt: on


def keys(payload: Any) -> list[tuple[str, str]]:
    return [
        (issue.expression, issue.diagnostics.partition(":")[0]) for issue in check(payload) if issue.rule == "invariant"
    ]


def concept(system: str, code: str) -> dict[str, Any]:
    return {"coding": [{"system": TERMINOLOGY + system, "code": code}]}


def timed(**repeat: Any) -> dict[str, Any]:
    return changed(REFERRAL, (("occurrencePeriod",), ...), (("occurrenceTiming",), {"repeat": repeat}))


def extended(name: str, value: Any) -> dict[str, Any]:
    return changed(PATIENT, (("extension",), [{"url": "http://a", name: value}]))


PERIOD = [
    ("2024", "2024", True),
    ("2024-05-20", "2024-05", True),
    ("2024-05", "2024-05-01", True),
    ("2025", "2024-12-31", False),
    ("2024-06", "2024-05-31", False),
    ("2024-05-02", "2024-05-01", False),
    ("2024-05-06T10:00:00Z", "2024-05-06T11:00:00+02:00", False),
    ("2024-05-06T10:00:00Z", "2024-05-06T12:00:00+02:00", True),
    ("2024-05-06T10:00:00.5Z", "2024-05-06T10:00:00.25Z", False),
    ("2024-05-06T10:00:00.123456789Z", "2024-05-06T10:00:00.123456781Z", True),
    ("2024-05-06T23:59:60Z", "2024-05-07T00:00:00Z", True),
    ("2024-05-07T01:00:00+02:00", "2024-05-06", True),
    ("2024-05-08T12:00:00Z", "2024-05-06", False),
    ("2024-05-06", "2024-05-05T23:00:00-05:00", True),
    ("2024-05-08", "2024-05-06T10:00:00Z", False),
    ("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:60-14:00", True),
    ("2024-13", "2023", None),
]


@pytest.mark.parametrize(("start", "end", "holds"), PERIOD)
def test_a_period_ends_no_earlier_than_it_starts_as_far_as_can_be_told(
    start: str, end: str, holds: bool | None
) -> None:
    payload = changed(REFERRAL, (("occurrencePeriod",), {"start": start, "end": end}))
    assert keys(payload) == ([] if holds is not False else [("ServiceRequest.occurrencePeriod", "per-1")])


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (changed(PATIENT, (("photo",), [{"data": "QQ=="}])), [("Patient.photo[0]", "att-1")]),
        (changed(PATIENT, (("photo",), [{"data": "QQ==", "contentType": "image/png"}])), []),
        (changed(PATIENT, (("telecom",), [{"value": "1"}])), [("Patient.telecom[0]", "cpt-2")]),
        (changed(PATIENT, (("contact",), [{"gender": "male"}])), [("Patient.contact[0]", "pat-1")]),
        (changed(OBSERVATION, (("valueQuantity", "system"), ...)), [("Observation.valueQuantity", "qty-3")]),
        (extended("valueAge", {"value": 0, "code": "a", "system": UCUM}), [("Patient.extension[0].valueAge", "age-1")]),
        (
            extended("valueAge", {"value": Number("1e999999999999999999999"), "code": "a", "system": UCUM}),
            [],
        ),
        (
            extended("valueCount", {"value": Number("1.5"), "code": "1", "system": UCUM}),
            [("Patient.extension[0].valueCount", "cnt-3")],
        ),
        (extended("valueDistance", {"value": 1}), [("Patient.extension[0].valueDistance", "dis-1")]),
        (extended("valueDuration", {"code": "h", "system": UCUM}), [("Patient.extension[0].valueDuration", "drt-1")]),
        (extended("valueRatio", {"numerator": {"value": 1}}), [("Patient.extension[0].valueRatio", "rat-1")]),
        (
            extended("valueRange", {"low": {"value": 2}, "high": {"value": Number("1.5")}}),
            [("Patient.extension[0].valueRange", "rng-2")],
        ),
        (extended("valueRange", {"low": {"value": 2, "unit": "g"}, "high": {"value": 1, "unit": "kg"}}), []),
        (timed(duration=2), [("ServiceRequest.occurrenceTiming.repeat", "tim-1")]),
        (timed(period=2), [("ServiceRequest.occurrenceTiming.repeat", "tim-2")]),
        (timed(duration=Number("-0.5"), durationUnit="h"), [("ServiceRequest.occurrenceTiming.repeat", "tim-4")]),
        (timed(period=-1, periodUnit="d"), [("ServiceRequest.occurrenceTiming.repeat", "tim-5")]),
        (timed(periodMax=1), [("ServiceRequest.occurrenceTiming.repeat", "tim-6")]),
        (timed(durationMax=1), [("ServiceRequest.occurrenceTiming.repeat", "tim-7")]),
        (timed(countMax=1), [("ServiceRequest.occurrenceTiming.repeat", "tim-8")]),
        (timed(offset=5), [("ServiceRequest.occurrenceTiming.repeat", "tim-9")]),
        (timed(offset=5, when=["CM"]), [("ServiceRequest.occurrenceTiming.repeat", "tim-9")]),
        (timed(offset=5, when=["PCM"]), []),
        (timed(when=["CM"], timeOfDay=["10:00:00"]), [("ServiceRequest.occurrenceTiming.repeat", "tim-10")]),
        (changed(REFERRAL, (("code",), ...), (("orderDetail",), [{"text": "x"}])), [("ServiceRequest", "prr-1")]),
        (changed(TASK, (("lastModified",), "2024-05-01")), [("Task", "inv-1")]),
        (changed(OBSERVATION, (("dataAbsentReason",), {"text": "x"})), [("Observation", "obs-6")]),
        (changed(OBSERVATION, (("component",), [{"code": OBSERVATION["code"]}])), [("Observation", "obs-7")]),
        (
            changed(OBSERVATION, (("referenceRange",), [{"appliesTo": [{"text": "x"}]}])),
            [("Observation.referenceRange[0]", "obs-3")],
        ),
        (
            changed(
                OBSERVATION,
                (("component",), [{"code": {"text": "x"}, "referenceRange": [{"age": {"low": {"value": 1}}}]}]),
            ),
            [("Observation.component[0].referenceRange[0]", "obs-3")],
        ),
        (changed(CONDITION, (("abatementDateTime",), "2024")), [("Condition", "con-4")]),
        (
            changed(CONDITION, (("verificationStatus",), concept("condition-ver-status", "entered-in-error"))),
            [("Condition", "con-5")],
        ),
        (changed(CONDITION, (("stage",), [{"type": {"text": "x"}}])), [("Condition.stage[0]", "con-1")]),
        (
            changed(CONDITION, (("evidence",), [{"extension": [{"url": "http://a", "valueCode": "x"}]}])),
            [("Condition.evidence[0]", "con-2")],
        ),
        ({"resourceType": "AllergyIntolerance", "patient": {"display": "x"}}, [("AllergyIntolerance", "ait-1")]),
        (
            {
                "resourceType": "AllergyIntolerance",
                "patient": {"display": "x"},
                "clinicalStatus": concept("allergyintolerance-clinical", "active"),
                "verificationStatus": concept("allergyintolerance-verification", "entered-in-error"),
            },
            [("AllergyIntolerance", "ait-2")],
        ),
        (
            {
                "resourceType": "Appointment",
                "status": "booked",
                "start": "2024-05-06T10:00:00Z",
                "cancelationReason": {"text": "x"},
                "participant": [{"status": "accepted"}],
            },
            [
                ("Appointment.participant[0]", "app-1"),
                ("Appointment", "app-2"),
                ("Appointment", "app-3"),
                ("Appointment", "app-4"),
            ],
        ),
        (
            {
                "resourceType": "Organization",
                "telecom": [{"use": "home"}],
                "address": [{"use": "work"}, {"use": "home"}],
            },
            [("Organization.telecom[0]", "org-3"), ("Organization.address[1]", "org-2"), ("Organization", "org-1")],
        ),
        (
            {
                "resourceType": "FamilyMemberHistory",
                "status": "completed",
                "patient": {"display": "x"},
                "relationship": {"text": "x"},
                "bornString": "x",
                "estimatedAge": True,
            },
            [("FamilyMemberHistory", "fhs-2")],
        ),
        (
            {
                "resourceType": "Parameters",
                "parameter": [{"name": "a"}, {"name": "b", "valueString": "x", "resource": PATIENT}],
            },
            [("Parameters.parameter[0]", "inv-1"), ("Parameters.parameter[1]", "inv-1")],
        ),
        (
            {
                "resourceType": "QuestionnaireResponse",
                "status": "completed",
                "item": [{"linkId": "1", "answer": [{"valueBoolean": True}], "item": [{"linkId": "2"}]}],
            },
            [("QuestionnaireResponse.item[0]", "qrs-1")],
        ),
        (
            {
                "resourceType": "CarePlan",
                "status": "active",
                "intent": "plan",
                "subject": {"display": "x"},
                "activity": [{"detail": {"status": "unknown"}, "reference": {"display": "x"}}],
            },
            [("CarePlan.activity[0]", "cpl-3")],
        ),
    ],
)
def test_invariants_hold_and_are_named_by_their_key(payload: dict[str, Any], expected: list[tuple[str, str]]) -> None:
    assert keys(payload) == expected


def test_what_the_specification_calls_a_guideline_is_a_warning() -> None:
    problem = changed(
        CONDITION, (("clinicalStatus",), ...), (("category",), [concept("condition-category", "problem-list-item")])
    )
    assert [(issue.rule, issue.severity) for issue in check(problem)] == [("invariant", "warning")]


def test_no_comparator_stands_in_a_simple_quantity() -> None:
    low = {"value": 1, "comparator": "<"}
    payload = changed(OBSERVATION, (("valueQuantity", "comparator"), "<"), (("referenceRange",), [{"low": low}]))
    assert findings(payload) == [("Observation.referenceRange[0].low.comparator", "too-many-values")]


@pytest.mark.parametrize("type_name", STORED)
def test_every_constraint_of_the_stored_types_is_judged(type_name: str) -> None:
    assert [constraint.key for constraint in invariants.uncovered(type_name)] == []


def test_every_invariant_that_is_judged_is_one_of_the_table() -> None:
    known = {(each.owner, each.key) for name, _ in invariants.HOLDS for each in table.definition(name).constraints}
    assert set(invariants.HOLDS) <= known


def bundle(kind: str, *entries: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"resourceType": "Bundle", "type": kind, **({"entry": list(entries)} if entries else {}), **more}


RESOURCE = {"resource": {"resourceType": "Patient"}}
REQUEST = {"request": {"method": "GET", "url": "Patient/1"}}
RESPONSE = {"response": {"status": "200"}}
COMPOSITION = {
    "resource": {
        "resourceType": "Composition",
        "status": "final",
        "type": {"text": "x"},
        "date": "2024",
        "author": [{"display": "x"}],
        "title": "x",
    }
}
HEADER = {
    "resource": {"resourceType": "MessageHeader", "eventCoding": {"code": "x"}, "source": {"endpoint": "http://a"}}
}
URL = "https://a.example/fhir/Patient/1"
SIGNED = {"identifier": {"system": "http://a", "value": "1"}, "timestamp": "2024-05-06T10:20:30Z"}


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (bundle("collection"), []),
        (bundle("searchset", RESOURCE | {"search": {"mode": "match"}}, total=1), []),
        (bundle("history", REQUEST | RESPONSE, total=0), []),
        (bundle("batch", RESOURCE | {"request": {"method": "POST", "url": "Patient"}}, REQUEST), []),
        (bundle("transaction-response", RESPONSE), []),
        (bundle("document", COMPOSITION, RESOURCE, **SIGNED), []),
        (bundle("message", HEADER), []),
        (bundle("collection", RESOURCE, total=1), [(".total", "bdl-1")]),
        (bundle("collection", RESOURCE | {"search": {"mode": "match"}}), [(".entry[0].search", "bdl-2")]),
        (bundle("transaction", RESOURCE, REQUEST), [(".entry[0].request", "bdl-3")]),
        (bundle("searchset", REQUEST), [(".entry[0].request", "bdl-3")]),
        (bundle("batch-response", RESOURCE), [(".entry[0].response", "bdl-4")]),
        (bundle("searchset", RESPONSE), [(".entry[0].response", "bdl-4")]),
        (bundle("history", REQUEST), [(".entry[0].response", "bdl-4")]),
        (bundle("collection", {"fullUrl": URL}), [(".entry[0]", "bdl-5")]),
        (
            bundle("collection", RESOURCE | {"fullUrl": URL}, RESOURCE | {"fullUrl": URL}),
            [(".entry[1].fullUrl", "bdl-7")],
        ),
        (
            bundle(
                "collection",
                *(
                    {"fullUrl": URL, "resource": {"resourceType": "Patient", "meta": {"versionId": version}}}
                    for version in ("1", "2", "1")
                ),
            ),
            [(".entry[2].fullUrl", "bdl-7")],
        ),
        (bundle("history", *(REQUEST | RESPONSE | {"fullUrl": URL} for _ in "ab")), []),
        (bundle("collection", RESOURCE | {"fullUrl": URL + "/_history/2"}), [(".entry[0].fullUrl", "bdl-8")]),
        (bundle("document", COMPOSITION), [(".identifier", "bdl-9"), (".timestamp", "bdl-10")]),
        (bundle("document", RESOURCE, COMPOSITION, **SIGNED), [(".entry[0]", "bdl-11")]),
        (bundle("document", **SIGNED), [(".entry", "bdl-11")]),
        (bundle("message", RESOURCE, HEADER), [(".entry[0]", "bdl-12")]),
        (bundle("message"), [(".entry", "bdl-12")]),
    ],
)
def test_a_bundle_keeps_the_rules_of_its_type(payload: dict[str, Any], expected: list[tuple[str, str]]) -> None:
    issues = check(payload)
    assert [(issue.expression, issue.rule) for issue in issues] == [
        (f"Bundle{each}", "bundle-rule") for each, _ in expected
    ]
    assert all(key in issue.diagnostics for issue, (_, key) in zip(issues, expected, strict=True))


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (bundle("banana", REQUEST), [("Bundle.type", "code-not-in-value-set")]),
        (changed(TRANSACTION, (("type",), ...)), [("Bundle.type", "missing-element")]),
        (
            bundle("batch", {"request": {"method": "PULL"}}),
            [
                ("Bundle.entry[0].request.method", "code-not-in-value-set"),
                ("Bundle.entry[0].request.url", "missing-element"),
            ],
        ),
        (
            changed(TRANSACTION, (("entry", 1, "resource", "status"), "banana")),
            [
                ("Bundle.entry[1].resource.status", "code-not-in-value-set"),
            ],
        ),
        (
            bundle("transaction", RESOURCE | {"resourceType": "Patient"}, REQUEST),
            [
                ("Bundle.entry[0].resourceType", "unknown-element"),
                ("Bundle.entry[0].request", "bundle-rule"),
            ],
        ),
    ],
)
def test_what_is_wrong_inside_an_entry_is_told_there(payload: dict[str, Any], expected: list[Finding]) -> None:
    assert findings(payload) == expected
