"""POST /fhir: transactions all or nothing, every other Bundle entry by entry; references, replays and the ledger."""

from __future__ import annotations

import json
from typing import Any

import pytest

from referral_service.policy import load_policy
from tests.shapes import (
    CHILD_BORN,
    Caller,
    Resource,
    all_rules,
    bundle,
    entry,
    ledger_of,
    patient,
    referral,
    rules,
)

P, C, S, T = (f"urn:uuid:0b0f6e60-6ff4-4a0c-9e4c-5a6a6d1f000{digit}" for digit in "1234")
P2, C2, S2, T2 = (f"urn:uuid:0b0f6e60-6ff4-4a0c-9e4c-5a6a6d1f001{digit}" for digit in "1234")
SUBJECT = {"reference": P}


def condition(subject: str = P, **more: Any) -> Resource:
    coding = [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "G24.5"}]
    status = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/condition-clinical", "code": "active"}]}
    return {
        "resourceType": "Condition",
        "clinicalStatus": status,
        "subject": {"reference": subject},
        "code": {"coding": coding},
    } | more


def for_patient(number: str | None = "A-1", subject: str = P, **more: Any) -> Resource:
    return referral(number, subject={"reference": subject}, **more)


def the_usual(p: str = P, c: str = C, s: str = S) -> list[Resource]:
    """A Patient, a Condition of theirs and the referral whose reason that is."""
    reason = {"reasonReference": [{"reference": c}]}
    return [entry(patient(), p), entry(condition(p), c), entry(for_patient(subject=p, reason="", **reason), s)]


def statuses(answer: Any) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [one["response"]["status"] for one in answer.json["entry"]]


def located(answer: Any, place: int) -> str:
    return str(answer.json["entry"][place]["response"]["location"]).split("/fhir/")[1].split("/_history")[0]


def outcome(answer: Any, place: int) -> Resource:
    found: Resource = answer.json["entry"][place]["response"]["outcome"]
    return found


def as_plain(kind: str, *resources: Resource) -> Resource:
    """A collection, or a document with what R4 asks of one; a batch has requests."""
    if kind == "batch":
        return bundle(*(entry(one) for one in resources), kind="batch")
    entries = [{"resource": one} for one in resources]
    return bundle(*entries, kind="collection")


def test_a_transaction_stores_all_and_answers_each_entry_in_order(caller: Caller) -> None:
    answer = caller.post("", bundle(*the_usual()))
    assert (answer.json["type"], statuses(answer)) == ("transaction-response", ["201 Created"] * 3)
    who, why, what = (located(answer, place) for place in range(3))
    served = caller.read(what)
    assert (served["subject"], served["reasonReference"]) == ({"reference": who}, [{"reference": why}])
    assert caller.read(why)["subject"] == {"reference": who}
    assert caller.task_of(served["id"])["for"] == {"reference": who}
    assert answer.json["entry"][2]["response"]["etag"] == 'W/"1"'
    assert caller.sums() == ledger_of(routed=1)


def test_the_order_of_entries_does_not_matter(caller: Caller) -> None:
    answer = caller.post("", bundle(*reversed(the_usual())))
    assert caller.read(located(answer, 0))["subject"] == {"reference": located(answer, 2)}
    assert caller.read(located(answer, 1))["subject"] == {"reference": located(answer, 2)}
    assert caller.sums() == ledger_of(routed=1)


def test_issues_of_an_entry_name_the_entry(caller: Caller) -> None:
    answer = caller.post("", bundle(entry(patient(), P), entry(for_patient(reason=""), S)))
    expressions = [one["expression"] for one in outcome(answer, 1)["issue"] if "expression" in one]
    here = "Bundle.entry[1].resource"
    wished_for = ("reasonCode", "reasonReference", "supportingInfo", "supportingInfo", "subject")
    assert expressions == [[here], *([f"{here}.{element}"] for element in wished_for)]
    receipt = caller.receipts("identifier=urn:example:orders|A-1")
    assert receipt[0]["outcome"] == outcome(answer, 1)


