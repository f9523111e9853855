"""The shape of resources: types, elements, cardinality, choices, nulls, extensions."""

from __future__ import annotations

from typing import Any

import pytest
from fhir.resources.R4B import get_fhir_model_class

from tests.fhir.conformance.r4_samples import (
    CONDITION,
    OBSERVATION,
    PATIENT,
    REFERRAL,
    VALID,
    Finding,
    changed,
    findings,
    findings_in,
)

REASON = {"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason", "valueCode": "unknown"}


@pytest.mark.parametrize("name", sorted(VALID))
def test_valid_resources_have_no_faults_and_other_readers_agree(name: str) -> None:
    sample = VALID[name]
    assert findings(sample) == []
    get_fhir_model_class(sample["resourceType"]).model_validate(sample)


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        ({}, [("", "unknown-resource-type")]),
        ({"resourceType": "Banana"}, [("", "unknown-resource-type")]),
        ({"resourceType": "DomainResource"}, [("", "unknown-resource-type")]),
        ({"resourceType": "SubscriptionStatus"}, [("", "unknown-resource-type")]),
        ({"resourceType": "HumanName"}, [("", "unknown-resource-type")]),
        ({"resourceType": ["Patient"]}, [("", "unknown-resource-type")]),
        ({"resourceType": None}, [("", "unknown-resource-type")]),
        ([], [("", "wrong-type")]),
        ("Patient", [("", "wrong-type")]),
        (None, [("", "misplaced-null")]),
        ({"resourceType": "Patient"}, []),
        ({"resourceType": "Basic", "code": {"text": "x"}}, []),
    ],
)
def test_a_resource_names_a_concrete_type_of_r4(payload: Any, expected: list[Finding]) -> None:
    assert findings(payload) == expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (
            '{"resourceType":"Patient","contained":[{"id":"a"}],"link":[{"type":"seealso","other":{"reference":"#a"}}]}',
            [("Patient.contained[0]", "unknown-resource-type")],
        ),
        (
            '{"resourceType":"Bundle","type":"collection","entry":[{"resource":{"resourceType":"X"}},{"resource":[]}]}',
            [("Bundle.entry[0].resource", "unknown-resource-type"), ("Bundle.entry[1].resource", "wrong-type")],
        ),
        ('{"resourceType":"Patient","contained":{"a":1}}', [("Patient.contained", "wrong-type")]),
        ('{"resourceType":"Patient","contained":[]}', [("Patient.contained", "empty-value")]),
        (
            '{"resourceType":"Patient","contained":[null,7]}',
            [
                ("Patient.contained[0]", "misplaced-null"),
                ("Patient.contained[1]", "wrong-type"),
            ],
        ),
        ('{"resourceType":"Bundle","type":"collection","entry":"x"}', [("Bundle.entry", "wrong-type")]),
        ('{"resourceType":"Bundle","type":"collection","entry":["x"]}', [("Bundle.entry[0]", "wrong-type")]),
        ('{"resourceType":"Bundle","type":"collection","entry":[]}', [("Bundle.entry", "empty-value")]),
    ],
)
def test_nested_resources_are_judged_where_they_stand(body: str, expected: list[Finding]) -> None:
    assert findings_in(body) == expected


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("gender1", "female", [("Patient.gender1", "unknown-element")]),
        ("Gender", "female", [("Patient", "unknown-element")]),  # what no element can be called is not repeated
        ("_id", {"id": "x"}, [("Patient.id", "unknown-element")]),
        ("_name", [{"id": "x"}], [("Patient.name", "unknown-element")]),
        ("Anna Muster", 1, [("Patient", "unknown-element")]),
        ("project", "x", [("Patient.project", "unknown-element")]),
        ("deceasedString", "x", [("Patient.deceasedString", "choice-type")]),
        ("deceased", True, [("Patient.deceased", "choice-type")]),
        ("deceased[x]", True, [("Patient", "choice-type")]),
        ("deceasement", True, [("Patient.deceasement", "unknown-element")]),
    ],
)
def test_elements_that_r4_does_not_have_are_refused(name: str, value: Any, expected: list[Finding]) -> None:
    assert findings(changed(PATIENT, ((name,), value))) == expected


def test_resource_type_has_no_place_in_a_data_type() -> None:
    payload = changed(PATIENT, (("name", 0, "resourceType"), "HumanName"))
    assert findings(payload) == [("Patient.name[0].resourceType", "unknown-element")]


