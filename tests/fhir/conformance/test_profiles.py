"""Profiles: what each of them asks beyond R4, who claims them, and how each kind of narrowing is judged."""

from __future__ import annotations

from typing import Any

import pytest
from tests.fhir.conformance.r4_samples import CONDITION, PATIENT, REFERRAL, TRANSACTION, changed, findings

from referral_service.fhir.conformance import check, package
from referral_service.fhir.conformance.profiles import Fault, element_judge
from referral_service.fhir.conformance.scope import Findings, Scope

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
        {"type": concept(V2, "FILL"), "system": "urn:ietf:rfc:3986", "value": "urn:uuid:0d9a3b0e-6c1c-4b7e-9b50-0d3cfa3f3b11"},
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
}  # fmt: skip
WHY = concept(f"{C}/CodeSystem/status-reason", "capacity")


def asked(payload: Any, *profiles: str) -> list[tuple[str, str, str, str]]:
    return [(issue.expression, issue.rule, issue.code, issue.severity) for issue in check(payload, profiles)]


@pytest.mark.parametrize(
    ("payload", "profile"),
    [
        (REFERRAL, INTAKE),
        (changed(REFERRAL, *(((name,), ...) for name in ("identifier", "requester", "reasonCode", "code", "note"))), INTAKE),
        (changed(REFERRAL, (("subject",), {"identifier": {"value": "1"}, "type": "Patient"}), (("contained",), ...)), INTAKE),
        (changed(REFERRAL, (("subject",), {"identifier": {"value": "1"}}), (("contained",), ...)), INTAKE),
        (changed(REFERRAL, (("subject",), {"reference": "https://ehr.example/x"}), (("contained",), ...)), INTAKE),
        (PATIENT, PERSON),
        ({"resourceType": "Patient"}, PERSON),
        (CONDITION, PROBLEM),
        (GOOD_TASK, TASK),
        (changed(GOOD_TASK, (("status",), "rejected"), (("statusReason",), WHY)), TASK),
        (changed(GOOD_TASK, (("extension",), [{"url": "https://a.example/x", "valueCode": "x"}])), TASK),
        (changed(GOOD_TASK, (("extension", 0), {"url": P + "assignee", "valueReference": {"reference": "Practitioner/1"}})), TASK),
        (changed(GOOD_TASK, (("businessStatus",), concept("https://clinic.example/words", "seen-today"))), TASK),
        (changed(GOOD_TASK, (("focus", "reference"), "ServiceRequest/1/_history/2")), TASK),
    ],
)  # fmt: skip
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
            changed(REFERRAL, (("contained", 0), {"resourceType": "Group", "id": "p1", "type": "person", "actual": False})),
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
            changed(GOOD_TASK, (("extension", 0), {"url": P + "assignee", "valueReference": {"reference": "Patient/1"}})),
            TASK,
            [("extension[0].valueReference", "profile", "value", ERROR)],
        ),
        (
            changed(GOOD_TASK, (("extension", 0), {"url": P + "assignee", "extension": [{"url": "a", "valueCode": "x"}]})),
            TASK,
            [("extension[0].extension", "profile", "structure", ERROR), ("extension[0].value", "profile", "required", ERROR)],
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
)  # fmt: skip
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
    payload = changed(REFERRAL, (("meta",), {"profile": [INTAKE]}), (("subject",), {"reference": "Group/1"}), (("contained",), ...))  # fmt: skip
    assert asked(payload, INTAKE) == [("ServiceRequest.subject", "profile", "value", ERROR)]


def judged(elements: list[dict[str, Any]], value: dict[str, Any]) -> list[tuple[str, str]]:
    """By a profile made for the test."""
    definition = {"url": "x", "version": "1", "id": "made-up", "type": "Patient", "differential": {"element": elements}}
    made = package.read_profile(definition)
    findings = Findings()
    scope = Scope(findings, value, "Patient", {})
    element_judge(made, made.root, Fault(made.name))(value, "Patient", scope)
    assert {issue.rule for issue in findings.issues} <= {"profile"}
    return [(issue.expression, issue.code) for issue in findings.issues]


def element(path: str, **more: Any) -> dict[str, Any]:
    bare = ".".join(part.partition(":")[0] for part in path.split("."))
    return {"id": f"Patient.{path}", "path": f"Patient.{bare}", **more}


PHONE = [
    element("telecom", slicing={"discriminator": [{"type": "value", "path": "system"}], "rules": "closed"}),
    element("telecom:phone", min=1, max="2"),
    element("telecom:phone.system", min=1, fixedCode="phone"),
    element("telecom:phone.value", min=1),
    element("telecom:mail.system", min=1, fixedCode="email"),
]
THIS = [
    element("communication", min=0),
    element("communication.language.coding", slicing={"discriminator": [{"type": "value", "path": "$this"}], "rules": "open"}),
    element("communication.language.coding:german", min=1, patternCoding={"system": "urn:ietf:bcp:47", "code": "de"}),
]  # fmt: skip
DEEP = [
    element("contact", slicing={"discriminator": [{"type": "pattern", "path": "relationship"}], "rules": "open"}),
    element("contact:mother", max="1"),
    element("contact:mother.relationship", patternCodeableConcept={"coding": [{"code": "MTH"}]}),
    element("contact:mother.name", min=1),
]
REASON = {"extension": [{"url": "http://a", "valueCode": "unknown"}]}


