"""Rules about addresses that R4 states in words: held here because HAPI's validator keeps them too."""

from __future__ import annotations

from typing import Any

import pytest

from referral_service.fhir.conformance import check

HOME = "https://ehr.example/fhir"
UUID = "urn:uuid:0b0f6e60-6ff4-4a0c-9e4c-5a6a6d1f0001"
PATIENT = {"resourceType": "Patient", "id": "1"}


def faults(payload: dict[str, Any]) -> list[tuple[str, str]]:
    return [(issue.expression, issue.rule) for issue in check(payload) if issue.is_error]


def collection(url: str, resource: dict[str, Any]) -> dict[str, Any]:
    return {"resourceType": "Bundle", "type": "collection", "entry": [{"fullUrl": url, "resource": resource}]}


@pytest.mark.parametrize(
    "url", [f"{HOME}/Patient/1", UUID, "urn:oid:1.2.3", f"{HOME}/Person?id=1", f"{HOME}/folder/1", "mailto:a@b.example"]
)
def test_a_full_url_may_be_any_absolute_one_that_does_not_contradict_the_id(url: str) -> None:
    assert faults(collection(url, PATIENT)) == []


def test_a_resource_without_an_id_contradicts_no_full_url() -> None:
    assert faults(collection(f"{HOME}/Patient/1", {"resourceType": "Patient"})) == []


@pytest.mark.parametrize("url", ["Patient/1", "/Patient/1", f"{HOME}/Patient/2", f"{HOME}/Person/1"])
def test_a_full_url_is_absolute_and_ends_with_the_type_and_id_where_it_looks_restful(url: str) -> None:
    assert faults(collection(url, PATIENT)) == [("Bundle.entry[0].fullUrl", "bundle-rule")]


def document(**links: Any) -> dict[str, Any]:
    head = {
        "resourceType": "Composition",
        "id": "c",
        "status": "final",
        "type": {"text": "Referral note"},
        "date": "2026-03-16",
        "title": "Referral",
        "author": [{"display": "A. Physician"}],
    }
    return {
        "resourceType": "Bundle",
        "type": "document",
        "identifier": {"system": "urn:ietf:rfc:3986", "value": UUID},
        "timestamp": "2026-03-16T12:00:00Z",
        "entry": [
            {"fullUrl": f"{HOME}/Composition/c", "resource": head | links},
            {"fullUrl": f"{HOME}/Patient/1", "resource": PATIENT},
            {"fullUrl": UUID, "resource": {"resourceType": "Organization", "name": "Clinic"}},
        ],
    }


def test_a_document_holds_what_its_composition_refers_to_by_any_name() -> None:
    section = {"title": "Inner", "focus": {"reference": f"{HOME}/Patient/1"}, "entry": [{"reference": UUID}]}
    links = {
        "subject": {"reference": "Patient/1/_history/3"},
        "custodian": {"reference": UUID},
        "encounter": {"identifier": {"value": "elsewhere"}},
        "section": [{"title": "Outer", "section": [section]}],
    }
    assert faults(document(**links)) == []


def test_a_document_without_what_its_composition_refers_to_is_faulty_at_each_reference() -> None:
    away = {"reference": "Patient/2"}
    links = {
        "subject": away,
        "attester": [{"mode": "legal", "party": away}],
        "event": [{"detail": [{"reference": "Patient/1"}, away]}],
        "section": [{"title": "Outer", "section": [{"title": "Inner", "entry": [away]}]}],
    }
    at = "Bundle.entry[0].resource"
    assert faults(document(**links)) == [
        (f"{at}.subject.reference", "bundle-rule"),
        (f"{at}.attester[0].party.reference", "bundle-rule"),
        (f"{at}.event[0].detail[1].reference", "bundle-rule"),
        (f"{at}.section[0].section[0].entry[0].reference", "bundle-rule"),
    ]


@pytest.mark.parametrize("url", ["https://a.example/p|1.0", "urn:oid:1.2.3", f"{UUID}|2", "urn:iso:std:iso:3166"])
def test_a_canonical_is_absolute(url: str) -> None:
    assert faults({"resourceType": "Patient", "meta": {"profile": [url]}}) == []


@pytest.mark.parametrize("url", ["test1", "StructureDefinition/p", "/p", "urn:uuid:1|2"])
def test_a_relative_canonical_names_nothing(url: str) -> None:
    given = {"resourceType": "Patient", "meta": {"profile": [url]}}
    assert faults(given) == [("Patient.meta.profile[0]", "invalid-value")]


@pytest.mark.parametrize("url", [UUID, UUID.upper().replace("URN:UUID", "urn:uuid"), "urn:oid:2.16.840.1", "urn:x:1"])
def test_a_urn_of_a_uuid_or_an_oid_has_its_form(url: str) -> None:
    assert faults({"resourceType": "Patient", "implicitRules": url}) == []


@pytest.mark.parametrize("url", ["urn:uuid:", "urn:uuid:patient-001", "urn:oid:129.6.58", "urn:oid:1.02", "urn:oid:"])
def test_a_urn_of_a_uuid_or_an_oid_without_its_form_is_refused(url: str) -> None:
    assert faults({"resourceType": "Patient", "implicitRules": url}) == [("Patient.implicitRules", "invalid-value")]
