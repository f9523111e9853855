"""Constraints judged as FHIRPath: those beyond the stored types, what cannot be judged, and what it may cost."""

from __future__ import annotations

import re
import time
from decimal import Decimal
from typing import Any

import pytest

from referral_service.fhir.conformance import check, fhirpath, invariants, table
from referral_service.fhir.parse import Number

ALL = [
    each
    for name in sorted({*table.resource_types(), *table.data_types()})
    for each in table.definition(name).own_constraints
]
STATED = {(each.owner, each.key): each for each in ALL}


def invariant_keys(payload: Any) -> list[tuple[str, str]]:
    issues = [issue for issue in check(payload) if issue.rule == "invariant"]
    return [(issue.expression, issue.diagnostics.partition(":")[0]) for issue in issues]


def value_set(*includes: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"resourceType": "ValueSet", "status": "draft", "compose": {"include": list(includes)}, **more}


def questionnaire(*items: dict[str, Any]) -> dict[str, Any]:
    return {"resourceType": "Questionnaire", "status": "draft", "item": list(items)}


def profile_of(*elements: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "StructureDefinition",
        "url": "https://a.example/p",
        "name": "P",
        "status": "draft",
        "kind": "resource",
        "abstract": False,
        "type": "Patient",
        "baseDefinition": "http://hl7.org/fhir/StructureDefinition/Patient",
        "derivation": "constraint",
        "differential": {"element": [{"id": each["path"], **each} for each in elements]},
        **more,
    }


def listed(**more: Any) -> dict[str, Any]:
    return {"resourceType": "List", "status": "current", "mode": "snapshot", **more}


def capability(**more: Any) -> dict[str, Any]:
    return {"resourceType": "CapabilityStatement", "status": "draft", "date": "2024", "kind": "requirements", "fhirVersion": "4.0.1", "format": ["json"], "description": "x", "rest": [{"mode": "server"}], **more}  # fmt: skip


def risk(**prediction: Any) -> dict[str, Any]:
    return {
        "resourceType": "RiskAssessment",
        "status": "final",
        "subject": {"display": "x"},
        "prediction": [prediction],
    }


UCUM = "http://unitsofmeasure.org"
SYSTEM = "https://a.example/codes"

HOLD = [
    value_set({"system": SYSTEM}, name="Good"),
    value_set({"valueSet": ["https://a.example/vs"]}),
    questionnaire({"linkId": "1", "type": "group", "item": [{"linkId": "1.1", "type": "string"}]}),
    questionnaire({"linkId": "1", "type": "boolean", "enableWhen": [{"question": "2", "operator": "exists", "answerBoolean": True}]}),
    profile_of({"path": "Patient"}, {"path": "Patient.name", "min": 1, "max": "*"}),
    listed(entry=[{"item": {"display": "x"}}]),
    capability(),
    risk(probabilityDecimal=Number("99.5")),
    risk(probabilityRange={"low": {"value": 1, "system": UCUM, "code": "%"}}),
    {"resourceType": "MedicationDispense", "status": "completed", "medicationCodeableConcept": {"text": "x"}, "whenPrepared": "2024-05-06", "whenHandedOver": "2024-05-06T10:00:00Z"},
    {"resourceType": "Consent", "status": "draft", "scope": {"text": "x"}, "category": [{"text": "x"}], "policyRule": {"text": "x"}},
    {"resourceType": "Group", "type": "person", "actual": True, "member": [{"entity": {"display": "x"}}]},
]  # fmt: skip

