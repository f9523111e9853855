"""Whatever JSON comes in, issues come out; and the table behind it is what it says."""

from __future__ import annotations

import copy
from importlib.resources import files
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from referral_service.fhir.conformance import check, table
from referral_service.fhir.conformance.compiler import shape_for
from referral_service.fhir.parse import Number
from referral_service.issues import Issue
from tests.fhir.conformance.r4_samples import REFERRAL, VALID, findings

ODD = (
    None,
    True,
    0,
    -1,
    Number("1.5"),
    "",
    " ",
    "x",
    "#",
    "#p1",
    [],
    [None],
    [[]],
    {},
    {"a": 1},
    {"resourceType": "Patient"},
)


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every holder with every key or index in it."""
    steps = (
        list(value.items()) if isinstance(value, dict) else list(enumerate(value)) if isinstance(value, list) else []
    )
    return [(value, key) for key, _ in steps] + [place for _, child in steps for place in places(child)]


def mutate(data: st.DataObject, payload: dict[str, Any]) -> None:
    holder, key = data.draw(st.sampled_from(places(payload)))
    action = data.draw(st.sampled_from(["drop", "double", "retype", "rename", "wrap"]))
    if action == "drop":
        del holder[key]
    elif action == "double":
        holder[key] = [holder[key], copy.deepcopy(holder[key])]
    elif action == "retype":
        holder[key] = copy.deepcopy(data.draw(st.sampled_from(ODD)))
    elif action == "wrap":
        holder[key] = {data.draw(st.sampled_from(["id", "extension", "contained", "reference", "0"])): holder[key]}
    elif isinstance(holder, dict):
        holder[data.draw(st.sampled_from(["_" + key, key + "s", "resourceType", "contained", "id", "entry"]))] = (
            holder.pop(key)
        )


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_a_mutated_resource_yields_issues_and_never_an_exception(data: st.DataObject) -> None:
    payload = copy.deepcopy(VALID[data.draw(st.sampled_from(sorted(VALID)))])
    for _ in range(data.draw(st.integers(1, 6))):
        if places(payload):
            mutate(data, payload)
    issues = check(payload)
    assert all(isinstance(issue, Issue) and issue.diagnostics for issue in issues)
    assert check(payload) == issues


def test_every_single_value_of_the_valid_resources_may_be_anything() -> None:
    for sample in VALID.values():
        count = len(places(sample))
        for index in range(count):
            for odd in ODD:
                payload = copy.deepcopy(sample)
                holder, key = places(payload)[index]
                holder[key] = odd
                assert isinstance(check(payload), list)


@pytest.mark.parametrize("type_name", sorted(table.resource_types()))
def test_every_resource_type_can_be_walked(type_name: str) -> None:
    parts = shape_for(type_name).parts
    payload: dict[str, Any] = {
        "resourceType": type_name,
        **{name: {"id": "a"} for name in parts.fields if name != "resourceType"},
    }
    assert all(issue.expression.startswith(type_name) for issue in check(payload))


def test_nesting_without_end_is_told_and_not_raised() -> None:
    value: Any = {"url": "http://a", "valueString": "x"}
    for _ in range(5000):
        value = {"url": "http://a", "extension": [value]}
    assert findings({"resourceType": "Patient", "extension": [value]}) == [("Patient", "too-deep")]


def test_a_resource_of_nothing_but_faults_is_cut_short() -> None:
    issues = check({"resourceType": "Patient", "name": [1] * 50_000})
    assert len(issues) == 10_001
    assert issues[-1].rule == "too-many-issues"


def test_a_large_bundle_is_judged_whole() -> None:
    entry = {"resource": REFERRAL}
    assert findings({"resourceType": "Bundle", "type": "collection", "entry": [entry] * 2000}) == []


def test_many_contained_resources_are_judged_whole() -> None:
    size = 5000
    contained = [{"resourceType": "Basic", "id": f"b{each}", "code": {"text": "x"}} for each in range(size)]
    payload = {
        "resourceType": "ServiceRequest",
        "status": "active",
        "intent": "order",
        "subject": {"display": "x"},
        "contained": contained,
        "supportingInfo": [{"reference": f"#b{each}"} for each in range(size)],
    }
    assert findings(payload) == []


def test_the_table_holds_the_types_of_4_0_1_and_no_others() -> None:
    assert len(table.resource_types()) == 146
    assert "SubscriptionStatus" not in table.resource_types()
    assert len(files("referral_service.fhir.conformance").joinpath("r4.json.gz").read_bytes()) < 250_000


@pytest.mark.parametrize(
    ("type_name", "path", "expected"),
    [
        (
            "AuditEvent",
            "source.observer",
            ("PractitionerRole", "Practitioner", "Organization", "Device", "Patient", "RelatedPerson"),
        ),
        ("ResearchStudy", "site", ("Location",)),
        ("ServiceRequest", "subject", ("Patient", "Group", "Location", "Device")),
        ("Task", "focus", ("Resource",)),
    ],
)
def test_reference_targets_are_those_of_the_specification(type_name: str, path: str, expected: tuple[str, ...]) -> None:
    (element,) = (each for each in table.definition(type_name).elements if each.path == path)
    assert sorted(element.types[0].narrowed) == sorted(expected)


@pytest.mark.parametrize(
    ("url", "codes"),
    [
        ("http://hl7.org/fhir/ValueSet/administrative-gender", ["male", "female", "other", "unknown"]),
        ("http://hl7.org/fhir/ValueSet/mimetypes", None),
        ("http://hl7.org/fhir/ValueSet/ucum-units", None),
    ],
)
def test_value_sets_are_listed_where_the_specification_lists_them(url: str, codes: list[str] | None) -> None:
    systems = table.value_set(url)
    assert (None if systems is None else [code for each in systems.values() for code in each]) == codes
