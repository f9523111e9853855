"""POST /fhir/ServiceRequest: the table of dispositions, what is kept and served, and the same referral twice."""

from __future__ import annotations

import json
from typing import Any

import pytest
from sqlalchemy import select

from referral_service.policy import load_policy
from referral_service.store.tables import received
from tests.shapes import (
    ADULT_BORN,
    CHILD_BORN,
    OWN,
    Caller,
    Resource,
    all_rules,
    bundle,
    entry,
    flags,
    ledger_of,
    patient,
    placer,
    referral,
    rules,
)

DIED = patient(id="p", deceasedBoolean=True)
TABLE: list[tuple[str, Resource, int, str, dict[str, int]]] = [
    ("an adult", referral(), 201, "adult-movement-disorders", ledger_of(routed=1)),
    ("a child", referral(contained=[patient(CHILD_BORN, id="p")]), 201, "pediatric-neuromotor", ledger_of(routed=1)),
    ("no birth date", referral(contained=[patient(None, id="p")]), 201, "intake-review", ledger_of(review=1)),
    ("born tomorrow", referral(contained=[patient("2999-01-01", id="p")]), 201, "intake-review", ledger_of(review=1)),
    ("deceased", referral(contained=[DIED]), 201, "intake-review", ledger_of(review=1)),
    ("a neighbour", referral(reason="Torticollis"), 201, "intake-review", ledger_of(review=1)),
    ("no reason", referral(reason=""), 201, "intake-review", ledger_of(review=1)),
    ("draft", referral(status="draft"), 422, "not-active", ledger_of(rejected=1)),
    ("on hold", referral(status="on-hold"), 422, "not-active", ledger_of(rejected=1)),
    ("revoked, unknown", referral(status="revoked"), 422, "not-active", ledger_of(rejected=1)),
    ("not to be done", referral(doNotPerform=True), 422, "do-not-perform", ledger_of(rejected=1)),
    ("an option", referral(intent="option"), 422, "intent-option", ledger_of(rejected=1)),
    ("a migraine", referral(reason="Migraine"), 422, "not-dystonia", ledger_of(rejected=1)),
    ("a group", referral(subject={"reference": "Group/g"}), 422, "subject-not-patient", ledger_of(refused=1)),
    ("a device", referral(subject={"reference": "Device/d"}), 422, "subject-not-patient", ledger_of(refused=1)),
    ("a wrong code", referral(status="banana"), 400, "code-not-in-value-set", ledger_of(refused=1)),
]


@pytest.mark.parametrize(("_", "sent", "status", "what", "sums"), TABLE, ids=[row[0] for row in TABLE])
def test_each_disposition_has_its_answer_and_its_row(
    caller: Caller, _: str, sent: Resource, status: int, what: str, sums: dict[str, int]
) -> None:
    answer = caller.create(sent)
    assert (answer.status_code, caller.sums()) == (status, sums)
    if status == 201:
        assert caller.queue_of(answer.json["id"]) == what
        assert caller.receipts("identifier=urn:example:orders|A-1")[0]["disposition"] in sums
    else:
        assert what in all_rules(answer.json)
        assert answer.json["resourceType"] == "OperationOutcome"
        receipt = caller.receipts("identifier=urn:example:orders|A-1")
        assert [one["disposition"] for one in receipt] == ["rejected" if sums["rejected"] else "refused"]
        assert receipt[0]["outcome"] == answer.json


def test_everything_wrong_with_an_inactive_request_is_said_at_once(caller: Caller) -> None:
    answer = caller.create(referral(status="completed", doNotPerform=True, intent="option", reason="Migraine"))
    assert rules(answer.json) == [
        ("not-active", "ServiceRequest.status"),
        ("do-not-perform", "ServiceRequest.doNotPerform"),
        ("intent-option", "ServiceRequest.intent"),
        ("not-dystonia", "ServiceRequest"),
    ]


def test_the_subject_is_the_patient_pointed_at_not_the_first_one_found(caller: Caller) -> None:
    sent = referral(subject={"reference": "#child"})
    sent["contained"] = [patient(ADULT_BORN, id="adult"), patient(CHILD_BORN, id="child")]
    sent["supportingInfo"] = [{"reference": "#adult"}]
    assert caller.queue_of(caller.create(sent).json["id"]) == "pediatric-neuromotor"


