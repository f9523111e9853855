"""Records that a referral points at and that came earlier, or come later, count as if they had come along."""

from __future__ import annotations

from typing import Any

import pytest

from tests.shapes import Caller, Resource, bundle, entry, flags, patient, referral

SUBJECT = {"reference": "Patient/77"}
POINTS = {"reason": "", "subject": SUBJECT, "reasonReference": [{"reference": "Condition/c"}]}


def condition(words: str, subject: str = "Patient/77") -> Resource:
    return {"resourceType": "Condition", "id": "c", "subject": {"reference": subject}, "code": {"text": words}}


def code_of(resource: Resource) -> list[str]:
    return [tag["code"] for tag in resource["meta"]["tag"] if tag["system"].endswith("sid/icd-10-cm")]


@pytest.fixture
def with_patient(caller: Caller) -> Caller:
    assert caller.put("Patient/77", patient(id="77")).status_code == 201
    return caller


def test_a_condition_that_came_before_is_the_reason(with_patient: Caller) -> None:
    with_patient.put("Condition/c", condition("Cervical dystonia"))
    answer = with_patient.create(referral(**POINTS))
    assert (code_of(answer.json), flags(answer.json)) == (["G24.3"], [])
    decision = with_patient.read(f"ServiceRequest/{answer.json['id']}/$decision")
    found = [part for one in decision["parameter"] if one["name"] == "evidence" for part in one["part"]]
    assert found[0] == {
        "name": "expression",
        "valueString": "ServiceRequest.reasonReference[0].resolve().code.text",
    }


def test_preview_reads_it_too(with_patient: Caller) -> None:
    with_patient.put("Condition/c", condition("Cervical dystonia"))
    answer = with_patient.post("ServiceRequest/$preview", referral(**POINTS)).json["parameter"]
    assert answer[0] == {"name": "disposition", "valueCode": "routed"}


def test_the_condition_of_another_patient_is_not(with_patient: Caller) -> None:
    with_patient.put("Patient/78", patient(id="78"))
    with_patient.put("Condition/c", condition("Cervical dystonia", "Patient/78"))
    answer = with_patient.create(referral(**POINTS))
    assert flags(answer.json) == ["indication-undetermined"]


def _put(caller: Caller) -> None:
    caller.put("Condition/c", condition("Cervical dystonia"))


def _in_a_bundle(caller: Caller) -> None:
    caller.post("", bundle(entry(condition("Cervical dystonia"), method="PUT", url="Condition/c"), kind="batch"))


@pytest.mark.parametrize("arrive", [_put, _in_a_bundle])
def test_a_condition_that_comes_later_decides_the_referral_again(with_patient: Caller, arrive: Any) -> None:
    caller = with_patient
    first = caller.create(referral(**POINTS)).json
    assert (flags(first), caller.queue_of(first["id"])) == (["indication-undetermined"], "intake-review")
    arrive(caller)
    after = caller.read(f"ServiceRequest/{first['id']}")
    assert (code_of(after), flags(after), after["meta"]["versionId"]) == (["G24.3"], [], "2")
    assert caller.queue_of(first["id"]) == "adult-movement-disorders"
    assert after["reasonReference"][0]["reference"] == f"Condition/{caller.read('Condition/c')['id']}"


def test_a_contained_patients_record_that_comes_later_counts_by_the_identifier(caller: Caller) -> None:
    nhs = {"system": "urn:example:nhs", "value": "943"}
    sent = referral(reason="", contained=[patient(id="p", identifier=[nhs])], reasonReference=POINTS["reasonReference"])
    first = caller.create(sent).json
    assert flags(first) == ["indication-undetermined"]
    caller.put("Patient/77", patient(id="77", identifier=[nhs]))
    caller.put("Condition/c", condition("Cervical dystonia"))
    after = caller.read(f"ServiceRequest/{first['id']}")
    assert (code_of(after), caller.queue_of(first["id"])) == (["G24.3"], "adult-movement-disorders")


def test_both_the_patient_and_the_condition_may_come_later(caller: Caller) -> None:
    first = caller.create(referral(**POINTS)).json
    assert flags(first) == ["age-undetermined", "indication-undetermined"]
    caller.put("Condition/c", condition("Cervical dystonia"))
    caller.put("Patient/77", patient(id="77"))
    after = caller.read(f"ServiceRequest/{first['id']}")
    assert (code_of(after), flags(after)) == (["G24.3"], [])
