"""A referral whose patient is unknown waits in review and is routed by itself when the Patient arrives."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from referral_service.intake.later import reconsider_all
from tests.shapes import CHILD_BORN, OWN, Caller, Resource, bundle, entry, flags, ledger_of, patient, referral

NHS = {"system": "urn:example:nhs", "value": "943"}
URN = "urn:uuid:0b0f6e60-6ff4-4a0c-9e4c-5a6a6d1f0001"
REASON = {"coding": [{"system": f"{OWN}/CodeSystem/status-reason", "code": "out-of-scope"}], "text": "why"}


def waiting(caller: Caller, subject: Resource, **more: Any) -> str:
    answer = caller.create(referral(subject=subject, **more))
    assert (answer.status_code, flags(answer.json)) == (201, ["age-undetermined"])
    assert caller.queue_of(answer.json["id"]) == "intake-review"
    return str(answer.json["id"])


def _by_put(caller: Caller) -> None:
    assert caller.put("Patient/77", patient(CHILD_BORN, id="77")).status_code == 201


def _by_put_entry(caller: Caller) -> None:
    caller.post("", bundle(entry(patient(CHILD_BORN, id="77"), URN, method="PUT", url="Patient/77")))


def _by_full_url(caller: Caller) -> None:
    sent = {"fullUrl": "http://ehr.example/Patient/77", "resource": patient(CHILD_BORN, id="77")}
    caller.post("", bundle(sent, kind="collection"))


def _by_post(caller: Caller) -> None:
    assert caller.post("Patient", patient(CHILD_BORN, identifier=[NHS])).status_code == 201


def _beside_another_referral(caller: Caller) -> None:
    sent = bundle(entry(patient(CHILD_BORN, identifier=[NHS]), URN), entry(referral("B-1", subject={"reference": URN})))
    caller.post("", sent)


def _inside_another_referral(caller: Caller) -> None:
    assert caller.create(referral("B-1", contained=[patient(CHILD_BORN, id="p", identifier=[NHS])])).status_code == 201


@pytest.mark.parametrize(
    ("subject", "arrive"),
    [
        ({"reference": "Patient/77"}, _by_put),
        ({"reference": "Patient/77"}, _by_put_entry),
        ({"reference": "Patient/77"}, _by_full_url),
        ({"reference": "http://ehr.example/Patient/77"}, _by_full_url),
        ({"reference": "Patient/77", "identifier": NHS}, _by_post),
        ({"type": "Patient", "identifier": NHS}, _by_post),
        ({"identifier": NHS}, _beside_another_referral),
        ({"identifier": NHS}, _inside_another_referral),
    ],
)
def test_it_is_routed_when_the_patient_arrives(
    caller: Caller, subject: Resource, arrive: Callable[[Caller], None]
) -> None:
    first = waiting(caller, subject)
    before = caller.task_of(first)
    assert caller.sums()["review"] == 1
    arrive(caller)
    after, served = caller.task_of(first), caller.read(f"ServiceRequest/{first}")
    assert after["owner"] == {"reference": "HealthcareService/pediatric-neuromotor"}
    assert (after["id"], after["authoredOn"], after["restriction"]) == (
        before["id"],
        before["authoredOn"],
        before["restriction"],
    )
    assert caller.read(after["for"]["reference"])["birthDate"] == CHILD_BORN
    assert (served["meta"]["versionId"], after["meta"]["versionId"], flags(served)) == ("2", "2", [])
    assert caller.sums()["review"] == 0
    receipt = caller.receipts("identifier=urn:example:orders|A-1")
    assert [one["disposition"] for one in receipt] == ["routed"]


def test_the_subject_is_rewritten_once_the_patient_is_here(caller: Caller) -> None:
    first = waiting(caller, {"reference": "Patient/77"})
    _by_put(caller)
    ours = caller.read("Patient/77")["id"]
    assert caller.read(f"ServiceRequest/{first}")["subject"] == {"reference": f"Patient/{ours}"}
    assert caller.get(f"ServiceRequest/{first}/$original").status_code == 200


def test_the_other_patients_of_a_client_do_not_route_it(caller: Caller) -> None:
    first = waiting(caller, {"reference": "Patient/77"})
    caller.put("Patient/78", patient(id="78"))
    caller.post("Patient", patient(identifier=[NHS]))
    assert (caller.queue_of(first), caller.sums()) == ("intake-review", ledger_of(review=1))


def test_a_patient_still_without_a_sure_age_leaves_it_in_review(caller: Caller) -> None:
    first = waiting(caller, {"reference": "Patient/77"})
    caller.put("Patient/77", patient(None, id="77"))
    assert (caller.queue_of(first), caller.sums()) == ("intake-review", ledger_of(review=1))
    assert caller.task_of(first)["for"] == {"reference": f"Patient/{caller.read('Patient/77')['id']}"}


def test_a_human_decision_is_never_overruled(caller: Caller) -> None:
    rerouted = waiting(caller, {"reference": "Patient/77"}, number="A-1")
    accepted = waiting(caller, {"reference": "Patient/77"}, number="A-2")
    ended = waiting(caller, {"reference": "Patient/77"}, number="A-3")
    caller.reroute(caller.task_of(rerouted), "adult-movement-disorders")
    caller.move(caller.task_of(accepted), status="accepted")
    caller.move(caller.task_of(ended), status="rejected", statusReason=REASON)
    final = caller.task_of(ended)
    _by_put(caller)
    assert caller.queue_of(rerouted) == "adult-movement-disorders"
    assert caller.queue_of(accepted) == "intake-review"
    assert caller.task_of(accepted)["status"] == "accepted"
    assert caller.task_of(ended) == final
    assert caller.sums() == ledger_of(routed=1, review=2)


def test_a_revoked_referral_waits_no_more(caller: Caller) -> None:
    first = waiting(caller, {"reference": "Patient/77"})
    caller.create(referral(subject={"reference": "Patient/77"}, status="revoked"))
    version = caller.read(f"ServiceRequest/{first}")["meta"]["versionId"]
    _by_put(caller)
    assert caller.read(f"ServiceRequest/{first}")["meta"]["versionId"] == version


def test_a_referral_that_waits_in_a_bundle_finds_what_came_along(caller: Caller) -> None:
    condition = {"resourceType": "Observation", "status": "final", "code": {"text": "x"}}
    sent = referral(subject={"reference": "Patient/77"}, supportingInfo=[{"reference": URN}])
    answer = caller.post("", bundle(entry(condition, URN), entry(sent)))
    referral_id = answer.json["entry"][1]["response"]["location"].split("/")[-3]
    before = caller.read(f"ServiceRequest/{referral_id}")["supportingInfo"]
    _by_put(caller)
    after = caller.read(f"ServiceRequest/{referral_id}")
    assert (after["supportingInfo"], after["meta"]["versionId"]) == (before, "2")
    assert before[0]["reference"].startswith("Observation/")


def test_what_a_process_left_waiting_is_decided_at_the_next_start(
    caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = waiting(caller, {"reference": "Patient/77"})
    with monkeypatch.context() as patched:
        patched.setattr("referral_service.intake.reconsider_new", lambda *_: None)
        _by_put(caller)
    assert caller.queue_of(first) == "intake-review"
    reconsider_all(caller.site, datetime.now(UTC))
    assert caller.queue_of(first) == "pediatric-neuromotor"


def test_an_identifier_sent_to_a_conditional_reference_is_found(caller: Caller) -> None:
    first = caller.create(referral(subject={"reference": "Patient?identifier=urn:example:nhs|943"}))
    assert first.status_code == 201
    assert caller.queue_of(first.json["id"]) == "intake-review"