def test_the_text_received_is_kept_byte_for_byte(caller: Caller) -> None:
    sent = json.dumps(referral(extension=[{"url": "urn:example:n", "valueDecimal": "@"}]), indent=3)
    body = b"\xef\xbb\xbf \r\n" + sent.replace('"@"', "1.50").encode() + b"\n\t "
    answer = caller.create(body)
    assert answer.status_code == 201
    assert caller.get(f"ServiceRequest/{answer.json['id']}/$original").data == body


@pytest.mark.parametrize("digits", ["1.50", "1e2", "-0", "0.000", "123456789012345678901234567890", "1E+400"])
def test_numbers_keep_their_digits(caller: Caller, digits: str) -> None:
    sent = json.dumps(referral(extension=[{"url": "urn:example:n", "valueDecimal": "@"}])).replace('"@"', digits)
    answer = caller.create(sent)
    assert answer.status_code == 201
    assert f'"valueDecimal":{digits}}}' in answer.text
    for path in ("", "?_pretty=true", "/_history/1", "/$original"):
        text = caller.get(f"ServiceRequest/{answer.json['id']}{path}").text
        assert f'"valueDecimal":{digits}}}' in "".join(text.split())


def test_the_resource_served_differs_only_in_id_meta_and_references(caller: Caller) -> None:
    known = caller.put("Patient/77", patient(id="77")).json["id"]
    tag = {"system": "urn:example:ward", "code": "7"}
    sent = referral(
        subject={"reference": "Patient/77", "display": "as sent"},
        id="theirs",
        meta={"profile": ["urn:example:profile"], "tag": [tag]},
        note=[{"text": "  spaces  kept "}],
        performer=[{"reference": "Organization/never-sent"}],
    )
    served = caller.create(sent).json
    meta = served.pop("meta")
    identity = served.pop("id")
    expected = {name: value for name, value in sent.items() if name not in ("id", "meta")}
    assert served == expected | {"subject": {"reference": f"Patient/{known}", "display": "as sent"}}
    assert identity != "theirs"
    assert meta["profile"] == ["urn:example:profile"]
    assert meta["tag"] == [
        tag,
        {"system": "http://hl7.org/fhir/sid/icd-10-cm", "version": "2026", "code": "G24.3"}
        | {"display": meta["tag"][1]["display"]},
        {"system": "http://hl7.org/fhir/sid/icd-10", "version": "2019", "code": "G24.3"}
        | {"display": meta["tag"][2]["display"]},
        {"system": f"{OWN}/CodeSystem/queue", "code": "adult-movement-disorders"},
        {"system": f"{OWN}/CodeSystem/certainty", "code": "confirmed"},
    ]
    assert [one["code"] for one in meta["security"]] == ["AIAST"]


def test_a_task_stands_beside_each_referral(caller: Caller) -> None:
    answer = caller.create(referral(priority="urgent"))
    task = caller.task_of(answer.json["id"])
    assert answer.headers["Link"] == f'<http://localhost/fhir/Task/{task["id"]}>; rel="related"'
    assert (task["status"], task["intent"], task["priority"]) == ("requested", "order", "urgent")
    assert task["focus"] == {"reference": f"ServiceRequest/{answer.json['id']}"}
    assert task["requester"] == {"display": "Dr Invented"}
    assert task["authoredOn"] == task["lastModified"] == answer.json["meta"]["lastUpdated"]
    assert [one["type"]["coding"][0]["code"] for one in task["identifier"]] == ["FILL", "PLAC"]
    assert caller.read(task["for"]["reference"])["birthDate"] == ADULT_BORN


def test_the_same_referral_again_is_the_first_one(caller: Caller) -> None:
    first = caller.create(referral())
    again = caller.create(referral(id="other", meta={"versionId": "9"}, text={"status": "empty", "div": DIV}))
    assert (again.status_code, again.json, again.headers["Link"]) == (200, first.json, first.headers["Link"])
    assert (caller.sums(), caller.count("Task"), caller.count("Patient")) == (ledger_of(routed=1), 1, 1)


DIV = '<div xmlns="http://www.w3.org/1999/xhtml">other narrative</div>'


def test_the_same_referral_in_another_order_of_names_is_the_same(caller: Caller) -> None:
    first = caller.create(referral())
    again = caller.create(dict(reversed(referral().items())))
    assert (again.status_code, again.json["id"]) == (200, first.json["id"])