@pytest.mark.parametrize(
    ("base", "subject"),
    [
        (None, P),
        ("http://ehr.example/fhir", "http://ehr.example/fhir/Patient/1"),
        ("http://ehr.example/fhir", "Patient/1"),
    ],
)
def test_the_subject_is_found_by_its_full_url(caller: Caller, base: str | None, subject: str) -> None:
    full = f"{base}/Patient/1" if base else P
    mine = f"{base}/ServiceRequest/1" if base else S
    decoy = entry(patient(), f"{base}/Patient/2" if base else P2)
    sent = bundle(decoy, entry(patient(CHILD_BORN), full), entry(for_patient(subject=subject), mine))
    answer = caller.post("", sent)
    served = caller.read(located(answer, 2))
    assert served["subject"] == {"reference": located(answer, 1)}
    assert caller.queue_of(served["id"]) == "pediatric-neuromotor"


def test_the_subject_is_found_without_any_full_url(caller: Caller) -> None:
    sent = as_plain("collection", patient(id="2"), patient(CHILD_BORN, id="1"), for_patient(subject="Patient/1"))
    answer = caller.post("", sent)
    assert caller.queue_of(located(answer, 2).partition("/")[2]) == "pediatric-neuromotor"


def test_the_subject_is_found_by_a_logical_identifier(caller: Caller) -> None:
    identifier = {"system": "urn:example:nhs", "value": "943"}
    who = {"type": "Patient", "identifier": identifier}
    sent = as_plain("collection", patient(id="2"), patient(CHILD_BORN, identifier=[identifier]), referral(subject=who))
    answer = caller.post("", sent)
    served = caller.read(located(answer, 2))
    assert caller.queue_of(served["id"]) == "pediatric-neuromotor"
    assert served["subject"] == who


def test_a_referral_refused_or_rejected_fails_the_whole_transaction(caller: Caller) -> None:
    entries = [
        entry(patient(), P),
        entry(for_patient("A-1"), S),
        entry(for_patient("A-2", status="draft"), S2),
        entry(referral("A-3", subject={"reference": "Group/1"}), T),
    ]
    answer = caller.post("", bundle(*entries), X_Request_Id="whole")
    assert answer.status_code == 422
    assert rules(answer.json) == [
        ("not-active", "Bundle.entry[2].resource.status"),
        ("subject-not-patient", "Bundle.entry[3].resource.subject"),
    ]
    assert caller.sums() == ledger_of(rejected=1, refused=2)
    assert (caller.count("ServiceRequest"), caller.count("Patient"), caller.count("Task")) == (0, 0, 0)
    receipts = caller.receipts("request-id=whole")
    assert [(one["disposition"], rules(one["outcome"])) for one in receipts] == [
        ("refused", [("transaction-failed", "Bundle.entry[1].resource")]),
        ("rejected", [("not-active", "Bundle.entry[2].resource.status")]),
        ("refused", [("subject-not-patient", "Bundle.entry[3].resource.subject")]),
    ]


def test_a_transaction_with_an_invalid_entry_is_400_and_each_referral_has_its_own_row(caller: Caller) -> None:
    entries = [
        entry(patient("not-a-date"), P),
        entry(for_patient("A-1"), S),
        entry(referral("A-2", status="draft"), S2),
        entry(referral("A-3"), T),
    ]
    answer = caller.post("", bundle(*entries), X_Request_Id="whole")
    assert answer.status_code == 400
    assert ("invalid-value", "Bundle.entry[0].resource.birthDate") in rules(answer.json)
    assert ("not-active", "Bundle.entry[2].resource.status") in rules(answer.json)
    assert caller.sums() == ledger_of(rejected=1, refused=2)
    dispositions = [(one["disposition"], all_rules(one["outcome"])[0]) for one in caller.receipts("request-id=whole")]
    assert dispositions == [
        ("refused", "invalid-value"),
        ("rejected", "not-active"),
        ("refused", "transaction-failed"),
    ]