FAIL = [
    (value_set({"concept": [{"code": "a"}]}), [(".compose.include[0]", "vsd-1"), (".compose.include[0]", "vsd-2")]),
    (value_set({"system": SYSTEM, "concept": [{"code": "a"}], "filter": [{"property": "p", "op": "=", "value": "v"}]}), [(".compose.include[0]", "vsd-3")]),
    (value_set({"system": SYSTEM}, expansion={"timestamp": "2024", "contains": [{"id": "a", "extension": [{"url": "http://a", "valueCode": "x"}]}]}), [(".expansion.contains[0]", "vsd-6"), (".expansion.contains[0]", "vsd-9")]),
    (value_set({"system": SYSTEM}, expansion={"timestamp": "2024", "contains": [{"code": "a", "contains": [{"code": "b"}]}]}), [(".expansion.contains[0].contains[0]", "vsd-10"), (".expansion.contains[0]", "vsd-10")]),
    (value_set({"system": SYSTEM}, name="bad-name"), [("", "vsd-0")]),
    (questionnaire({"linkId": "1", "type": "group"}), [(".item[0]", "que-1")]),
    (questionnaire({"linkId": "1", "type": "string"}, {"linkId": "1", "type": "string"}), [("", "que-2")]),
    (questionnaire({"linkId": "1", "type": "group", "item": [{"linkId": "1", "type": "string"}]}), [("", "que-2")]),
    (questionnaire({"linkId": "1", "type": "display", "required": True, "code": [{"code": "x"}]}), [(".item[0]", "que-3"), (".item[0]", "que-6")]),
    (questionnaire({"linkId": "1", "type": "choice", "answerOption": [{"valueString": "x"}], "answerValueSet": "https://a.example/vs"}), [(".item[0]", "que-4")]),
    (questionnaire({"linkId": "1", "type": "boolean", "answerOption": [{"valueString": "x"}]}), [(".item[0]", "que-5")]),
    (questionnaire({"linkId": "1", "type": "boolean", "enableWhen": [{"question": "2", "operator": "exists", "answerString": "x"}]}), [(".item[0].enableWhen[0]", "que-7")]),
    (questionnaire({"linkId": "1", "type": "date", "maxLength": 5}), [(".item[0]", "que-10")]),
    (questionnaire({"linkId": "1", "type": "string", "initial": [{"valueString": "a"}, {"valueString": "b"}]}), [(".item[0]", "que-13")]),
    (profile_of({"path": "Patient"}, {"path": "Patient.name", "max": "1.5"}), [(".differential.element[1].max", "eld-3")]),
    (profile_of({"path": "Patient"}, {"path": "Patient.name", "max": "-1"}), [(".differential.element[1].max", "eld-3")]),
    (profile_of({"path": "Patient"}, {"path": "Patient.name", "min": 2, "max": "1"}), [(".differential.element[1]", "eld-2")]),
    (profile_of({"path": "Patient"}, {"path": "Patient.name", "slicing": {"rules": "open"}}), [(".differential.element[1].slicing", "eld-1")]),
    (profile_of({"path": "Patient"}, {"path": "Observation.code"}), [(".differential", "sdf-8a")]),
    (profile_of({"path": "Patient", "type": [{"code": "Patient"}]}), [("", "sdf-15a")]),
    (profile_of({"path": "Patient"}, {"path": "Patient.name", "id": "Patient"}), [("", "sdf-17")]),
    (profile_of({"path": "Patient"}, type="Extension"), [(".differential", "sdf-8a"), ("", "sdf-5")]),
    (listed(emptyReason={"text": "x"}, entry=[{"item": {"display": "x"}}]), [("", "lst-1")]),
    (listed(entry=[{"item": {"display": "x"}, "deleted": True, "date": "2024"}]), [("", "lst-2"), ("", "lst-3")]),
    (capability(rest=..., description=...), [("", "cpb-1"), ("", "cpb-2")]),
    (capability(software={"name": "x"}), [("", "cpb-16")]),
    (capability(rest=[{"mode": "server", "resource": [{"type": "Patient"}, {"type": "Patient"}]}]), [(".rest[0]", "cpb-9")]),
    (risk(probabilityDecimal=Number("100.5")), [(".prediction[0]", "ras-2")]),
    (risk(probabilityRange={"low": {"value": 1, "system": UCUM, "code": "g"}}), [(".prediction[0].probabilityRange", "ras-1")]),
    ({"resourceType": "MedicationDispense", "status": "completed", "medicationCodeableConcept": {"text": "x"}, "whenPrepared": "2024-05-07", "whenHandedOver": "2024-05-06"}, [("", "mdd-1")]),
    ({"resourceType": "Consent", "status": "draft", "scope": {"text": "x"}, "category": [{"text": "x"}]}, [("", "ppc-1")]),
    ({"resourceType": "Group", "type": "person", "actual": False, "member": [{"entity": {"display": "x"}}]}, [("", "grp-1")]),
    ({"resourceType": "Linkage", "item": [{"type": "source", "resource": {"display": "x"}}]}, [("", "lnk-1")]),
    ({"resourceType": "AppointmentResponse", "appointment": {"display": "x"}, "participantStatus": "accepted"}, [("", "apr-1")]),
    ({"resourceType": "InsurancePlan"}, [("", "ipn-1")]),
    ({"resourceType": "CodeSystem", "status": "draft", "content": "complete", "concept": [{"code": "a"}, {"code": "b", "concept": [{"code": "a"}]}]}, [("", "csd-1")]),
    ({"resourceType": "ConceptMap", "status": "draft", "group": [{"element": [{"code": "a", "target": [{"code": "b", "equivalence": "inexact"}]}], "unmapped": {"mode": "fixed"}}]}, [(".group[0].element[0].target[0]", "cmd-1"), (".group[0].unmapped", "cmd-2")]),
    ({"resourceType": "OperationDefinition", "name": "X", "status": "draft", "kind": "operation", "code": "x", "system": True, "type": False, "instance": False, "parameter": [{"name": "a", "use": "in", "min": 0, "max": "1"}]}, [(".parameter[0]", "opd-1")]),
    ({"resourceType": "SearchParameter", "url": "https://a.example/s", "name": "S", "status": "draft", "description": "x", "code": "s", "base": ["Task"], "type": "date", "chain": ["x"], "xpath": "x"}, [("", "spd-1"), ("", "spd-2")]),
    ({"resourceType": "Goal", "lifecycleStatus": "active", "description": {"text": "x"}, "subject": {"display": "x"}, "target": [{"detailString": "x"}]}, [(".target[0]", "gol-1")]),
    ({"resourceType": "MolecularSequence", "coordinateSystem": 2}, [("", "msq-3")]),
    ({"resourceType": "Immunization", "status": "completed", "vaccineCode": {"text": "x"}, "patient": {"display": "x"}, "occurrenceString": "x", "education": [{"publicationDate": "2024"}]}, [(".education[0]", "imm-1")]),
    ({"resourceType": "NamingSystem", "name": "N", "status": "draft", "kind": "root", "date": "2024", "uniqueId": [{"type": "uuid", "value": "x"}]}, [("", "nsd-1")]),
    ({"resourceType": "MeasureReport", "status": "complete", "type": "data-collection", "measure": "https://a.example/m", "period": {"start": "2024"}, "group": [{"measureScore": {"value": 1}}]}, [("", "mrp-1")]),
]  # fmt: skip


