"""Each way in which a profile can narrow an element, by profiles made for the test."""

from __future__ import annotations

from typing import Any

import pytest

from referral_service.fhir.conformance import package
from referral_service.fhir.conformance.profiles import Fault, element_judge
from referral_service.fhir.conformance.scope import Findings, Scope


def judged(elements: list[dict[str, Any]], value: dict[str, Any]) -> list[tuple[str, str]]:
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
    element(
        "communication.language.coding",
        slicing={"discriminator": [{"type": "value", "path": "$this"}], "rules": "open"},
    ),
    element("communication.language.coding:german", min=1, patternCoding={"system": "urn:ietf:bcp:47", "code": "de"}),
]
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
        (
            [element("name.given", min=1)],
            {"name": [{"_given": [REASON]}, {"text": "x"}]},
            [("name[1].given", "required")],
        ),
        ([element("active", fixedBoolean=True)], {"active": True}, []),
        ([element("active", fixedBoolean=True)], {"active": 1}, [("active", "value")]),
        ([element("gender", patternCode="male")], {"gender": "female"}, [("gender", "value")]),
        ([element("gender", patternCode="male")], {"_gender": REASON}, []),
        ([element("maritalStatus", fixedCodeableConcept={"text": "x"})], {"maritalStatus": {"text": "x"}}, []),
        (
            [element("maritalStatus", fixedCodeableConcept={"text": "x"})],
            {"maritalStatus": {"text": "x", "id": "a"}},
            [("maritalStatus", "value")],
        ),
        (
            [element("maritalStatus", patternCodeableConcept={"text": "x"})],
            {"maritalStatus": {"text": "x", "id": "a"}},
            [],
        ),
        (
            [element("maritalStatus", fixedCodeableConcept={"coding": [{"code": "a"}]})],
            {"maritalStatus": {"coding": [{"code": "a"}, {"code": "b"}]}},
            [("maritalStatus", "value")],
        ),
        (
            [element("maritalStatus", patternCodeableConcept={"coding": [{"code": "b"}]})],
            {"maritalStatus": {"coding": [{"code": "a"}, {"code": "b"}]}},
            [],
        ),
        ([element("deceased[x]", type=[{"code": "boolean"}])], {"deceasedBoolean": True}, []),
        (
            [element("deceased[x]", type=[{"code": "boolean"}])],
            {"deceasedDateTime": "2024"},
            [("deceasedDateTime", "structure")],
        ),
        ([element("deceased[x]", min=1, type=[{"code": "dateTime"}])], {}, [("deceased", "required")]),
        ([element("deceased[x]", fixedBoolean=False)], {"deceasedBoolean": True}, [("deceasedBoolean", "value")]),
        (PHONE, {"telecom": [{"system": "phone", "value": "1"}, {"system": "email"}]}, []),
        (PHONE, {"telecom": [{"system": "email"}]}, [("telecom", "required")]),
        (PHONE, {}, [("telecom", "required")]),
        (PHONE, {"telecom": [{"system": "phone"}]}, [("telecom[0].value", "required")]),
        (
            PHONE,
            {"telecom": [{"system": "phone", "value": str(each)} for each in range(3)]},
            [("telecom", "structure")],
        ),
        (
            PHONE,
            {"telecom": [{"system": "phone", "value": "1"}, {"system": "fax"}, {"value": "2"}]},
            [("telecom[1]", "structure"), ("telecom[2]", "structure")],
        ),
        (PHONE, {"telecom": "x"}, [("telecom", "structure"), ("telecom", "required")]),
        (
            THIS,
            {
                "communication": [
                    {"language": {"coding": [{"system": "urn:ietf:bcp:47", "code": "de", "display": "x"}]}}
                ]
            },
            [],
        ),
        (
            THIS,
            {"communication": [{"language": {"coding": [{"code": "de"}]}}]},
            [("communication[0].language.coding", "required")],
        ),
        (THIS, {}, []),
        (
            DEEP,
            {"contact": [{"relationship": [{"coding": [{"code": "MTH"}, {"code": "N"}]}], "name": {"text": "x"}}]},
            [],
        ),
        (
            DEEP,
            {"contact": [{"relationship": [{"text": "x"}, {"coding": [{"code": "MTH"}]}]}]},
            [("contact[0].relationship[0]", "value"), ("contact[0].name", "required")],
        ),
        (DEEP, {"contact": [{"relationship": [{"coding": [{"code": "FTH"}]}]}]}, []),
        (
            DEEP,
            {"contact": [{"relationship": [{"coding": [{"code": "MTH"}]}], "name": {"text": "x"}}] * 2},
            [("contact", "structure")],
        ),
        (
            [
                element(
                    "name",
                    constraint=[{"key": "n-1", "severity": "error", "human": "x", "expression": "family.exists()"}],
                )
            ],
            {"name": [{"family": "x"}, {"text": "y"}]},
            [("name[1]", "invariant")],
        ),
        (
            [
                element(
                    "generalPractitioner",
                    type=[
                        {"code": "Reference", "targetProfile": ["http://hl7.org/fhir/StructureDefinition/Organization"]}
                    ],
                )
            ],
            {
                "generalPractitioner": [
                    {"reference": "Practitioner/1"},
                    {"reference": "urn:uuid:x"},
                    {"reference": 7},
                    "x",
                ]
            },
            [("generalPractitioner[0]", "value")],
        ),
    ],
)
def test_each_kind_of_narrowing_is_judged(
    elements: list[dict[str, Any]], value: dict[str, Any], expected: list[tuple[str, str]]
) -> None:
    given = {"resourceType": "Patient", **value}
    assert judged(elements, given) == [(f"Patient.{place}", code) for place, code in expected]


def test_must_support_alone_asks_nothing() -> None:
    assert judged([element("name", mustSupport=True), element("name.family", mustSupport=True)], {}) == []