def test_elements_added_to_the_packaged_profiles_are_not_r4() -> None:
    payload = changed(PATIENT, (("meta",), {"project": "x", "author": {"display": "x"}, "versionId": "1"}))
    assert findings(payload) == [
        ("Patient.meta.project", "unknown-element"),
        ("Patient.meta.author", "unknown-element"),
    ]


@pytest.mark.parametrize(
    ("sample", "changes", "expected"),
    [
        (REFERRAL, [(("status",), ...), (("intent",), ...)], ["ServiceRequest.status", "ServiceRequest.intent"]),
        (REFERRAL, [(("text", "div"), ...)], ["ServiceRequest.text.div"]),
        (REFERRAL, [(("note", 0, "text"), ...)], ["ServiceRequest.note[0].text"]),
        (OBSERVATION, [(("code",), ...)], ["Observation.code"]),
        (CONDITION, [(("subject",), ...)], ["Condition.subject"]),
        (
            {"resourceType": "MedicationRequest", "status": "active", "intent": "order", "subject": {"display": "x"}},
            [],
            ["MedicationRequest.medication"],
        ),
    ],
)
def test_what_must_be_there_is_missed(sample: dict[str, Any], changes: list[Any], expected: list[str]) -> None:
    assert findings(changed(sample, *changes)) == [(each, "missing-element") for each in expected]


def test_an_extension_stands_in_for_a_required_primitive() -> None:
    payload = changed(REFERRAL, (("status",), ...), (("_status",), {"extension": [REASON]}))
    assert findings(payload) == []


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        (("status",), ["active"], [("ServiceRequest.status", "wrong-type")]),
        (("reasonCode",), {"text": "x"}, [("ServiceRequest.reasonCode", "wrong-type")]),
        (("code",), [{"text": "x"}], [("ServiceRequest.code", "wrong-type")]),
        (("code",), "x", [("ServiceRequest.code", "wrong-type")]),
        (("reasonCode",), ["x"], [("ServiceRequest.reasonCode[0]", "wrong-type")]),
        (("instantiatesUri",), "x", [("ServiceRequest.instantiatesUri", "wrong-type")]),
        (("doNotPerform",), "true", [("ServiceRequest.doNotPerform", "wrong-type")]),
        (("doNotPerform",), 1, [("ServiceRequest.doNotPerform", "wrong-type")]),
        (("patientInstruction",), 1, [("ServiceRequest.patientInstruction", "wrong-type")]),
        (("patientInstruction",), {"a": 1}, [("ServiceRequest.patientInstruction", "wrong-type")]),
        (("patientInstruction",), "", [("ServiceRequest.patientInstruction", "empty-value")]),
        (("reasonCode",), [], [("ServiceRequest.reasonCode", "empty-value")]),
        (("reasonCode",), [{}], [("ServiceRequest.reasonCode[0]", "empty-value")]),
        (("code",), {}, [("ServiceRequest.code", "empty-value")]),
        (("code",), {"id": "a"}, [("ServiceRequest.code", "empty-value")]),
        (("code",), None, [("ServiceRequest.code", "misplaced-null")]),
        (("patientInstruction",), None, [("ServiceRequest.patientInstruction", "misplaced-null")]),
        (("reasonCode",), None, [("ServiceRequest.reasonCode", "misplaced-null")]),
        (("reasonCode",), [None], [("ServiceRequest.reasonCode[0]", "misplaced-null")]),
        (("instantiatesUri",), [None], [("ServiceRequest.instantiatesUri[0]", "misplaced-null")]),
    ],
)
def test_json_types_are_not_bent(path: tuple[str | int, ...], value: Any, expected: list[Finding]) -> None:
    assert findings(changed(REFERRAL, (path, value))) == expected