def test_a_replay_in_a_failed_transaction_gets_no_second_row(caller: Caller) -> None:
    caller.create(referral("A-1"))
    answer = caller.post("", bundle(entry(referral("A-1")), entry(referral("A-2", status="banana"))))
    assert answer.status_code == 400
    assert caller.sums() == ledger_of(routed=1, refused=1)


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE", "PATCH"])
def test_other_methods_fail_a_transaction_and_only_their_entry_of_a_batch(caller: Caller, method: str) -> None:
    other = {"request": {"method": method, "url": "Patient/1"}}
    failed = caller.post("", bundle(entry(referral()), other))
    assert (failed.status_code, rules(failed.json)) == (
        400,
        [("method-not-supported", "Bundle.entry[1].request.method")],
    )
    assert failed.json["issue"][0]["code"] == "not-supported"
    assert caller.sums() == ledger_of(refused=1)
    answer = caller.post("", bundle(other, entry(referral()), kind="batch"))
    assert statuses(answer) == ["405 Method Not Allowed", "201 Created"]
    assert caller.sums() == ledger_of(refused=1, routed=1)


def test_a_batch_decides_each_referral_by_itself(caller: Caller) -> None:
    entries = [
        entry(patient("not-a-date"), P),
        entry(for_patient("A-1"), S),
        entry(referral("A-2"), S2),
        entry(referral("A-3", reason="Migraine"), T),
        entry(patient(gender="banana"), P2),
    ]
    answer = caller.post("", bundle(*entries, kind="batch"), X_Request_Id="each")
    assert answer.json["type"] == "batch-response"
    assert statuses(answer) == [
        "400 Bad Request",
        "400 Bad Request",
        "201 Created",
        "422 Unprocessable Entity",
        "400 Bad Request",
    ]
    assert rules(outcome(answer, 1)) == [("invalid-value", "Bundle.entry[0].resource.birthDate")]
    assert rules(outcome(answer, 3)) == [("not-dystonia", "Bundle.entry[3].resource")]
    assert caller.sums() == ledger_of(routed=1, rejected=1, refused=1)
    for number, disposition in (("A-1", "refused"), ("A-2", "routed"), ("A-3", "rejected")):
        receipt = caller.receipts(f"identifier=urn:example:orders|{number}")
        assert [one["disposition"] for one in receipt] == [disposition]


def test_a_faulty_entry_refuses_what_leads_to_it_by_a_logical_identifier(caller: Caller) -> None:
    identifier = {"system": "urn:example:nhs", "value": "943"}
    who = {"type": "Patient", "identifier": identifier}
    answer = caller.post("", as_plain("batch", patient("1970-13-01", identifier=[identifier]), referral(subject=who)))
    assert statuses(answer) == ["400 Bad Request", "400 Bad Request"]
    assert caller.sums() == ledger_of(refused=1)


@pytest.mark.parametrize("kind", ["batch", "collection"])
def test_every_kind_of_bundle_but_a_transaction_answers_as_a_batch(caller: Caller, kind: str) -> None:
    answer = caller.post("", as_plain(kind, referral("A-1"), referral("A-2", intent="option")))
    assert answer.json["type"] == "batch-response"
    assert statuses(answer) == ["201 Created", "422 Unprocessable Entity"]


def test_a_document_is_read_entry_by_entry(caller: Caller) -> None:
    composition = {
        "resourceType": "Composition",
        "status": "final",
        "type": {"text": "Referral letter"},
        "date": "2026-03-16",
        "author": [{"display": "Dr Invented"}],
        "title": "Referral",
    }
    head = {"identifier": {"system": "urn:example:doc", "value": "1"}, "timestamp": "2026-03-16T12:00:00Z"}
    full = {"fullUrl": "http://ehr.example/Composition/1", "resource": composition}
    mine = {"fullUrl": "http://ehr.example/ServiceRequest/1", "resource": referral()}
    answer = caller.post("", bundle(full, mine, kind="document", **head))
    assert statuses(answer) == ["200 OK", "201 Created"]
    assert all_rules(outcome(answer, 0)) == ["not-stored"]
    assert "location" not in answer.json["entry"][0]["response"]