def without_dots(payload: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in payload.items() if value is not ...}


@pytest.mark.parametrize("payload", HOLD)
def test_constraints_of_other_types_hold_where_they_should(payload: dict[str, Any]) -> None:
    assert check(payload) == []


@pytest.mark.parametrize(("payload", "expected"), FAIL)
def test_constraints_of_other_types_are_named_by_their_key(
    payload: dict[str, Any], expected: list[tuple[str, str]]
) -> None:
    given = without_dots(payload)
    assert invariant_keys(given) == [(given["resourceType"] + place, key) for place, key in expected]


def test_a_constraint_that_the_specification_only_warns_of_is_a_warning() -> None:
    (issue,) = check(value_set({"system": SYSTEM}, name="bad-name"))
    assert (issue.rule, issue.severity) == ("invariant", "warning")


def test_a_contained_resource_is_its_own_resource() -> None:
    profile = {**profile_of({"path": "Patient"}, {"path": "Patient.name"}), "id": "p"}
    container = {"resourceType": "Basic", "code": {"text": "x"}, "subject": {"reference": "#p"}, "contained": [profile]}
    assert check(container) == []


def test_only_what_is_listed_is_left_unjudged() -> None:
    skipped = {
        (each.owner, each.key)
        for each in ALL
        if (each.owner, each.key) not in invariants.ELSEWHERE
        and invariants.rule_for(each) is None
        and fhirpath.rule_for(each) is None
    }
    assert skipped == {("CareTeam", "ctm-1")}
    assert fhirpath.unjudged(STATED["CareTeam", "ctm-1"]) == fhirpath.NOT_SUPPLIED["resolve"]
    (dom_6,) = (each for each in table.definition("DomainResource").own_constraints if each.key == "dom-6")
    assert dom_6.severity == "guideline"


