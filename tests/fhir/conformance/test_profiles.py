"""Profiles: what each of them asks beyond R4, who claims them, and how each kind of narrowing is judged."""

from __future__ import annotations

from typing import Any

import pytest

from referral_service.fhir.conformance import check
from tests.fhir.conformance.r4_samples import CONDITION, PATIENT, REFERRAL, TRANSACTION, changed, findings

C = "https://referral-service.example/fhir"
P = f"{C}/StructureDefinition/"
V2 = "http://terminology.hl7.org/CodeSystem/v2-0203"
INTAKE, TASK, PERSON, PROBLEM = (
    P + name for name in ("dystonia-referral", "referral-task", "referral-patient", "referral-condition")
)


def concept(system: str, code: str) -> dict[str, Any]:
    return {"coding": [{"system": system, "code": code}]}


GOOD_TASK: dict[str, Any] = {
    "resourceType": "Task",
    "id": "t1",
    "meta": {"tag": [{"system": f"{C}/CodeSystem/flag", "code": "red-flag"}]},
    "extension": [{"url": P + "assignee", "valueString": "Dr One"}],
    "identifier": [
        {
            "type": concept(V2, "FILL"),
            "system": "urn:ietf:rfc:3986",
            "value": "urn:uuid:0d9a3b0e-6c1c-4b7e-9b50-0d3cfa3f3b11",
        },
        {"type": concept(V2, "PLAC"), "system": "https://ehr.example/orders", "value": "7"},
    ],
    "status": "requested",
    "intent": "order",
    "priority": "urgent",
    "code": concept("http://hl7.org/fhir/CodeSystem/task-code", "fulfill"),
    "focus": {"reference": "ServiceRequest/1"},
    "for": {"reference": "Patient/1"},
    "authoredOn": "2024-05-06T10:20:30Z",
    "lastModified": "2024-05-06T10:20:30Z",
    "owner": {"reference": "HealthcareService/adult-movement-disorders"},
    "reasonCode": concept("http://hl7.org/fhir/sid/icd-10-cm", "G24.3"),
    "restriction": {"period": {"end": "2024-06-06"}},
}
WHY = concept(f"{C}/CodeSystem/status-reason", "capacity")


def asked(payload: Any, *profiles: str) -> list[tuple[str, str, str, str]]:
    return [(issue.expression, issue.rule, issue.code, issue.severity) for issue in check(payload, profiles)]


@pytest.mark.parametrize(
    ("payload", "profile"),
    [
        (REFERRAL, INTAKE),
        (
            changed(REFERRAL, *(((name,), ...) for name in ("identifier", "requester", "reasonCode", "code", "note"))),
            INTAKE,
        ),
        (
            changed(REFERRAL, (("subject",), {"identifier": {"value": "1"}, "type": "Patient"}), (("contained",), ...)),
            INTAKE,
        ),
        (changed(REFERRAL, (("subject",), {"identifier": {"value": "1"}}), (("contained",), ...)), INTAKE),
        (changed(REFERRAL, (("subject",), {"reference": "https://ehr.example/x"}), (("contained",), ...)), INTAKE),
        (PATIENT, PERSON),
        ({"resourceType": "Patient"}, PERSON),
        (CONDITION, PROBLEM),
        (GOOD_TASK, TASK),
        (changed(GOOD_TASK, (("status",), "rejected"), (("statusReason",), WHY)), TASK),
        (changed(GOOD_TASK, (("extension",), [{"url": "https://a.example/x", "valueCode": "x"}])), TASK),
        (
            changed(
                GOOD_TASK,
                (("extension", 0), {"url": P + "assignee", "valueReference": {"reference": "Practitioner/1"}}),
            ),
            TASK,
        ),
        (changed(GOOD_TASK, (("businessStatus",), concept("https://clinic.example/words", "seen-today"))), TASK),
        (changed(GOOD_TASK, (("focus", "reference"), "ServiceRequest/1/_history/2")), TASK),
    ],
)
def test_what_a_profile_allows_has_no_faults(payload: dict[str, Any], profile: str) -> None:
    assert asked(payload, profile) == []


INFO, WARN, ERROR = "information", "warning", "error"


