"""Which address a reference leads to: below the registered base, or nowhere."""

from __future__ import annotations

import pytest

from referral_service.ehr.known import Ehr, Wanted, is_same_base

EHR = Ehr("ehr-a", "https://ehr.example/r4/fhir")


@pytest.mark.parametrize(
    ("reference", "home", "full_url"),
    [
        ("Patient/77", None, "https://ehr.example/r4/fhir/Patient/77"),
        ("Patient/77/_history/3", None, "https://ehr.example/r4/fhir/Patient/77"),
        ("https://ehr.example/r4/fhir/Patient/77", None, "https://ehr.example/r4/fhir/Patient/77"),
        ("https://ehr.example:443/r4/fhir/Patient/77", None, "https://ehr.example:443/r4/fhir/Patient/77"),
        ("https://EHR.example/r4/fhir/Patient/77", None, "https://EHR.example/r4/fhir/Patient/77"),
        ("Patient/77", "https://ehr.example/r4/fhir/ServiceRequest/1", "https://ehr.example/r4/fhir/Patient/77"),
        ("Patient/77", "urn:uuid:0b0f6e60-6ff4-4a0c-9e4c-5a6a6d1f0001", "https://ehr.example/r4/fhir/Patient/77"),
    ],
)
def test_what_is_called_is_made_from_the_registered_base_whatever_the_reference_looks_like(
    reference: str, home: str | None, full_url: str
) -> None:
    record = EHR.record(reference, home)
    assert record == Wanted("Patient", "77", full_url)
    assert EHR.address(record) == "https://ehr.example/r4/fhir/Patient/77"


@pytest.mark.parametrize(
    "reference",
    [
        None,
        "",
        "#p",
        "Patient",
        "Patient/..",
        "Patient/.",
        "Patient/...",
        "Patient/77/Observation/1",
        "//ehr.example/r4/fhir/Patient/77",
        "http://ehr.example/r4/fhir/Patient/77",
        "https://ehr.example:8443/r4/fhir/Patient/77",
        "https://ehr.example.evil.example/r4/fhir/Patient/77",
        "https://evil.example/https://ehr.example/r4/fhir/Patient/77",
        "https://ehr.example@evil.example/r4/fhir/Patient/77",
        "https://ehr.example/r4/fhir2/Patient/77",
        "https://ehr.example/R4/fhir/Patient/77",
        "https://ehr.example/r4/fhir//Patient/77",
        "https://ehr.example/r4/fhir/x/../Patient/77",
        "https://ehr.example/r4/fhir#/Patient/77",
        "https://ehr.example/r4/fhir?/Patient/77",
        "https://ehr.example/r4\t/fhir/Patient/77",
        "https://ehr.example:x/r4/fhir/Patient/77",
        "https://[ehr.example/r4/fhir/Patient/77",
    ],
)
def test_anything_else_leads_nowhere(reference: object) -> None:
    assert EHR.record(reference) is None


def test_a_relative_reference_of_a_resource_that_came_from_elsewhere_leads_nowhere() -> None:
    assert EHR.record("Patient/77", "https://other.example/fhir/ServiceRequest/1") is None


def test_a_base_is_the_same_only_as_a_whole() -> None:
    assert is_same_base("https://ehr.example/fhir", "https://ehr.example:443/fhir")
    assert not is_same_base("https://ehr.example/fhir", "https://ehr.example/fhi")
    assert not is_same_base("https://ehr.example/fhir", "https://ehr.example/fhir/r4")


def test_its_host_is_told_without_its_path() -> None:
    assert Ehr("a", "https://ehr.example:8443/tenants/7/fhir").host == "ehr.example:8443"