def test_what_the_evaluator_misjudges_has_a_closure() -> None:
    assert set(fhirpath.MISJUDGED) <= set(STATED)
    assert set(fhirpath.MISJUDGED) <= set(invariants.HOLDS)


def test_no_constraint_asks_what_time_it_is() -> None:
    """The evaluator keeps the time of the last evaluation in a module, which threads would share."""
    assert [each.key for each in ALL if re.search(r"\b(now|today|timeOfDay)\(", each.expression)] == []


@pytest.mark.parametrize("constraint", ALL, ids=lambda each: f"{each.owner}-{each.key}")
def test_every_expression_is_evaluated_or_listed_with_the_reason(constraint: table.Constraint) -> None:
    if fhirpath.unjudged(constraint) or (constraint.owner, constraint.key) in invariants.ELSEWHERE:
        return
    expression = fhirpath.Expression(constraint.expression, constraint.owner)
    assert expression.holds({}, {}) in (True, False)


def test_traces_are_not_printed(capsys: pytest.CaptureFixture[str]) -> None:
    check(questionnaire({"linkId": "1", "type": "display"}))
    check(profile_of({"path": "Patient"}))
    assert capsys.readouterr() == ("", "")


def test_skipping_an_expression_changes_nothing() -> None:
    """Where nothing is there that an expression names, it holds."""
    for payload in [*HOLD, *(without_dots(each) for each, _ in FAIL)]:
        for constraint in table.definition(payload["resourceType"]).constraints:
            if constraint.path or fhirpath.rule_for(constraint) is None:
                continue
            expression = fhirpath.Expression(constraint.expression, constraint.owner)
            if not expression.applies(payload):
                assert expression.holds(fhirpath.plain(payload)[0], payload), constraint.key


@pytest.mark.parametrize(
    ("given", "expected"),
    [([], False), (["x"], True), ([None], False), ([{"extension": []}], False), (["x", "y"], False), ([0], True)],
)
def test_a_value_is_one_primitive(given: list[Any], expected: bool) -> None:
    assert fhirpath.has_value(given) == [expected]


def test_what_cannot_be_evaluated_is_said() -> None:
    constraint = table.Constraint("Patient", "", "x-1", "error", "name.text.matches('a')", "x")
    rule = fhirpath.rule_for(constraint)
    assert rule is not None
    assert run(rule, {"resourceType": "Patient", "name": [{"text": "a"}, {"text": "b"}]}) == [
        ("Patient", "not-judged", "information")
    ]


def test_an_element_that_is_malformed_is_told_once() -> None:
    payload = questionnaire({"linkId": [{"a": 1}], "type": "group"})
    assert {issue.rule for issue in check(payload)} <= {"wrong-type", "invariant"}


def run(rule: fhirpath.Rule, value: dict[str, Any]) -> list[tuple[str, str, str]]:
    from referral_service.fhir.conformance.scope import Findings, Scope

    findings = Findings()
    rule(value, "Patient", Scope(findings, value, "Patient", {}))
    return [(issue.expression, issue.rule, issue.severity) for issue in findings.issues]


def test_a_very_large_resource_is_said_not_to_be_judged_in_full_and_quickly() -> None:
    many = [{"linkId": str(each), "type": "string"} for each in range(30_000)]
    started = time.perf_counter()
    issues = check(questionnaire(*many))
    assert time.perf_counter() - started < 8
    assert {(issue.rule, issue.severity) for issue in issues} == {("not-judged", "information")}
    assert len(issues) == 1


def test_numbers_come_to_the_evaluator_with_their_digits() -> None:
    value, count = fhirpath.plain({"a": [Number("1.50"), 2, None, {"b": Number("-1e999999999999999999999")}]})
    assert str(value["a"][0]) == "1.50"
    assert value["a"][1:] == [2, None, {"b": Decimal("-Infinity")}]
    assert count == 7