@pytest.mark.parametrize(
    ("payload", "profile", "expected"),
    [
        (
            changed(REFERRAL, (("subject",), {"reference": "Group/1"}), (("contained",), ...)),
            INTAKE,
            [("subject", "profile", "value", ERROR)],
        ),
        (
            changed(REFERRAL, (("subject",), {"display": "x", "type": "Device"}), (("contained",), ...)),
            INTAKE,
            [("subject", "profile", "value", ERROR)],
        ),
        (
            changed(
                REFERRAL, (("contained", 0), {"resourceType": "Group", "id": "p1", "type": "person", "actual": False})
            ),
            INTAKE,
            [("subject", "profile", "value", ERROR)],
        ),
        (
            changed(REFERRAL, (("subject",), {"reference": "Practitioner/1"}), (("contained",), ...)),
            INTAKE,
            [("subject.reference", "reference-target", "value", ERROR), ("subject", "profile", "value", ERROR)],
        ),
        (
            changed(REFERRAL, (("reasonCode", 0, "coding", 0, "code"), "R52")),
            INTAKE,
            [("reasonCode[0]", "code-not-in-value-set", "code-invalid", INFO)],
        ),
        (
            changed(REFERRAL, (("meta",), {"tag": [{"system": f"{C}/CodeSystem/queue", "code": "x"}]})),
            INTAKE,
            [("meta.tag[0]", "code-not-in-value-set", "code-invalid", WARN)],
        ),
        (changed(GOOD_TASK, (("intent",), "plan")), TASK, [("intent", "profile", "value", ERROR)]),
        (changed(GOOD_TASK, (("code",), ...)), TASK, [("code", "profile", "required", ERROR)]),
        (
            changed(GOOD_TASK, (("code", "coding", 0, "code"), "approve")),
            TASK,
            [("code", "profile", "value", ERROR)],
        ),
        (changed(GOOD_TASK, (("code",), {"text": "x"})), TASK, [("code", "profile", "value", ERROR)]),
        (changed(GOOD_TASK, (("focus",), ...)), TASK, [("focus", "profile", "required", ERROR)]),
        (changed(GOOD_TASK, (("focus", "reference"), "CarePlan/1")), TASK, [("focus", "profile", "value", ERROR)]),
        (changed(GOOD_TASK, (("for", "reference"), "Group/1")), TASK, [("for", "profile", "value", ERROR)]),
        (changed(GOOD_TASK, (("owner", "reference"), "Practitioner/1")), TASK, [("owner", "profile", "value", ERROR)]),
        (changed(GOOD_TASK, (("identifier",), ...)), TASK, [("identifier", "profile", "required", ERROR)] * 2),
        (changed(GOOD_TASK, (("identifier", 0), ...)), TASK, [("identifier", "profile", "required", ERROR)]),
        (
            changed(GOOD_TASK, (("identifier",), [GOOD_TASK["identifier"][0]] * 2)),
            TASK,
            [("identifier", "profile", "structure", ERROR)],
        ),
        (
            changed(GOOD_TASK, (("identifier", 0, "system"), "https://a.example")),
            TASK,
            [("identifier[0].system", "profile", "value", ERROR)],
        ),
        (
            changed(GOOD_TASK, (("identifier", 0, "value"), ...)),
            TASK,
            [("identifier[0].value", "profile", "required", ERROR)],
        ),
        (
            changed(GOOD_TASK, (("identifier",), [*GOOD_TASK["identifier"], GOOD_TASK["identifier"][1]])),
            TASK,
            [("identifier", "profile", "structure", ERROR)],
        ),
        (changed(GOOD_TASK, (("status",), "rejected")), TASK, [("", "profile", "invariant", ERROR)]),
        (changed(GOOD_TASK, (("statusReason",), WHY)), TASK, [("", "profile", "invariant", ERROR)]),
        (
            changed(GOOD_TASK, (("status",), "on-hold"), (("statusReason",), concept(V2, "FILL"))),
            TASK,
            [("statusReason", "profile", "code-invalid", ERROR)],
        ),
        (
            changed(GOOD_TASK, (("status",), "on-hold"), (("statusReason",), {"text": "x"})),
            TASK,
            [("statusReason", "profile", "code-invalid", ERROR)],
        ),
        (
            changed(GOOD_TASK, (("businessStatus",), concept(f"{C}/CodeSystem/business-status", "x"))),
            TASK,
            [("businessStatus", "code-not-in-value-set", "code-invalid", WARN)],
        ),
        (
            changed(GOOD_TASK, (("meta", "tag", 0, "code"), "blue-flag")),
            TASK,
            [("meta.tag[0]", "code-not-in-value-set", "code-invalid", WARN)],
        ),
        (
            changed(GOOD_TASK, (("extension",), GOOD_TASK["extension"] * 2)),
            TASK,
            [("extension", "profile", "structure", ERROR)],
        ),
        (
            changed(GOOD_TASK, (("extension", 0), {"url": P + "assignee", "valueBoolean": True})),
            TASK,
            [("extension[0].valueBoolean", "profile", "structure", ERROR)],
        ),
        (
            changed(
                GOOD_TASK, (("extension", 0), {"url": P + "assignee", "valueReference": {"reference": "Patient/1"}})
            ),
            TASK,
            [("extension[0].valueReference", "profile", "value", ERROR)],
        ),
        (
            changed(
                GOOD_TASK, (("extension", 0), {"url": P + "assignee", "extension": [{"url": "a", "valueCode": "x"}]})
            ),
            TASK,
            [
                ("extension[0].extension", "profile", "structure", ERROR),
                ("extension[0].value", "profile", "required", ERROR),
            ],
        ),
        (changed(GOOD_TASK, (("restriction",), ...)), TASK, [("restriction", "profile", "required", ERROR)]),
        (
            changed(GOOD_TASK, (("restriction", "period"), {"start": "2024"})),
            TASK,
            [("restriction.period.end", "profile", "required", ERROR)],
        ),
        (changed(GOOD_TASK, (("lastModified",), ...)), TASK, [("lastModified", "profile", "required", ERROR)]),
        (PATIENT, TASK, [("", "profile", "value", ERROR)]),
        (PATIENT, "https://a.example/unknown", [("", "profile-unknown", "not-found", ERROR)]),
        (REFERRAL, INTAKE + "|9.9.9", [("", "profile-unknown", "not-found", ERROR)]),
        (PATIENT, "http://hl7.org/fhir/StructureDefinition/Task", [("", "profile", "value", ERROR)]),
    ],
)
def test_what_breaks_a_profile_is_told_with_its_place(
    payload: dict[str, Any], profile: str, expected: list[tuple[str, str, str, str]]
) -> None:
    root = payload["resourceType"]
    assert asked(payload, profile) == [(f"{root}.{place}".rstrip("."), *rest) for place, *rest in expected]