def test_the_same_referral_in_an_envelope_is_the_same(caller: Caller) -> None:
    first = caller.create(referral())
    again = caller.post("", bundle(entry(referral(), "urn:uuid:0b0f6e60-6ff4-4a0c-9e4c-5a6a6d1f0001")))
    assert again.json["entry"][0]["response"]["status"] == "200 OK"
    assert first.json["id"] in again.json["entry"][0]["response"]["location"]
    assert caller.sums() == ledger_of(routed=1)


def test_other_content_under_one_identifier_is_a_conflict_that_names_the_first(caller: Caller) -> None:
    first = caller.create(referral())
    other = caller.create(referral(priority="urgent"))
    assert (other.status_code, rules(other.json)) == (409, [("other-content", "ServiceRequest.identifier")])
    assert f"ServiceRequest/{first.json['id']}" in other.json["issue"][0]["diagnostics"]
    assert caller.sums() == ledger_of(routed=1)


def test_after_the_task_has_ended_other_content_is_a_new_referral_linked_to_the_first(caller: Caller) -> None:
    first = caller.create(referral())
    reason = {"coding": [{"system": f"{OWN}/CodeSystem/status-reason", "code": "other"}], "text": "not for us"}
    assert caller.move(caller.task_of(first.json["id"]), status="rejected", statusReason=reason).status_code == 200
    assert caller.create(referral()).json["id"] == first.json["id"]
    second = caller.create(referral(priority="urgent"))
    assert second.status_code == 201
    assert caller.sums() == ledger_of(routed=2)
    assert [one["entity"] for one in caller.stored("Provenance") if "entity" in one] == [
        [{"role": "revision", "what": {"reference": f"ServiceRequest/{first.json['id']}"}}]
    ]
    assert caller.create(referral(priority="urgent")).json["id"] == second.json["id"]
    assert caller.create(referral(priority="stat")).status_code == 409
    long = "9" * 300
    third = caller.create(referral(long))
    assert caller.move(caller.task_of(third.json["id"]), status="cancelled", statusReason=reason).status_code == 200
    assert caller.create(referral(long, priority="urgent")).status_code == 201


def test_an_idempotency_key_is_looked_up_before_the_placer_identifier(caller: Caller) -> None:
    first = caller.create(referral("A-1"), Idempotency_Key="k1")
    caller.create(referral("A-2"), Idempotency_Key="k2")
    assert caller.create(referral("A-1"), Idempotency_Key="k1").json["id"] == first.json["id"]
    reused = caller.create(referral("A-2"), Idempotency_Key="k1", X_Request_Id="reused")
    assert (reused.status_code, rules(reused.json)) == (409, [("key-reused", "")])
    assert [one["result"] for one in caller.receipts("request-id=reused")] == ["conflict"]


def test_a_new_key_never_hides_a_known_one(caller: Caller) -> None:
    first = caller.create(referral(), Idempotency_Key="k1")
    again = caller.create(referral(), Idempotency_Key="k2")
    assert (again.status_code, again.json["id"]) == (200, first.json["id"])
    assert caller.create(referral(priority="urgent"), Idempotency_Key="k3").status_code == 409


def test_refused_and_rejected_input_uses_up_no_key(caller: Caller) -> None:
    assert caller.create(referral(status="draft"), Idempotency_Key="k").status_code == 422
    assert caller.create(referral(status="banana"), Idempotency_Key="k").status_code == 400
    assert caller.create(referral(), Idempotency_Key="k").status_code == 201
    assert caller.sums() == ledger_of(routed=1, rejected=1, refused=1)


def test_without_any_key_each_referral_is_its_own(caller: Caller) -> None:
    ids = {caller.create(referral(None)).json["id"] for _ in range(2)}
    assert (len(ids), caller.sums()) == (2, ledger_of(routed=2))


def test_if_none_exist_answers_with_the_one_that_matches_whatever_the_body(caller: Caller) -> None:
    condition = "identifier=urn:example:orders|A-1"
    first = caller.create(referral(), If_None_Exist=condition)
    assert first.status_code == 201
    other = caller.create(referral(priority="stat"), If_None_Exist=condition)
    assert (other.status_code, other.json) == (200, first.json)
    assert caller.sums() == ledger_of(routed=1)


