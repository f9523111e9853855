"""Which entry is the referral, and what a reference leads to."""

from __future__ import annotations

from typing import Any

import pytest

from referral_service.fhir.bundle import Entry, Envelope, Literal, literal
from tests.shapes import Resource, bundle, patient, referral

A, B = "http://a.example/fhir", "http://b.example/fhir"
LABORATORY = [{"coding": [{"system": "http://snomed.info/sct", "code": "108252007"}]}]
IMAGING = [{"coding": [{"system": "http://snomed.info/sct", "code": "363679005"}]}]


def collected(*resources: Resource | tuple[str, Resource]) -> Envelope:
    entries = [
        {"resource": one} if isinstance(one, dict) else {"fullUrl": one[0], "resource": one[1]} for one in resources
    ]
    return Envelope(bundle(*entries, kind="collection"))


def led_to(envelope: Envelope, reference: Any, source: int = -1) -> str | None:
    found = envelope.resolve(reference, envelope.entries[source])
    return found.path if found else None


@pytest.mark.parametrize(
    ("reference", "parts"),
    [
        ("Patient/1", Literal(None, "Patient", "1")),
        ("Patient/1/_history/2", Literal(None, "Patient", "1")),
        (f"{A}/Patient/a-b.c", Literal(A, "Patient", "a-b.c")),
        (f"{A}/Patient/1/_history/2", Literal(A, "Patient", "1")),
        ("#p", None),
        ("urn:uuid:0b0f6e60-6ff4-4a0c-9e4c-5a6a6d1f0001", None),
        ("Patient?identifier=s|v", None),
        ("Patient/", None),
        (7, None),
    ],
)
def test_a_literal_reference_is_taken_apart(reference: object, parts: Literal | None) -> None:
    assert literal(reference) == parts


def test_a_sole_request_is_the_referral_whatever_its_category() -> None:
    assert [one.position for one in collected(patient(), referral(category=LABORATORY)).referrals()] == [1]


def test_of_several_all_but_laboratory_and_imaging_orders_are_referrals() -> None:
    envelope = collected(
        referral("1", category=LABORATORY), referral("2"), referral("3", category=IMAGING), referral("4")
    )
    assert [one.position for one in envelope.referrals()] == [1, 3]


def test_a_contained_request_is_never_a_referral() -> None:
    holder = referral(contained=[patient(id="p"), referral(id="x", subject={"reference": "#p"})])
    assert [one.path for one in Envelope(holder).referrals()] == ["ServiceRequest"]


@pytest.mark.parametrize("through_task", [False, True])
def test_the_request_in_focus_of_a_message_is_the_referral(through_task: bool) -> None:
    task = {"resourceType": "Task", "status": "requested", "intent": "order", "focus": {"reference": "urn:s2"}}
    header = {"resourceType": "MessageHeader", "focus": [{"reference": "urn:t" if through_task else "urn:s2"}]}
    entries = [
        {"resource": header},
        {"fullUrl": "urn:s1", "resource": referral("1")},
        {"fullUrl": "urn:s2", "resource": referral("2")},
        {"fullUrl": "urn:t", "resource": task},
    ]
    assert [one.position for one in Envelope(bundle(*entries, kind="message")).referrals()] == [2]


def test_references_are_resolved_as_the_specification_says() -> None:
    envelope = collected(
        (f"{A}/Patient/1", patient()), (f"{B}/Patient/1", patient()), (f"{B}/ServiceRequest/1", referral())
    )
    assert led_to(envelope, {"reference": "Patient/1"}) == "Bundle.entry[1].resource"
    assert led_to(envelope, {"reference": f"{A}/Patient/1"}) == "Bundle.entry[0].resource"
    assert led_to(envelope, {"reference": f"{A}/Patient/1/_history/4"}) == "Bundle.entry[0].resource"
    assert led_to(envelope, {"reference": "http://c.example/Patient/1"}) is None
    assert led_to(envelope, {"reference": "#p"}) == "Bundle.entry[2].resource.contained[0]"
    assert led_to(envelope, {"reference": "#"}) == "Bundle.entry[2].resource"
    assert led_to(envelope, {"reference": "#q"}) is None
    assert led_to(envelope, {"display": "Patient/1"}) is None
    assert led_to(envelope, "Patient/1") is None


def test_without_a_full_url_the_sole_entry_of_that_type_and_id_is_meant() -> None:
    one = collected(patient(id="1"), patient(id="2"), referral())
    assert led_to(one, {"reference": "Patient/1"}) == "Bundle.entry[0].resource"
    two = collected(patient(id="1"), patient(id="1"), referral())
    assert led_to(two, {"reference": "Patient/1"}) is None


def test_a_logical_identifier_leads_to_the_sole_entry_that_carries_it() -> None:
    number = {"system": "urn:example:nhs", "value": "1"}
    envelope = collected(patient(identifier=[number]), referral(None, identifier=[number]))
    assert led_to(envelope, {"type": "Patient", "identifier": number}) == "Bundle.entry[0].resource"
    assert led_to(envelope, {"identifier": number}) is None
    assert led_to(envelope, {"identifier": {"system": "urn:example:nhs"}}) is None


@pytest.mark.parametrize(
    ("given", "names"),
    [
        (Entry("x", patient(id="1"), 0, f"{A}/Patient/1"), [f"{A}/Patient/1", "Patient/1"]),
        (Entry("x", patient(id="1"), 0), ["Patient/1"]),
        (Entry("x", patient(id="1"), 0, "urn:uuid:x", {"method": "POST", "url": "Patient"}), []),
        (Entry("x", patient(id="1"), 0, "urn:uuid:x", {"method": "PUT", "url": "Patient/1"}), ["Patient/1"]),
        (Entry("x", patient(id="1")), []),
    ],
)
def test_a_sender_goes_on_calling_a_resource_what_it_named_it(given: Entry, names: list[str]) -> None:
    assert given.addresses() == names