def test_r4_faults_and_profile_faults_come_in_one_answer_and_name_the_profile() -> None:
    issues = check(changed(GOOD_TASK, (("status",), "banana"), (("intent",), "plan"), (("code",), ...)), [TASK])
    assert [(issue.expression, issue.rule) for issue in issues] == [
        ("Task.status", "code-not-in-value-set"),
        ("Task.intent", "profile"),
        ("Task.code", "profile"),
    ]
    assert [issue.diagnostics.endswith("(Profile referral-task.)") for issue in issues] == [False, True, True]


@pytest.mark.parametrize(
    ("profiles", "expected"),
    [
        ([INTAKE], []),
        ([INTAKE + "|1.0.0"], []),
        (["http://hl7.org/fhir/StructureDefinition/ServiceRequest"], []),
        (["http://hl7.org/fhir/StructureDefinition/DomainResource|4.0.1"], []),
        ([INTAKE + "|2.0.0"], [("meta.profile[0]", "profile-unknown", WARN)]),
        (["https://a.example/a", INTAKE, "https://a.example/b"], [("meta.profile[0]", "profile-unknown", WARN)]),
        ([TASK], [("meta.profile[0]", "profile", ERROR)]),
        ([TASK, TASK], [("meta.profile[0]", "profile", ERROR)]),
        (["http://hl7.org/fhir/StructureDefinition/Patient"], [("meta.profile[0]", "profile", ERROR)]),
        (["a b"], [("meta.profile[0]", "invalid-value", ERROR), ("meta.profile[0]", "profile-unknown", WARN)]),
        (INTAKE, [("meta.profile", "wrong-type", ERROR)]),
        ([7], [("meta.profile[0]", "wrong-type", ERROR)]),
    ],
)
def test_a_claimed_profile_is_judged_when_known_and_remarked_upon_when_not(
    profiles: Any, expected: list[tuple[str, str, str]]
) -> None:
    issues = check(changed(REFERRAL, (("meta",), {"profile": profiles})))
    assert [(issue.expression, issue.rule, issue.severity) for issue in issues] == [
        (f"ServiceRequest.{place}", rule, severity) for place, rule, severity in expected
    ]


def test_a_claim_is_honoured_wherever_the_resource_stands() -> None:
    claim = {"profile": [INTAKE]}
    group = {"reference": "Group/1"}
    bundle = changed(
        TRANSACTION, (("entry", 1, "resource", "meta"), claim), (("entry", 1, "resource", "subject"), group)
    )
    assert findings(bundle) == [("Bundle.entry[1].resource.subject", "profile")]
    inner = {
        "resourceType": "ServiceRequest",
        "id": "s",
        "meta": claim,
        "status": "draft",
        "intent": "plan",
        "subject": group,
    }
    task = {
        "resourceType": "Task",
        "status": "draft",
        "intent": "plan",
        "focus": {"reference": "#s"},
        "contained": [inner],
    }
    assert findings(task) == [("Task.contained[0].subject", "profile")]


def test_unknown_claims_are_remarked_upon_once_a_request() -> None:
    claim = {"profile": ["https://a.example/a"]}
    bundle = changed(TRANSACTION, (("entry", 0, "resource", "meta"), claim), (("entry", 1, "resource", "meta"), claim))
    assert findings(bundle) == [("Bundle.entry[0].resource.meta.profile[0]", "profile-unknown")]


def test_a_profile_both_claimed_and_asked_for_is_judged_once() -> None:
    payload = changed(
        REFERRAL, (("meta",), {"profile": [INTAKE]}), (("subject",), {"reference": "Group/1"}), (("contained",), ...)
    )
    assert asked(payload, INTAKE) == [("ServiceRequest.subject", "profile", "value", ERROR)]
