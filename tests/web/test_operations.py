"""$preview, $validate, $decision and $receipt."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from tests.shapes import CHILD_BORN, Caller, Resource, all_rules, bundle, entry, ledger_of, patient, referral, rules


def named(parameters: Resource) -> dict[str, Any]:
    return {one["name"]: next(value for key, value in one.items() if key != "name") for one in parameters["parameter"]}


def test_the_decision_is_stored_as_it_was_made(caller: Caller) -> None:
    before = caller.post("ServiceRequest/$preview", referral()).json
    identity = caller.create(referral()).json["id"]
    stored = caller.read(f"ServiceRequest/{identity}/$decision")
    assert stored == before
    found = named(stored)
    assert (found["disposition"], found["queue"]) == ("routed", "adult-movement-disorders")
    assert [one["code"] for one in found["code"]["coding"]] == ["G24.3", "G24.3"]
    assert found["certainty"] == "confirmed"
    assert found["priority"] == [
        {"name": "requested", "valueCode": "routine"},
        {"name": "assessed", "valueCode": "routine"},
    ]
    age = {part["name"]: list(part.values())[1] for part in found["age"]}
    assert age["min"] == age["max"] == datetime.now(UTC).year - 1970 - (datetime.now(UTC).strftime("%m-%d") < "05-01")
    evidence = {part["name"]: list(part.values())[1] for part in found["evidence"]}
    assert (evidence["expression"], evidence["start"], evidence["end"], evidence["text"]) == (
        "ServiceRequest.reasonCode[0].text",
        0,
        17,
        "Cervical dystonia",
    )


def test_a_preview_stores_nothing(caller: Caller) -> None:
    for sent in (referral(), bundle(entry(patient()), entry(referral())), referral(status="draft"), "{"):
        assert caller.post("ServiceRequest/$preview", sent).status_code == 200
    assert caller.sums() == ledger_of()
    assert [caller.count(kind) for kind in ("ServiceRequest", "Task", "Patient")] == [0, 0, 0]


@pytest.mark.parametrize(
    ("sent", "disposition", "rule"),
    [
        (referral(status="revoked"), "rejected", "not-active"),
        (referral(reason="Migraine"), "rejected", "not-dystonia"),
        (referral(intent="banana"), "refused", "code-not-in-value-set"),
        (referral(subject={"reference": "Group/1"}), "refused", "subject-not-patient"),
        (bundle(entry(patient())), "refused", "no-referral"),
        (patient(), "refused", "no-referral"),
        ("{", "refused", "not-json"),
        ("", "refused", "empty-body"),
    ],
)
def test_a_preview_answers_200_also_for_what_would_not_be_taken(
    caller: Caller, sent: Resource | str, disposition: str, rule: str
) -> None:
    answer = caller.post("ServiceRequest/$preview", sent)
    assert answer.status_code == 200
    found = named(answer.json)
    assert (found["disposition"], rule in all_rules(found["outcome"]), "queue" in found) == (disposition, True, False)


def test_a_preview_of_several_referrals_repeats_the_set(caller: Caller) -> None:
    child = referral("A-2", contained=[patient(CHILD_BORN, id="p")])
    answer = caller.post("ServiceRequest/$preview", bundle(entry(referral()), entry(child)))
    queues = [
        next(part["valueCode"] for part in one["part"] if part["name"] == "queue") for one in answer.json["parameter"]
    ]
    assert queues == ["adult-movement-disorders", "pediatric-neuromotor"]


def test_a_preview_of_a_known_referral_is_a_decision_all_the_same(caller: Caller) -> None:
    caller.create(referral())
    found = named(caller.post("ServiceRequest/$preview", referral()).json)
    assert (found["disposition"], "flag" in found) == ("routed", False)


def test_validate_says_every_fault_and_is_no_error(caller: Caller) -> None:
    answer = caller.post("Patient/$validate", patient("yesterday", gender="banana"))
    assert (answer.status_code, sorted(rules(answer.json))) == (
        200,
        [("code-not-in-value-set", "Patient.gender"), ("invalid-value", "Patient.birthDate")],
    )
    well = caller.post("Patient/$validate", patient())
    assert (well.status_code, [one["severity"] for one in well.json["issue"]]) == (200, ["information"])
    wrong = caller.post("Patient/$validate", referral())
    assert rules(wrong.json) == [("wrong-resource-type", "ServiceRequest")]
    assert caller.sums() == ledger_of()


def test_a_receipt_is_asked_for_by_one_name(caller: Caller) -> None:
    for query in ("", "?request-id=a&identifier=b"):
        answer = caller.get(f"ServiceRequest/$receipt{query}")
        assert (answer.status_code, rules(answer.json)) == (400, [("receipt-parameter", "")])
    assert caller.get("ServiceRequest/$receipt?request-id=never").status_code == 404


def test_a_receipt_lists_each_referral_of_a_request(caller: Caller) -> None:
    sent = bundle(entry(referral("A-1")), entry(referral("A-2", status="draft")), kind="batch")
    caller.post("", sent, X_Request_Id="r")
    found = caller.receipts("request-id=r")
    assert [(one["disposition"], "referral" in one, "task" in one) for one in found] == [
        ("routed", True, True),
        ("rejected", False, False),
    ]
