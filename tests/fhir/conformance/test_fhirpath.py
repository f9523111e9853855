"""Constraints judged as FHIRPath: those beyond the stored types, what cannot be judged, and what it may cost."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

import pytest

from referral_service.fhir.conformance import check, fhirpath, invariants, table
from referral_service.fhir.parse import Number
from tests.fhir.conformance.fhirpath_samples import FAIL, HOLD, SYSTEM, profile_of, questionnaire, value_set

ALL = [
    each
    for name in sorted({*table.resource_types(), *table.data_types()})
    for each in table.definition(name).own_constraints
]
STATED = {(each.owner, each.key): each for each in ALL}


def invariant_keys(payload: Any) -> list[tuple[str, str]]:
    issues = [issue for issue in check(payload) if issue.rule == "invariant"]
    return [(issue.expression, issue.diagnostics.partition(":")[0]) for issue in issues]


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


def test_a_very_large_resource_is_said_not_to_be_judged_in_full() -> None:
    many = [{"linkId": str(each), "type": "string"} for each in range(30_000)]
    issues = check(questionnaire(*many))
    assert {(issue.rule, issue.severity) for issue in issues} == {("not-judged", "information")}
    assert len(issues) == 1


def test_numbers_come_to_the_evaluator_with_their_digits() -> None:
    value, count = fhirpath.plain({"a": [Number("1.50"), 2, None, {"b": Number("-1e999999999999999999999")}]})
    assert str(value["a"][0]) == "1.50"
    assert value["a"][1:] == [2, None, {"b": Decimal("-Infinity")}]
    assert count == 7