@pytest.mark.parametrize(
    ("kind", "door"),
    [
        ("message", "$process-message"),
        ("searchset", "transaction"),
        ("history", "transaction"),
        ("batch-response", "transaction"),
    ],
)
def test_other_types_of_bundle_are_refused_naming_the_right_door(caller: Caller, kind: str, door: str) -> None:
    answer = caller.post("", {"resourceType": "Bundle", "type": kind})
    issue = next(one for one in answer.json["issue"] if one["details"]["coding"][0]["code"] == "bundle-type")
    assert (answer.status_code, issue["code"], issue["expression"]) == (400, "not-supported", ["Bundle.type"])
    assert door in issue["diagnostics"]
    assert caller.sums() == ledger_of(refused=1)


def test_a_fault_in_the_envelope_refuses_every_referral(caller: Caller) -> None:
    sent = bundle(entry(referral("A-1")), entry(referral("A-2")), kind="batch", total=2, banana=1)
    answer = caller.post("", sent)
    assert answer.status_code == 400
    assert ("unknown-element", "Bundle.banana") in rules(answer.json)
    assert caller.sums() == ledger_of(refused=2)


@pytest.mark.parametrize("sent", [bundle(), {"resourceType": "Bundle", "type": "batch"}])
def test_a_request_with_nothing_in_it_is_refused(caller: Caller, sent: Resource) -> None:
    answer = caller.post("", {name: value for name, value in sent.items() if value != []})
    assert (answer.status_code, rules(answer.json)) == (400, [("no-referral", "")])
    assert caller.sums() == ledger_of(refused=1)


def test_a_bundle_with_nothing_to_keep_is_refused(caller: Caller) -> None:
    answer = caller.post("", as_plain("collection", {"resourceType": "Basic", "code": {"text": "x"}}))
    assert (answer.status_code, rules(answer.json)) == (400, [("no-referral", "")])


def test_supporting_data_alone_is_stored_and_adds_no_row(caller: Caller) -> None:
    answer = caller.post("", bundle(entry(patient(), P), entry(condition(), C)))
    assert statuses(answer) == ["201 Created", "201 Created"]
    assert caller.sums() == ledger_of()


def test_types_that_are_not_stored_are_kept_in_the_text(caller: Caller) -> None:
    basic = {"resourceType": "Basic", "code": {"text": "x"}}
    answer = caller.post("", bundle(entry(basic), entry(referral())))
    assert statuses(answer) == ["200 OK", "201 Created"]
    assert "location" not in answer.json["entry"][0]["response"]
    assert [(one["severity"], one["expression"]) for one in outcome(answer, 0)["issue"]] == [
        ("information", ["Bundle.entry[0].resource"])
    ]


def test_laboratory_orders_are_kept_beside_the_referral(caller: Caller) -> None:
    category = [{"coding": [{"system": "http://snomed.info/sct", "code": "108252007"}]}]
    order = referral("L-1", reason="Migraine", category=category)
    answer = caller.post("", bundle(entry(order), entry(referral())))
    assert statuses(answer) == ["200 OK", "201 Created"]
    assert caller.sums() == ledger_of(routed=1)
    alone = caller.post("", bundle(entry(referral("L-2", category=category))))
    assert statuses(alone) == ["201 Created"]
    failed = caller.post("", bundle(entry(order), entry(referral("A-2")), banana=1))
    assert failed.status_code == 400
    assert caller.sums() == ledger_of(routed=2, refused=1)


def test_an_entry_without_a_resource_is_answered_in_its_place(caller: Caller) -> None:
    empty = {"request": {"method": "POST", "url": "Patient"}}
    answer = caller.post("", bundle(empty, entry(referral()), kind="batch"))
    assert statuses(answer) == ["400 Bad Request", "201 Created"]
    assert caller.post("", bundle(empty, entry(referral("A-2")))).status_code == 400
    assert caller.sums() == ledger_of(routed=1, refused=1)


def test_entries_that_are_no_objects_are_answered_in_their_place(caller: Caller) -> None:
    sent = json.dumps(bundle(entry(referral()), kind="batch")).replace('"entry": [', '"entry": [7, {"resource": 1}, ')
    answer = caller.post("", sent)
    assert statuses(answer) == ["400 Bad Request", "400 Bad Request", "201 Created"]


