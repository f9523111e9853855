"""Closures and FHIRPath say the same of every example and of thousands of variants of them."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from referral_service.fhir.conformance import check, compiler, fhirpath, invariants, table
from referral_service.fhir.conformance.scope import Object, Scope
from referral_service.fhir.parse import parse
from tests.fhir.conformance import test_r4_rules
from tests.fhir.conformance.fhirpath_samples import HOLD
from tests.fhir.conformance.r4_samples import OBSERVATION, PATIENT, REFERRAL, VALID, changed

EXAMPLES = sorted((Path(__file__).parents[3] / "profiles" / "examples").glob("*/*.json"))
Key = tuple[str, str]
Verdict = tuple[Key, bool, bool, str]


def extended(*extensions: dict[str, Any]) -> dict[str, Any]:
    return changed(PATIENT, (("extension",), [{"url": "http://a", **each} for each in extensions]))


UCUM = {"system": "http://unitsofmeasure.org"}
SECTION = {"title": "a", "emptyReason": {"text": "x"}, "entry": [{"display": "x"}]}
MORE: list[dict[str, Any]] = [
    extended(
        {"valueAge": {"value": 5, "code": "a", **UCUM}},
        {"valueAge": {"value": 0, "code": "a", **UCUM}},
        {"valueCount": {"value": 5, "code": "1", **UCUM}},
        {"valueCount": {"value": 5, "code": "2", **UCUM}},
        {"valueDistance": {"value": 5, "code": "m", **UCUM}},
        {"valueDuration": {"value": 5, "code": "h", **UCUM}},
        {"valueRatio": {"numerator": {"value": 1}, "denominator": {"value": 2}}},
        {"valueRatio": {"extension": [{"url": "http://a", "valueCode": "x"}]}},
    ),
    extended(
        {"valueExpression": {"language": "text/cql", "expression": "x"}},
        {"valueExpression": {"language": "text/cql", "description": "x"}},
        {"valueDataRequirement": {"type": "Patient", "codeFilter": [{"path": "a", "searchParam": "b"}, {"path": "a"}]}},
        {"valueDataRequirement": {"type": "Patient", "dateFilter": [{"valueDateTime": "2024"}, {"searchParam": "b"}]}},
        {"valueTriggerDefinition": {"type": "named-event", "name": "x"}},
        {"valueTriggerDefinition": {"type": "named-event", "timingDate": "2024"}},
        {"valueTriggerDefinition": {"type": "periodic", "timingDate": "2024", "data": [{"type": "Patient"}]}},
        {
            "valueTriggerDefinition": {
                "type": "data-added",
                "data": [{"type": "Patient"}],
                "condition": {"language": "a", "expression": "x"},
            }
        },
    ),
    {
        "resourceType": "Composition",
        "status": "final",
        "type": {"text": "x"},
        "date": "2024",
        "author": [{"display": "x"}],
        "title": "x",
        "section": [SECTION, {"title": "a", "section": [SECTION]}, {"title": "b"}],
    },
    {
        "resourceType": "AuditEvent",
        "type": {"code": "rest"},
        "recorded": "2024-05-06T10:20:30Z",
        "agent": [{"requestor": True}],
        "source": {"observer": {"display": "x"}},
        "entity": [{"name": "a", "query": "QQ=="}, {"name": "a"}, {"query": "QQ=="}],
    },
    {
        "resourceType": "FamilyMemberHistory",
        "status": "completed",
        "patient": {"display": "x"},
        "relationship": {"text": "x"},
        "bornDate": "1950",
        "ageString": "x",
        "estimatedAge": True,
    },
    {"resourceType": "Organization", "identifier": [{"value": "1"}], "name": "x", "telecom": [{"use": "home"}]},
    {
        "resourceType": "Appointment",
        "status": "cancelled",
        "cancelationReason": {"text": "x"},
        "participant": [{"actor": {"display": "x"}, "status": "accepted"}],
    },
    changed(REFERRAL, (("orderDetail",), [{"text": "x"}])),
    changed(OBSERVATION, (("referenceRange",), [{"low": {"value": 1}, "text": "x"}])),
    {
        **VALID["condition"],
        "stage": [{"summary": {"text": "x"}, "type": {"text": "x"}}],
        "evidence": [{"code": [{"text": "x"}]}],
    },
]


def table_of(test: Any, position: int = 0) -> list[Any]:
    """The inputs of a parametrised test."""
    return [case[position] for mark in test.pytestmark for case in mark.args[1]]


def samples() -> Iterator[Any]:
    for path in EXAMPLES:
        yield parse(path.read_bytes()).value
    yield from MORE
    yield from VALID.values()
    yield from table_of(test_r4_rules.test_invariants_hold_and_are_named_by_their_key)
    yield from table_of(test_r4_rules.test_a_bundle_keeps_the_rules_of_its_type)
    yield from HOLD


def places(value: Any) -> list[tuple[Any, Any]]:
    steps = list(value.items()) if isinstance(value, dict) else []
    steps += list(enumerate(value)) if isinstance(value, list) else []
    return [(value, key) for key, _ in steps] + [place for _, child in steps for place in places(child)]


def variants(sample: Any) -> Iterator[Any]:
    """The sample, and the sample without each one of its values where that leaves nothing empty."""
    yield sample
    for index in range(len(places(sample))):
        variant = copy.deepcopy(sample)
        holder, key = places(variant)[index]
        if len(holder) > 1:
            del holder[key]
            yield variant


@pytest.fixture
def verdicts(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Verdict]]:
    """What both say, for each object that a closure is asked about while the fixture is there."""
    seen: list[Verdict] = []
    rule_for = invariants.rule_for

    def both(constraint: table.Constraint) -> invariants.Rule | None:
        rule = rule_for(constraint)
        key = (constraint.owner, constraint.key)
        if rule is None or key in fhirpath.MISJUDGED:
            return rule
        path = f"{constraint.owner}.{constraint.path}" if constraint.path else constraint.owner
        expression = fhirpath.Expression(constraint.expression, path)

        def judge(value: Object, place: str, scope: Scope) -> None:
            malformed = fhirpath.is_malformed(place, scope)
            if not malformed:
                other = expression.holds(fhirpath.plain(value)[0], scope.resource)
                seen.append((key, invariants.HOLDS[key](value), other, json.dumps(value, default=str)))
            rule(value, place, scope)

        return judge

    monkeypatch.setattr(invariants, "rule_for", both)
    compiler.shape_for.cache_clear()
    yield seen
    compiler.shape_for.cache_clear()


def test_closures_and_fhirpath_agree(verdicts: list[Verdict]) -> None:
    for sample in samples():
        for variant in variants(sample) if len(json.dumps(sample, default=str)) < 3_000 else [sample]:
            check(variant)
    assert [each for each in verdicts if each[1] != each[2]] == []
    assert len(verdicts) > 10_000
    judged = set(invariants.HOLDS) - set(fhirpath.MISJUDGED)
    assert {key for key, *_ in verdicts} == judged
    assert {key for key, holds, *_ in verdicts if holds} == judged
    assert {key for key, holds, *_ in verdicts if not holds} == judged