@pytest.mark.parametrize(
    "query", ["status=active", "identifier=A-1", "identifier=s|1&status=active", "x", "identifier"]
)
def test_if_none_exist_takes_identifiers_only(caller: Caller, query: str) -> None:
    answer = caller.create(referral(), If_None_Exist=query)
    assert (answer.status_code, rules(answer.json)) == (400, [("condition-not-supported", "")])
    assert answer.json["issue"][0]["code"] == "not-supported"
    assert caller.sums() == ledger_of(refused=1)


def test_if_none_exist_with_several_matches_is_412_and_counted_apart(caller: Caller) -> None:
    same: dict[str, Any] = {"identifier": [placer("A-1"), {"system": "urn:example:chart", "value": "7"}]}
    caller.create(referral(None, **same))
    caller.create(referral(None, **{**same, "identifier": [placer("A-2"), same["identifier"][1]]}))
    answer = caller.create(referral("A-3"), If_None_Exist="identifier=urn:example:chart|7")
    assert (answer.status_code, rules(answer.json)) == (412, [("several-matches", "")])
    assert caller.sums() == ledger_of(routed=2)


def test_the_receipt_of_a_replay_tells_of_the_first(caller: Caller) -> None:
    first = caller.create(referral(), X_Request_Id="one")
    caller.create(referral(), X_Request_Id="two")
    one, two = caller.receipts("request-id=one")[0], caller.receipts("request-id=two")[0]
    assert (one["result"], two["result"]) == ("decided", "replay")
    assert one["referral"] == two["referral"] == {"reference": f"ServiceRequest/{first.json['id']}"}
    assert two["disposition"] == "routed"


def test_the_text_of_what_was_not_taken_is_kept(caller: Caller) -> None:
    texts = [b"{", json.dumps(referral(status="draft")).encode()]
    for text in texts:
        caller.create(text)
    with caller.site.store.reading() as connection:
        kept = [bytes(body) for body in connection.execute(select(received.c.body).order_by(received.c.at)).scalars()]
    assert sorted(kept) == sorted(texts)


def test_a_red_flag_puts_the_emergency_words_wherever_this_answer_speaks(caller: Caller) -> None:
    notice = load_policy().notice
    danger = "Laryngeal dystonia with stridor"
    taken = caller.create(referral(reason=danger), Prefer="return=OperationOutcome")
    rejected = caller.create(referral("A-2", reason=danger, status="draft"))
    refused = caller.create(referral("A-3", reason=danger, intent="banana"))
    no_patient = caller.create(referral("A-4", reason=danger, subject={"reference": "Group/g"}))
    conflict = caller.create(referral("A-1", reason=f"{danger}, worse"))
    for answer in (taken, rejected, refused, no_patient, conflict):
        assert answer.json["issue"][0]["diagnostics"] == notice, answer.text
    referral_id = taken.headers["Location"].split("/")[-3]
    task = caller.task_of(referral_id)
    assert ([note["text"] for note in task["note"]], task["priority"]) == ([notice], "stat")
    decision = caller.read(f"ServiceRequest/{referral_id}/$decision")["parameter"]
    outcome = next(one["resource"] for one in decision if one["name"] == "outcome")
    assert outcome["issue"][0]["diagnostics"] == notice
    assert "red-flag" in flags(task)
    again = caller.create(referral(reason=danger), Prefer="return=OperationOutcome")
    assert again.json["issue"][0]["diagnostics"] == notice


def test_two_contained_patients_of_one_identifier_are_one_patient(caller: Caller) -> None:
    identifier = [{"system": "urn:example:nhs", "value": "1"}]
    first = caller.create(referral("A-1", contained=[patient(id="p", identifier=identifier, gender="female")]))
    second = caller.create(referral("A-2", contained=[patient(id="p", identifier=identifier)]))
    assert caller.task_of(first.json["id"])["for"] == caller.task_of(second.json["id"])["for"]
    assert caller.count("Patient") == 1
    assert flags(second.json) == ["possible-duplicate"]
    stored = caller.read(caller.task_of(first.json["id"])["for"]["reference"])
    assert stored["gender"] == "female", "a mention that says less replaces nothing"


def test_a_number_without_a_system_identifies_nobody(caller: Caller) -> None:
    for number in ("A-1", "A-2"):
        caller.create(referral(number, contained=[patient(id="p", identifier=[{"value": "1"}])]))
    assert caller.count("Patient") == 2


def test_a_very_precise_date_is_stored(caller: Caller) -> None:
    assert caller.create(referral(authoredOn=f"2026-01-01T00:00:00.{'1' * 60}Z")).status_code == 201