def test_the_same_transaction_again_makes_nothing_new(caller: Caller) -> None:
    first = caller.post("", bundle(*the_usual()))
    again = caller.post("", bundle(*reversed(the_usual(P2, C2, S2))))
    assert statuses(again) == ["200 OK"] * 3
    assert [located(again, place) for place in range(3)] == [located(first, place) for place in (2, 1, 0)]
    assert again.json["entry"][0]["response"]["etag"] == 'W/"1"'
    counted = [caller.count(kind) for kind in ("Patient", "Condition", "ServiceRequest", "Task")]
    assert (counted, caller.sums()) == ([1, 1, 1, 1], ledger_of(routed=1))


def test_put_entries_sent_again_with_other_urns_change_nothing(caller: Caller) -> None:
    def sent(p: str) -> Resource:
        known = entry(condition(p, id="c9"), method="PUT", url="Condition/c9")
        who = entry(patient(id="p9"), p, method="PUT", url="Patient/p9")
        return bundle(who, known, entry(for_patient(subject=p), S))

    caller.post("", sent(P))
    again = caller.post("", sent(P2))
    assert statuses(again) == ["200 OK"] * 3
    assert [one["response"]["etag"] for one in again.json["entry"]] == ['W/"1"'] * 3


def test_a_changed_condition_is_other_content(caller: Caller) -> None:
    caller.post("", bundle(*the_usual()))
    changed = the_usual()
    changed[1]["resource"]["note"] = [{"text": "since last week"}]
    answer = caller.post("", bundle(*changed))
    assert (answer.status_code, rules(answer.json)) == (
        409,
        [("other-content", "Bundle.entry[2].resource.identifier")],
    )
    assert (caller.sums(), caller.count("Patient")) == (ledger_of(routed=1), 1)


def test_an_idempotency_key_stands_for_the_whole_bundle(caller: Caller) -> None:
    def sent(p: str, c: str, s: str) -> Resource:
        usual = the_usual(p, c, s)
        del usual[2]["resource"]["identifier"]
        return bundle(*usual, entry({"resourceType": "Basic", "code": {"text": "x"}}))

    first = caller.post("", sent(P, C, S), Idempotency_Key="k")
    again = caller.post("", sent(P2, C2, S2), Idempotency_Key="k")
    assert statuses(again) == ["200 OK"] * 4
    assert [located(again, place) for place in range(3)] == [located(first, place) for place in range(3)]
    assert all_rules(outcome(again, 3)) == ["not-stored"]
    turned = caller.post("", bundle(*reversed(sent(P, C, S)["entry"])), Idempotency_Key="k")
    assert [located(turned, place) for place in (3, 2, 1)] == [located(first, place) for place in range(3)]
    other = sent(P, C, S)
    other["entry"][2]["resource"]["priority"] = "stat"
    assert caller.post("", other, Idempotency_Key="k").status_code == 409
    assert (caller.sums(), caller.count("Patient")) == (ledger_of(routed=1), 1)


def test_a_batch_repeated_by_its_key_says_again_what_was_refused(caller: Caller) -> None:
    sent = bundle(entry(referral("A-1")), entry(referral("A-2", status="draft")), entry(patient("x")), kind="batch")
    first = caller.post("", sent, Idempotency_Key="k")
    again = caller.post("", sent, Idempotency_Key="k")
    assert statuses(again) == ["200 OK", "422 Unprocessable Entity", "400 Bad Request"]
    assert [outcome(again, place) for place in (1, 2)] == [outcome(first, place) for place in (1, 2)]
    assert caller.sums() == ledger_of(routed=1, rejected=1)


def test_a_batch_in_which_nothing_was_stored_uses_up_no_key(caller: Caller) -> None:
    caller.post("", bundle(entry(referral(status="draft")), kind="batch"), Idempotency_Key="k")
    assert statuses(caller.post("", bundle(entry(referral()), kind="batch"), Idempotency_Key="k")) == ["201 Created"]


