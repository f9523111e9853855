"""The canonical hash: what makes two referrals the same, and what does not."""

from __future__ import annotations

from typing import Any

import pytest

from referral_service.fhir.bundle import Envelope
from referral_service.fhir.canonical import canonical_hash, combined_hash, content_hash, facts_json, same
from referral_service.fhir.parse import Number
from tests.shapes import Resource, bundle, entry, patient, referral

P, Q, S = (f"urn:uuid:0b0f6e60-6ff4-4a0c-9e4c-5a6a6d1f000{digit}" for digit in "123")


def hashed(payload: Resource) -> str:
    envelope = Envelope(payload)
    return canonical_hash(envelope, envelope.referrals()[0])


def enveloped(urn: str = P, who: Resource | None = None, **more: Any) -> Resource:
    sent = referral(subject={"reference": urn}, **more)
    return bundle(entry(who or patient(), urn), entry(sent, S))


@pytest.mark.parametrize(
    "change",
    [
        {"id": "x"},
        {"meta": {"versionId": "7", "lastUpdated": "2026-01-01T00:00:00Z"}},
        {"text": {"status": "generated", "div": "<div/>"}},
        {"contained": [patient(id="p", meta={"source": "x"})]},
    ],
)
def test_what_changes_from_sending_to_sending_is_left_out(change: Resource) -> None:
    assert hashed(referral(**change)) == hashed(referral())


@pytest.mark.parametrize(
    "change",
    [
        {"priority": "stat"},
        {"note": [{"text": "x"}]},
        {"contained": [patient("1970-05-02", id="p")]},
        {"reasonCode": [{"text": "cervical dystonia"}]},
        {"extension": [{"url": "urn:x", "valueInteger": 1}]},
        {"occurrenceDateTime": "2026-01-01"},
    ],
)
def test_everything_else_counts(change: Resource) -> None:
    assert hashed(referral(**change)) != hashed(referral())


def test_the_order_of_names_and_entries_and_other_urns_do_not_count() -> None:
    turned = enveloped(Q)
    turned["entry"].reverse()
    assert hashed(turned) == hashed(enveloped())
    assert hashed(dict(reversed(referral().items()))) == hashed(referral())
    assert hashed(enveloped() | {"timestamp": "2026-01-01T00:00:00Z", "type": "batch"}) == hashed(enveloped())


def test_the_id_of_a_contained_resource_does_not_count() -> None:
    other = referral(subject={"reference": "#q"}, contained=[patient(id="q")])
    assert hashed(other) == hashed(referral())


def test_the_content_of_what_is_referred_to_counts() -> None:
    assert hashed(enveloped(who=patient("1970-05-02"))) != hashed(enveloped())


def test_a_reference_that_leads_elsewhere_counts_by_its_address() -> None:
    one, two = (referral(subject={"reference": f"Patient/{number}"}) for number in (1, 2))
    assert hashed(one) != hashed(two)
    based = {"fullUrl": "http://a.example/ServiceRequest/1", "resource": one}
    absolute = {"resource": referral(subject={"reference": "http://a.example/Patient/1"})}
    assert hashed(bundle(based, kind="collection")) == hashed(bundle(absolute, kind="collection"))
    versioned = referral(subject={"reference": "Patient/1/_history/3"})
    assert hashed(versioned) == hashed(one)


def test_a_circle_of_references_ends() -> None:
    who = patient(generalPractitioner=[{"reference": Q}])
    doctor = {"resourceType": "Practitioner", "extension": [{"url": "urn:x", "valueReference": {"reference": P}}]}
    sent = bundle(entry(who, P), entry(doctor, Q), entry(referral(subject={"reference": P}), S))
    assert hashed(sent) == hashed(sent)


def test_numbers_count_by_their_digits() -> None:
    one, two = (referral(extension=[{"url": "urn:x", "valueDecimal": Number(digits)}]) for digits in ("1.5", "1.50"))
    assert hashed(one) != hashed(two)
    assert (same({"a": 1, "b": 2}, {"b": 2, "a": 1}), same([1, 2], [2, 1])) == (True, False)


def test_content_is_compared_without_id_and_meta() -> None:
    assert content_hash(patient(id="1", meta={"source": "x"})) == content_hash(patient(id="2"))
    assert content_hash(patient()) != content_hash(patient("1971-01-01"))


def test_one_referral_stands_for_its_request_in_any_envelope() -> None:
    assert combined_hash(["a"]) == "a"
    assert combined_hash(["a", "b"]) != combined_hash(["b", "a"])
    assert facts_json({"b": 1, "a": 2}) == b'{"a":2,"b":1}'