@pytest.mark.parametrize(
    ("elements", "value", "expected"),
    [
        ([element("name", min=2)], {"name": [{"text": "x"}]}, [("name", "required")]),
        ([element("name", min=2)], {"name": [{"text": "x"}, {"text": "y"}]}, []),
        ([element("name", max="1")], {"name": [{"text": "x"}, {"text": "y"}]}, [("name", "structure")]),
        ([element("name", max="0")], {"name": [{"text": "x"}]}, [("name", "structure")]),
        ([element("birthDate", min=1)], {"_birthDate": REASON}, []),
        ([element("name.given", min=2)], {"name": [{"given": ["x"], "_given": [None, REASON]}]}, []),
        ([element("name.given", min=1)], {"name": [{"_given": [REASON]}, {"text": "x"}]}, [("name[1].given", "required")]),
        ([element("active", fixedBoolean=True)], {"active": True}, []),
        ([element("active", fixedBoolean=True)], {"active": 1}, [("active", "value")]),
        ([element("gender", patternCode="male")], {"gender": "female"}, [("gender", "value")]),
        ([element("gender", patternCode="male")], {"_gender": REASON}, []),
        ([element("maritalStatus", fixedCodeableConcept={"text": "x"})], {"maritalStatus": {"text": "x"}}, []),
        ([element("maritalStatus", fixedCodeableConcept={"text": "x"})], {"maritalStatus": {"text": "x", "id": "a"}}, [("maritalStatus", "value")]),
        ([element("maritalStatus", patternCodeableConcept={"text": "x"})], {"maritalStatus": {"text": "x", "id": "a"}}, []),
        ([element("maritalStatus", fixedCodeableConcept={"coding": [{"code": "a"}]})], {"maritalStatus": {"coding": [{"code": "a"}, {"code": "b"}]}}, [("maritalStatus", "value")]),
        ([element("maritalStatus", patternCodeableConcept={"coding": [{"code": "b"}]})], {"maritalStatus": {"coding": [{"code": "a"}, {"code": "b"}]}}, []),
        ([element("deceased[x]", type=[{"code": "boolean"}])], {"deceasedBoolean": True}, []),
        ([element("deceased[x]", type=[{"code": "boolean"}])], {"deceasedDateTime": "2024"}, [("deceasedDateTime", "structure")]),
        ([element("deceased[x]", min=1, type=[{"code": "dateTime"}])], {}, [("deceased", "required")]),
        ([element("deceased[x]", fixedBoolean=False)], {"deceasedBoolean": True}, [("deceasedBoolean", "value")]),
        (PHONE, {"telecom": [{"system": "phone", "value": "1"}, {"system": "email"}]}, []),
        (PHONE, {"telecom": [{"system": "email"}]}, [("telecom", "required")]),
        (PHONE, {}, [("telecom", "required")]),
        (PHONE, {"telecom": [{"system": "phone"}]}, [("telecom[0].value", "required")]),
        (PHONE, {"telecom": [{"system": "phone", "value": str(each)} for each in range(3)]}, [("telecom", "structure")]),
        (PHONE, {"telecom": [{"system": "phone", "value": "1"}, {"system": "fax"}, {"value": "2"}]}, [("telecom[1]", "structure"), ("telecom[2]", "structure")]),
        (PHONE, {"telecom": "x"}, [("telecom", "structure"), ("telecom", "required")]),
        (THIS, {"communication": [{"language": {"coding": [{"system": "urn:ietf:bcp:47", "code": "de", "display": "x"}]}}]}, []),
        (THIS, {"communication": [{"language": {"coding": [{"code": "de"}]}}]}, [("communication[0].language.coding", "required")]),
        (THIS, {}, []),
        (DEEP, {"contact": [{"relationship": [{"coding": [{"code": "MTH"}, {"code": "N"}]}], "name": {"text": "x"}}]}, []),
        (DEEP, {"contact": [{"relationship": [{"text": "x"}, {"coding": [{"code": "MTH"}]}]}]}, [("contact[0].relationship[0]", "value"), ("contact[0].name", "required")]),
        (DEEP, {"contact": [{"relationship": [{"coding": [{"code": "FTH"}]}]}]}, []),
        (DEEP, {"contact": [{"relationship": [{"coding": [{"code": "MTH"}]}], "name": {"text": "x"}}] * 2}, [("contact", "structure")]),
        ([element("name", constraint=[{"key": "n-1", "severity": "error", "human": "x", "expression": "family.exists()"}])], {"name": [{"family": "x"}, {"text": "y"}]}, [("name[1]", "invariant")]),
        ([element("generalPractitioner", type=[{"code": "Reference", "targetProfile": ["http://hl7.org/fhir/StructureDefinition/Organization"]}])], {"generalPractitioner": [{"reference": "Practitioner/1"}, {"reference": "urn:uuid:x"}, {"reference": 7}, "x"]}, [("generalPractitioner[0]", "value")]),
    ],
)  # fmt: skip
def test_each_kind_of_narrowing_is_judged(
    elements: list[dict[str, Any]], value: dict[str, Any], expected: list[tuple[str, str]]
) -> None:
    given = {"resourceType": "Patient", **value}
    assert judged(elements, given) == [(f"Patient.{place}", code) for place, code in expected]


def test_must_support_alone_asks_nothing() -> None:
    assert judged([element("name", mustSupport=True), element("name.family", mustSupport=True)], {}) == []