def test_a_batch_of_replays_and_failures_makes_no_second_patient(caller: Caller) -> None:
    sent = [entry(patient(), P), entry(for_patient("A-1"), S), entry(referral("A-2", status="draft"), S2)]
    caller.post("", bundle(*sent, kind="batch"))
    again = caller.post("", bundle(*sent, kind="batch"))
    assert statuses(again) == ["200 OK", "200 OK", "422 Unprocessable Entity"]
    assert caller.count("Patient") == 1


@pytest.mark.parametrize("kind", ["transaction", "batch"])
def test_two_equal_referrals_in_one_bundle_are_one(caller: Caller, kind: str) -> None:
    answer = caller.post("", bundle(entry(referral()), entry(referral()), kind=kind))
    assert statuses(answer) == ["201 Created", "200 OK"]
    assert located(answer, 0) == located(answer, 1)
    assert caller.sums() == ledger_of(routed=1)


def test_two_different_referrals_of_one_identifier_in_one_batch_are_a_conflict(caller: Caller) -> None:
    answer = caller.post("", bundle(entry(referral()), entry(referral(priority="stat")), kind="batch"))
    assert statuses(answer) == ["201 Created", "409 Conflict"]
    assert caller.sums() == ledger_of(routed=1)


def test_contained_patients_of_one_identifier_in_one_bundle_are_one(caller: Caller) -> None:
    identifier = [{"system": "urn:example:nhs", "value": "1"}]
    sent = [entry(referral(number, contained=[patient(id="p", identifier=identifier)])) for number in ("A-1", "A-2")]
    answer = caller.post("", bundle(*sent, kind="batch"))
    assert statuses(answer) == ["201 Created", "201 Created"]
    assert (caller.count("Patient"), caller.sums()) == (1, ledger_of(routed=2))


def test_a_put_entry_upserts_by_the_senders_id_and_both_ids_work(caller: Caller) -> None:
    def sent(born: str) -> Resource:
        return bundle(entry(patient(born, id="p1"), method="PUT", url="Patient/p1"))

    first, same, changed = (caller.post("", sent(born)) for born in ("1970-05-01", "1970-05-01", "1971-05-01"))
    assert [statuses(one)[0] for one in (first, same, changed)] == ["201 Created", "200 OK", "200 OK"]
    assert located(first, 0) == located(same, 0) == located(changed, 0) != "Patient/p1"
    assert caller.read("Patient/p1") == caller.read(located(first, 0))
    assert caller.read("Patient/p1")["birthDate"] == "1971-05-01"
    assert caller.read("Patient/p1/_history")["total"] == 2


def test_a_put_entry_of_a_referral_is_made_then_changed(caller: Caller) -> None:
    def sent(**more: Any) -> Resource:
        return bundle(entry(referral(id="s1", **more), method="PUT", url="ServiceRequest/s1"))

    first, same, changed = caller.post("", sent()), caller.post("", sent()), caller.post("", sent(priority="stat"))
    assert [statuses(one)[0] for one in (first, same, changed)] == ["201 Created", "200 OK", "200 OK"]
    assert caller.read("ServiceRequest/s1")["meta"]["versionId"] == "2"
    assert (caller.task_of(located(first, 0).partition("/")[2])["priority"], caller.sums()) == (
        "stat",
        ledger_of(routed=1),
    )


def test_a_put_entry_finds_a_referral_that_was_posted_by_its_placer_identifier(caller: Caller) -> None:
    first = caller.create(referral())
    answer = caller.post("", bundle(entry(referral(id="s1"), method="PUT", url="ServiceRequest/s1")))
    assert statuses(answer) == ["200 OK"]
    assert caller.read("ServiceRequest/s1")["id"] == first.json["id"]


def test_a_put_entry_that_fails_adds_no_row(caller: Caller) -> None:
    caller.post("", bundle(entry(referral(id="s1"), method="PUT", url="ServiceRequest/s1")))
    for kind, status in (("transaction", 422), ("batch", 200)):
        update = entry(referral(id="s1", doNotPerform=True), method="PUT", url="ServiceRequest/s1")
        answer = caller.post("", bundle(update, kind=kind))
        assert answer.status_code == status
    assert (caller.sums(), caller.read("ServiceRequest/s1")["meta"]["versionId"]) == (ledger_of(routed=1), "1")


