"""References and contained resources."""

from __future__ import annotations

from typing import Any

import pytest

from referral_service.fhir.conformance import check
from tests.fhir.conformance.r4_samples import PATIENT, REFERRAL, TRANSACTION, Finding, changed, findings

TARGET, MISMATCH, LOST, RULE = "reference-target", "reference-type-mismatch", "reference-unresolved", "contained-rule"
NOTE = {"resourceType": "Observation", "id": "o1", "status": "final", "code": {"text": "x"}}


@pytest.mark.parametrize(
    ("requester", "expected"),
    [
        ({"reference": "Practitioner/1"}, []),
        ({"reference": "Practitioner/1/_history/2"}, []),
        ({"reference": "https://a.example/fhir/PractitionerRole/1"}, []),
        ({"reference": "https://a.example/fhir/PractitionerRole/1/_history/3"}, []),
        ({"reference": "Practitioner?identifier=a|b"}, []),
        ({"reference": "urn:uuid:0d9a3b0e-6c1c-4b7e-9b50-0d3cfa3f3b11"}, []),
        ({"reference": "https://a.example/anything"}, []),
        ({"identifier": {"value": "1"}, "type": "Practitioner"}, []),
        ({"identifier": {"value": "1"}, "type": "http://hl7.org/fhir/StructureDefinition/Practitioner"}, []),
        ({"display": "Dr One"}, []),
        ({"reference": "#p1"}, []),
        ({"reference": "Condition/1"}, [("reference", TARGET)]),
        ({"reference": "Condition?code=1"}, [("reference", TARGET)]),
        ({"reference": "https://a.example/fhir/Condition/1"}, [("reference", TARGET)]),
        ({"identifier": {"value": "1"}, "type": "Condition"}, [("type", TARGET)]),
        ({"identifier": {"value": "1"}, "type": "practitioner"}, [("type", TARGET)]),
        ({"reference": "Practitioner/1", "type": "Practitioner"}, []),
        ({"reference": "Practitioner/1", "type": "Patient"}, [("type", MISMATCH)]),
        (
            {"reference": "Condition/1", "type": "Goal"},
            [("type", MISMATCH), ("type", TARGET), ("reference", TARGET)],
        ),
        ({"reference": "Banana/1"}, [("reference", "invalid-value")]),
        ({"reference": "1"}, [("reference", "invalid-value")]),
        ({"reference": "Practitioner/a b"}, [("reference", "invalid-value")]),
        ({"reference": "Practitioner/1\n"}, [("reference", "invalid-value")]),
        ({"reference": "#p2"}, [("reference", LOST)]),
        ({"reference": 7}, [("reference", "wrong-type")]),
        ({"reference": ""}, [("reference", "empty-value")]),
        ({"type": 7, "display": "x"}, [("type", "wrong-type")]),
        ({"id": "a"}, [("", "empty-value")]),
    ],
)
def test_a_reference_points_at_a_type_that_its_element_allows(requester: Any, expected: list[Finding]) -> None:
    found = findings(changed(REFERRAL, (("requester",), requester)))
    assert found == [(f"ServiceRequest.requester.{place}".rstrip("."), rule) for place, rule in expected]


def test_a_type_that_r4_does_not_know_is_only_worth_a_warning() -> None:
    (issue,) = check(changed(REFERRAL, (("requester",), {"type": "practitioner", "display": "x"})))
    assert issue.severity == "warning"


def test_a_local_reference_is_judged_by_the_type_contained() -> None:
    payload = changed(REFERRAL, (("performer",), [{"reference": "#o1"}]), (("contained",), [PATIENT, NOTE]))
    assert findings(payload) == [("ServiceRequest.performer[0].reference", TARGET)]


def test_a_urn_is_judged_by_the_entry_it_names() -> None:
    urn = TRANSACTION["entry"][1]["fullUrl"]
    payload = changed(TRANSACTION, (("entry", 1, "resource", "subject", "reference"), urn))
    assert findings(payload) == [("Bundle.entry[1].resource.subject.reference", TARGET)]


def test_local_references_resolve_in_their_own_container_only() -> None:
    stranger = {"resourceType": "Task", "status": "draft", "intent": "order", "for": {"reference": "#p1"}}
    bundle = {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": REFERRAL}, {"resource": stranger}]}
    assert findings(bundle) == [("Bundle.entry[1].resource.for.reference", LOST)]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ([(("contained", 0, "id"), ...), (("subject",), {"display": "x"})], [(".id", RULE)]),
        ([(("contained", 0, "meta"), {"versionId": "1"})], [(".meta.versionId", RULE)]),
        ([(("contained", 0, "meta"), {"lastUpdated": "2024-05-06T10:20:30Z"})], [(".meta.lastUpdated", RULE)]),
        ([(("contained", 0, "meta"), {"security": [{"code": "R"}]})], [(".meta.security", RULE)]),
        ([(("contained", 0, "meta"), {"tag": [{"code": "R"}]})], []),
        ([(("contained", 0, "contained"), [NOTE])], [(".contained", RULE)]),
        ([(("subject",), {"display": "x"})], [("", RULE)]),
        (
            [(("subject",), {"display": "x"}), (("contained", 0, "managingOrganization"), {"reference": "#"})],
            [
                (".managingOrganization.reference", TARGET),
            ],
        ),
        ([(("contained", 0, "birthDate"), "1975-13")], [(".birthDate", "invalid-value")]),
        (
            [(("contained", 0, "identifier", 0, "assigner"), {"reference": "#q"})],
            [
                (".identifier[0].assigner.reference", LOST),
            ],
        ),
    ],
)
def test_contained_resources_are_parts_of_their_container(changes: list[Any], expected: list[Finding]) -> None:
    found = findings(changed(REFERRAL, *changes))
    assert found == [(f"ServiceRequest.contained[0]{place}", rule) for place, rule in expected]


def test_contained_ids_are_unique() -> None:
    assert findings(changed(REFERRAL, (("contained",), [PATIENT, PATIENT]))) == [
        ("ServiceRequest.contained[1].id", RULE)
    ]


@pytest.mark.parametrize(
    "changes",
    [
        [(("supportingInfo",), [{"reference": "#o1"}])],
        [(("contained", 1, "focus"), [{"reference": "#"}])],
        [(("contained", 0, "extension"), [{"url": "http://a", "valueReference": {"reference": "#o1"}}])],
        [(("instantiatesCanonical",), ["#o1"])],
        [(("extension",), [{"url": "http://a", "valueUri": "#o1"}])],
    ],
)
def test_a_contained_resource_is_referred_to_or_refers_to_its_container(changes: list[Any]) -> None:
    payload = changed(REFERRAL, (("contained",), [PATIENT, NOTE]))
    assert findings(payload) == [("ServiceRequest.contained[1]", RULE)]
    assert findings(changed(payload, *changes)) == []


def test_a_word_in_a_text_is_no_reference_to_a_contained_resource() -> None:
    payload = changed(REFERRAL, (("contained",), [PATIENT, NOTE]), (("patientInstruction",), "#o1"))
    assert findings(payload) == [("ServiceRequest.contained[1]", RULE)]
