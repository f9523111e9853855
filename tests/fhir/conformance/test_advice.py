"""Extensible and preferred bindings: what they say, and when they keep silent."""

from __future__ import annotations

from typing import Any

import pytest

from referral_service.fhir.conformance import check, table
from tests.fhir.conformance.r4_samples import CONDITION, OBSERVATION, PATIENT, REFERRAL, TASK, changed

RULE = "code-not-in-value-set"
V2 = "http://terminology.hl7.org/CodeSystem/v2-0203"
CATEGORY = "http://terminology.hl7.org/CodeSystem/condition-category"
ACT = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
OWN = "https://clinic.example/codes"
ENCOUNTER: dict[str, Any] = {"resourceType": "Encounter", "status": "planned", "class": {"system": ACT, "code": "AMB"}}


def concept(*codings: tuple[str, str]) -> dict[str, Any]:
    return {"coding": [{"system": system, "code": code} for system, code in codings]}


def advice(payload: Any) -> list[tuple[str, str, str]]:
    return [(issue.expression, issue.rule, issue.severity) for issue in check(payload)]


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (changed(PATIENT, (("identifier", 0, "type"), concept((V2, "MR")))), []),
        (changed(PATIENT, (("identifier", 0, "type"), concept((V2, "XYZ")))), [("identifier[0].type", "warning")]),
        (changed(PATIENT, (("identifier", 0, "type"), concept((V2, "XYZ"), (V2, "MR")))), []),
        (
            changed(PATIENT, (("identifier", 0, "type"), concept((V2, "XYZ"), (OWN, "MR")))),
            [("identifier[0].type", "warning")],
        ),
        (changed(PATIENT, (("identifier", 0, "type"), concept((OWN, "XYZ")))), []),
        (changed(PATIENT, (("identifier", 0, "type"), {"text": "x"})), []),
        (changed(PATIENT, (("identifier", 0, "type"), {"coding": [{"code": "XYZ"}]})), []),
        (changed(PATIENT, (("identifier", 0, "type"), {"coding": [{"system": V2, "display": "x"}]})), []),
        (
            changed(
                PATIENT, (("maritalStatus",), concept(("http://terminology.hl7.org/CodeSystem/v3-MaritalStatus", "M")))
            ),
            [],
        ),
        (
            changed(
                PATIENT, (("maritalStatus",), concept(("http://terminology.hl7.org/CodeSystem/v3-MaritalStatus", "X")))
            ),
            [("maritalStatus", "warning")],
        ),
        (changed(CONDITION, (("category",), [concept((CATEGORY, "problem-list-item"))])), []),
        (
            changed(CONDITION, (("category",), [concept((CATEGORY, "x")), concept((OWN, "x"))])),
            [("category[0]", "warning")],
        ),
        (changed(CONDITION, (("severity",), concept(("http://snomed.info/sct", "24484000")))), []),
        (changed(CONDITION, (("severity",), concept(("http://snomed.info/sct", "1")))), [("severity", "information")]),
        (ENCOUNTER, []),
        (changed(ENCOUNTER, (("class", "code"), "HOME")), [("class", "warning")]),
        (changed(ENCOUNTER, (("class", "system"), OWN)), []),
        (changed(PATIENT, (("meta",), {"security": [{"system": ACT, "code": "ETH"}]})), []),
        (
            changed(PATIENT, (("meta",), {"security": [{"system": ACT, "code": "AMB"}]})),
            [("meta.security[0]", "warning")],
        ),
        (changed(PATIENT, (("language",), "en-GB")), []),
        (changed(PATIENT, (("language",), "tlh")), [("language", "information")]),
        (
            changed(
                OBSERVATION,
                (
                    ("interpretation",),
                    [concept(("http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation", "Q"))],
                ),
            ),
            [("interpretation[0]", "warning")],
        ),
        (changed(TASK, (("performerType",), [concept(("http://snomed.info/sct", "1"))])), []),
        (changed(REFERRAL, (("code",), concept(("http://snomed.info/sct", "1")))), []),
    ],
)
def test_a_code_that_strays_from_a_system_of_the_set_is_remarked_upon(
    payload: dict[str, Any], expected: list[tuple[str, str]]
) -> None:
    root = payload["resourceType"]
    assert advice(payload) == [(f"{root}.{place}", RULE, severity) for place, severity in expected]


def test_what_is_malformed_is_told_and_not_advised_upon() -> None:
    payload = changed(PATIENT, (("identifier", 0, "type"), {"coding": {"system": V2, "code": ["XYZ"]}}))
    assert {rule for _, rule, _ in advice(payload)} == {"wrong-type"}


def test_the_words_name_the_binding_and_no_value_that_came_in() -> None:
    (issue,) = check(changed(PATIENT, (("maritalStatus",), concept((V2, "M"))), (("language",), "tlh")))
    assert issue.code == "code-invalid"
    assert issue.diagnostics == (
        "The code should be a code of the value set http://hl7.org/fhir/ValueSet/languages; the binding is preferred."
    )


@pytest.mark.parametrize(
    ("url", "holds", "lacks"),
    [
        ("http://terminology.hl7.org/ValueSet/v3-ActEncounterCode", (ACT, "VR"), (ACT, "_ActEncounterCode")),
        ("http://hl7.org/fhir/ValueSet/security-labels", (ACT, "PSY"), (ACT, "AMB")),
        (
            "http://hl7.org/fhir/ValueSet/relatedperson-relationshiptype",
            ("http://terminology.hl7.org/CodeSystem/v3-RoleCode", "MTH"),
            ("http://terminology.hl7.org/CodeSystem/v3-RoleCode", "ASSIST"),
        ),
    ],
)
def test_sets_that_are_stated_by_hierarchy_are_listed_in_full(
    url: str, holds: tuple[str, str], lacks: tuple[str, str]
) -> None:
    listed = table.value_set(url) or {}
    assert holds[1] in listed[holds[0]]
    assert lacks[1] not in listed[lacks[0]]


@pytest.mark.parametrize(
    "url", ["http://hl7.org/fhir/ValueSet/c80-doc-typecodes", "http://hl7.org/fhir/ValueSet/report-codes"]
)
def test_long_and_open_sets_that_only_advise_are_left_out(url: str) -> None:
    assert table.value_set(url) is None