def test_if_match_of_an_entry_is_honoured_when_present(caller: Caller) -> None:
    def sent(etag: str, born: str) -> Resource:
        one = entry(patient(born, id="p1"), method="PUT", url="Patient/p1")
        one["request"]["ifMatch"] = etag
        return bundle(one, kind="batch")

    caller.post("", bundle(entry(patient(id="p1"), method="PUT", url="Patient/p1")))
    assert statuses(caller.post("", sent('W/"1"', "1971-01-01"))) == ["200 OK"]
    assert statuses(caller.post("", sent('W/"1"', "1972-01-01"))) == ["412 Precondition Failed"]
    assert statuses(caller.post("", sent(f'W/"{"9" * 5000}"', "1972-01-01"))) == ["412 Precondition Failed"]


def test_conditional_entries_find_what_is_here(caller: Caller) -> None:
    identifier = [{"system": "urn:example:nhs", "value": "1"}]
    known = caller.post("Patient", patient(identifier=identifier)).json["id"]
    create = entry(patient(CHILD_BORN), P)
    create["request"]["ifNoneExist"] = "identifier=urn:example:nhs|1"
    answer = caller.post("", bundle(create, entry(for_patient(), S)))
    assert statuses(answer) == ["200 OK", "201 Created"]
    assert caller.read(located(answer, 1))["subject"] == {"reference": f"Patient/{known}"}
    query = "Patient?identifier=urn:example:nhs|1"
    update = caller.post("", bundle(entry(patient(CHILD_BORN, identifier=identifier), method="PUT", url=query)))
    assert (statuses(update), located(update, 0)) == (["200 OK"], f"Patient/{known}")
    assert caller.read(f"Patient/{known}")["birthDate"] == CHILD_BORN
    made = caller.post("", bundle(entry(patient(), method="PUT", url="Patient?identifier=urn:example:nhs|2")))
    assert statuses(made) == ["201 Created"]
    other = caller.post("", bundle(entry(patient(), method="PUT", url="Patient?name=x")))
    assert (other.status_code, rules(other.json)) == (
        400,
        [("condition-not-supported", "Bundle.entry[0].request.url")],
    )


@pytest.mark.parametrize(
    ("url", "method", "rule"),
    [
        ("Condition", "POST", "url-mismatch"),
        ("Patient/other", "PUT", "id-mismatch"),
        ("Patient", "PUT", "id-mismatch"),
    ],
)
def test_a_request_that_does_not_fit_its_resource_is_refused(caller: Caller, url: str, method: str, rule: str) -> None:
    answer = caller.post("", bundle(entry(patient(id="p1"), method=method, url=url)))
    assert (answer.status_code, rules(answer.json)) == (400, [(rule, "Bundle.entry[0].request.url")])


def test_one_resource_put_twice_in_one_bundle_is_refused_the_second_time(caller: Caller) -> None:
    sent = [entry(patient(born, id="p1"), method="PUT", url="Patient/p1") for born in ("1970-01-01", "1980-01-01")]
    assert statuses(caller.post("", bundle(*sent, kind="batch"))) == ["201 Created", "400 Bad Request"]
    assert caller.post("", bundle(*sent)).status_code == 400
    twice = [entry(referral(id="s1"), method="PUT", url="ServiceRequest/s1")]
    caller.post("", bundle(*twice))
    change = [entry(referral(id="s1", priority=one), method="PUT", url="ServiceRequest/s1") for one in ("asap", "stat")]
    assert statuses(caller.post("", bundle(*change, kind="batch"))) == ["200 OK", "400 Bad Request"]


def task(**more: Any) -> Resource:
    return {"resourceType": "Task", "status": "requested", "intent": "order", "focus": {"reference": S}} | more