@pytest.mark.parametrize(
    ("given", "beside", "expected"),
    [
        (["a", "b"], [None, {"extension": [REASON]}], []),
        ([None, "b"], [{"extension": [REASON]}, None], []),
        (..., [{"extension": [REASON]}], []),
        ([None, "b"], ..., [("given[0]", "misplaced-null")]),
        ([None, "b"], [None, None], [("given[0]", "misplaced-null"), ("given[0]", "misplaced-null")]),
        (["a", "b"], [{"extension": [REASON]}], [("given", "misplaced-null")]),
        (["a"], [None, {"extension": [REASON]}], [("given", "misplaced-null")]),
        (["a"], {"extension": [REASON]}, [("given", "wrong-type")]),
        (["a"], ["x"], [("given[0]", "wrong-type")]),
        (["a"], [{"extension": []}], [("given[0].extension", "empty-value")]),
        (["a"], [{"id": "x"}], []),
        (..., [{"id": "x"}], [("given[0]", "empty-value")]),
        (["a"], [{"value": "x"}], [("given[0].value", "unknown-element")]),
    ],
)
def test_extensions_of_repeating_primitives_stand_in_line(given: Any, beside: Any, expected: list[Finding]) -> None:
    name: dict[str, Any] = {"family": "Muster", "given": given, "_given": beside}
    payload = {"resourceType": "Patient", "name": [{key: each for key, each in name.items() if each is not ...}]}
    assert findings(payload) == [(f"Patient.name[0].{place}", rule) for place, rule in expected]


@pytest.mark.parametrize(
    ("value", "beside", "expected"),
    [
        ("1975", {"extension": [REASON]}, []),
        ("1975", {"id": "a"}, []),
        (..., {"extension": [REASON]}, []),
        (..., {"id": "a"}, [("Patient.birthDate", "empty-value")]),
        ("1975", {}, [("Patient.birthDate", "empty-value")]),
        ("1975", None, [("Patient.birthDate", "misplaced-null")]),
        ("1975", [{"extension": [REASON]}], [("Patient.birthDate", "wrong-type")]),
        ("1975", {"birthDate": "1975"}, [("Patient.birthDate.birthDate", "unknown-element")]),
        (None, {"extension": [REASON]}, [("Patient.birthDate", "misplaced-null")]),
    ],
)
def test_extensions_of_a_primitive_hang_on_the_element_itself(value: Any, beside: Any, expected: list[Finding]) -> None:
    payload = changed({"resourceType": "Patient", "birthDate": "x"}, (("birthDate",), value), (("_birthDate",), beside))
    assert findings(payload) == expected


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ([(("occurrenceDateTime",), "2024")], [("ServiceRequest.occurrenceDateTime", "choice-type")]),
        ([(("occurrenceString",), "soon")], [("ServiceRequest.occurrenceString", "choice-type")]),
        ([(("_occurrencePeriod",), {"id": "a"})], [("ServiceRequest.occurrencePeriod", "unknown-element")]),
        ([(("asNeededBoolean",), True), (("_asNeededBoolean",), {"id": "a"})], []),
        (
            [(("quantityQuantity",), {"value": 1}), (("quantityRatio",), {"extension": [REASON]})],
            [("ServiceRequest.quantityRatio", "choice-type")],
        ),
    ],
)
def test_a_choice_is_made_once_and_among_its_types(changes: list[Any], expected: list[Finding]) -> None:
    assert findings(changed(REFERRAL, *changes)) == expected


def test_extensions_have_a_url_and_a_value_or_extensions() -> None:
    extension = [
        REASON,
        {"url": "http://a", "extension": [{"url": "b", "valueString": "x"}]},
        {"valueString": "x"},
        {"url": "http://a"},
        {"url": "http://a", "valueString": "x", "extension": [REASON]},
        {"url": "http://a", "valueString": "x", "valueCode": "y"},
        {"url": "http://a", "valueBanana": "x"},
        {"url": "http://a", "extension": [{"url": "b"}]},
    ]
    assert findings(changed(PATIENT, (("extension",), extension))) == [
        ("Patient.extension[2].url", "missing-element"),
        ("Patient.extension[3]", "invariant"),
        ("Patient.extension[4]", "invariant"),
        ("Patient.extension[5].valueCode", "choice-type"),
        ("Patient.extension[6].valueBanana", "unknown-element"),
        ("Patient.extension[7].extension[0]", "invariant"),
    ]


def test_faults_come_in_the_order_of_the_document_and_all_at_once() -> None:
    body = (
        '{"resourceType":"ServiceRequest","status":"banana","reasonCode":[{"coding":[{},{"system":" "}]}],'
        '"intent":"order","authoredOn":"yesterday","foo":1}'
    )
    assert findings_in(body) == [
        ("ServiceRequest.status", "code-not-in-value-set"),
        ("ServiceRequest.reasonCode[0].coding[0]", "empty-value"),
        ("ServiceRequest.reasonCode[0].coding[1].system", "invalid-value"),
        ("ServiceRequest.authoredOn", "invalid-value"),
        ("ServiceRequest.foo", "unknown-element"),
        ("ServiceRequest.subject", "missing-element"),
    ]