def test_a_senders_task_leads_to_ours(caller: Caller) -> None:
    note = {
        "resourceType": "Communication",
        "status": "completed",
        "about": [{"reference": T}, {"reference": S}],
    }
    sent = [entry(note), entry(task(), T), entry(patient(), P), entry(for_patient(), S)]
    answer = caller.post("", bundle(*sent))
    assert statuses(answer) == ["201 Created", "200 OK", "201 Created", "201 Created"]
    own = caller.task_of(located(answer, 3).partition("/")[2])
    assert located(answer, 1) == f"Task/{own['id']}"
    assert caller.read(located(answer, 0))["about"] == [
        {"reference": f"Task/{own['id']}"},
        {"reference": located(answer, 3)},
    ]
    assert caller.count("Task") == 1
    again = caller.post("", bundle(*sent))
    assert located(again, 1) == f"Task/{own['id']}"


def test_a_senders_own_task_id_leads_to_ours(caller: Caller) -> None:
    sent = [entry(task(id="t1"), method="PUT", url="Task/t1"), entry(patient(), P), entry(for_patient(), S)]
    answer = caller.post("", bundle(*sent))
    assert statuses(answer) == ["200 OK", "201 Created", "201 Created"]
    assert caller.read("Task/t1") == caller.task_of(located(answer, 2).partition("/")[2])


def test_a_task_that_leads_to_no_referral_is_only_kept(caller: Caller) -> None:
    answer = caller.post("", bundle(entry(task(focus={"display": "?"})), entry(referral())))
    assert statuses(answer) == ["200 OK", "201 Created"]
    assert "location" not in answer.json["entry"][0]["response"]


def test_a_red_flag_stands_in_every_outcome_of_the_answer(caller: Caller) -> None:
    notice = load_policy().notice
    danger = referral("A-2", reason="Laryngeal dystonia with stridor")
    quiet = entry(referral("A-1", reason=""))
    answer = caller.post("", bundle(quiet, entry(danger), entry(patient("x")), kind="batch"))
    assert [outcome(answer, place)["issue"][0]["diagnostics"] for place in range(3)] == [notice] * 3
    assert [all_rules(outcome(answer, place)).count("red-flag") for place in range(3)] == [1, 1, 1]
    quietly = caller.receipts("identifier=urn:example:orders|A-1")[0]["outcome"]
    assert "red-flag" not in all_rules(quietly)
    failed = caller.post("", bundle(entry(danger | {"priority": "stat"}), entry(patient("x"))))
    assert failed.json["issue"][0]["diagnostics"] == notice
    refused = entry(danger | {"intent": "banana", "identifier": referral("A-9")["identifier"]})
    assert outcome(caller.post("", bundle(refused, kind="batch")), 0)["issue"][0]["diagnostics"] == notice


def test_the_red_flag_of_a_referral_that_failed_with_its_transaction_is_on_its_row(caller: Caller) -> None:
    danger = referral(reason="Laryngeal dystonia with stridor")
    answer = caller.post("", bundle(entry(danger), entry(patient("x"))), X_Request_Id="r")
    assert answer.json["issue"][0]["details"]["coding"][0]["code"] == "red-flag"
    assert all_rules(caller.receipts("request-id=r")[0]["outcome"]) == ["red-flag", "transaction-failed"]


def test_prefer_representation_brings_the_resources_with_the_answer(caller: Caller) -> None:
    answer = caller.post("", bundle(*the_usual()), Prefer="return=representation")
    assert [one["resource"]["resourceType"] for one in answer.json["entry"]] == [
        "Patient",
        "Condition",
        "ServiceRequest",
    ]


def test_more_than_five_hundred_entries_are_too_many(caller: Caller) -> None:
    empty = [{"request": {"method": "GET", "url": "x"}}] * 501
    for entries in (empty, [entry(patient())] * 501):
        answer = caller.post("", bundle(*entries, kind="batch"))
        assert (answer.status_code, rules(answer.json)) == (413, [("too-many-entries", "Bundle.entry")])
    assert caller.sums() == ledger_of()


def test_numbers_beyond_any_float_pass_through_a_bundle(caller: Caller) -> None:
    sent = json.dumps(bundle(entry(referral(extension=[{"url": "urn:example:n", "valueDecimal": "@"}]))))
    answer = caller.post("", sent.replace('"@"', "1E+999"))
    assert statuses(answer) == ["201 Created"]
    assert '"valueDecimal":1E+999' in caller.get(located(answer, 0)).text
