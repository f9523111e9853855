"""A referral that is here already: updated, revoked, masked; and its Task moved."""

from __future__ import annotations

from typing import Any

import pytest

from tests.shapes import (
    ADULT_BORN,
    CHILD_BORN,
    OWN,
    Caller,
    Resource,
    bundle,
    entry,
    flags,
    ledger_of,
    patient,
    referral,
    rules,
)

REASON = {"coding": [{"system": f"{OWN}/CodeSystem/status-reason", "code": "other"}], "text": "why"}


def put(caller: Caller, identity: str, sent: Resource, version: int | str | None = 1) -> Any:
    headers = {} if version is None else {"If_Match": f'W/"{version}"' if isinstance(version, int) else version}
    return caller.put(f"ServiceRequest/{identity}", sent | {"id": identity}, **headers)


def made(caller: Caller, **more: Any) -> Resource:
    answer = caller.create(referral(**more))
    assert answer.status_code == 201, answer.text
    found: Resource = answer.json
    return found


def version_of(caller: Caller, identity: str) -> str:
    return str(caller.read(f"ServiceRequest/{identity}")["meta"]["versionId"])


def test_an_update_says_which_version_it_replaces(caller: Caller) -> None:
    first = made(caller)["id"]
    changed = referral(priority="urgent")
    missing = put(caller, first, changed, None)
    assert (missing.status_code, rules(missing.json)) == (400, [("if-match-missing", "")])
    for etag in ('W/"7"', f'W/"{"9" * 5000}"'):
        stale = put(caller, first, changed, etag)
        assert stale.status_code in (400, 412)
    assert put(caller, first, changed, 7).status_code == 412
    assert rules(put(caller, first, changed, 7).json) == [("stale-version", "")]
    assert (version_of(caller, first), caller.sums()) == ("1", ledger_of(routed=1))


def test_the_same_content_changes_nothing(caller: Caller) -> None:
    first = made(caller)
    same = put(caller, first["id"], referral())
    assert (same.status_code, same.json, same.headers["ETag"]) == (200, first, 'W/"1"')
    assert caller.count("Patient") == 1


def test_changed_content_is_a_new_version_decided_again(caller: Caller) -> None:
    first = made(caller, reason="Torticollis")
    before = caller.task_of(first["id"])
    assert before["owner"] == {"reference": "HealthcareService/intake-review"}
    changed = put(caller, first["id"], referral(reason="Cervical dystonia", priority="urgent"))
    assert (changed.status_code, changed.headers["ETag"]) == (200, 'W/"2"')
    assert [tag["code"] for tag in changed.json["meta"]["tag"]] == [
        "G24.3",
        "G24.3",
        "adult-movement-disorders",
        "confirmed",
    ]
    after = caller.task_of(first["id"])
    assert after["owner"] == {"reference": "HealthcareService/adult-movement-disorders"}
    assert (after["id"], after["authoredOn"], after["priority"]) == (before["id"], before["authoredOn"], "urgent")
    assert after["meta"]["versionId"] == "2"
    assert caller.sums() == ledger_of(routed=1)
    assert caller.read(f"ServiceRequest/{first['id']}/_history")["total"] == 2
    assert caller.read(f"ServiceRequest/{first['id']}/_history/1") == first
    assert caller.receipts("identifier=urn:example:orders|A-1")[0]["disposition"] == "routed"


def test_a_resource_read_and_sent_back_keeps_no_tag_of_the_decision_before(caller: Caller) -> None:
    ward = {"system": "urn:example:ward", "code": "7"}
    first = made(caller, meta={"tag": [ward]})
    changed = put(caller, first["id"], first | {"reasonCode": [{"text": "Torticollis"}]})
    assert changed.json["meta"]["tag"] == [
        ward,
        {"system": f"{OWN}/CodeSystem/queue", "code": "intake-review"},
        {"system": f"{OWN}/CodeSystem/flag", "code": "indication-undetermined"},
    ]


def test_what_is_surely_something_else_by_now_goes_to_a_human(caller: Caller) -> None:
    first = made(caller)["id"]
    assert put(caller, first, referral(reason="Migraine")).status_code == 200
    assert (caller.queue_of(first), caller.sums()) == ("intake-review", ledger_of(review=1))


@pytest.mark.parametrize(
    ("change", "status", "rule"),
    [
        ({"status": "draft"}, 422, "not-active"),
        ({"doNotPerform": True}, 422, "do-not-perform"),
        ({"intent": "option"}, 422, "intent-option"),
        ({"subject": {"reference": "Group/g"}}, 422, "subject-not-patient"),
        ({"intent": "banana"}, 400, "code-not-in-value-set"),
        ({"subject": {"reference": "Patient/another"}}, 422, "subject-changed"),
        ({"contained": [{"resourceType": "Patient", "id": "p", "birthDate": "2001-01-01"}]}, 422, "subject-changed"),
    ],
)
def test_an_update_that_cannot_be_taken_changes_nothing(
    caller: Caller, change: Resource, status: int, rule: str
) -> None:
    first = made(caller)
    sent = referral(**change)
    if "subject" not in change:
        sent.setdefault("contained", [patient(id="p")])
    answer = put(caller, first["id"], sent)
    assert (answer.status_code, [name for name, _ in rules(answer.json)]) == (status, [rule])
    assert caller.read(f"ServiceRequest/{first['id']}") == first
    assert (caller.sums(), caller.count("Patient"), caller.count("ServiceRequest")) == (ledger_of(routed=1), 1, 1)


def test_a_contained_patient_without_identifier_may_be_corrected(caller: Caller) -> None:
    name = [{"family": "Invented"}]
    first = made(caller, contained=[patient(id="p", name=name)])["id"]
    changed = put(caller, first, referral(contained=[patient(CHILD_BORN, id="p", name=name)]))
    assert changed.status_code == 200
    task = caller.task_of(first)
    assert task["owner"] == {"reference": "HealthcareService/pediatric-neuromotor"}
    assert caller.read(task["for"]["reference"])["birthDate"] == CHILD_BORN
    assert caller.count("Patient") == 1


def test_a_subject_that_was_only_named_may_be_made_known(caller: Caller) -> None:
    first = made(caller, subject={"display": "A. Invented"})["id"]
    assert put(caller, first, referral(subject={"display": "A. Invented"}, priority="asap")).status_code == 200
    caller.put("Patient/p1", patient(id="p1"))
    assert put(caller, first, referral(subject={"reference": "Patient/p1"}), 2).status_code == 200
    assert caller.queue_of(first) == "adult-movement-disorders"


def test_an_ended_referral_is_not_updated(caller: Caller) -> None:
    first = made(caller)["id"]
    caller.move(caller.task_of(first), status="rejected", statusReason=REASON)
    answer = put(caller, first, referral(priority="urgent"))
    assert (answer.status_code, rules(answer.json)) == (409, [("task-final", "ServiceRequest")])
    assert put(caller, first, referral()).status_code == 200


def test_an_update_never_overrules_a_human(caller: Caller) -> None:
    first = made(caller)["id"]
    caller.reroute(caller.task_of(first), "pediatric-neuromotor")
    assert put(caller, first, referral(reason="Torticollis"), 2).status_code == 200
    assert (caller.queue_of(first), caller.sums()) == ("pediatric-neuromotor", ledger_of(routed=1))
    assert caller.task_of(first)["status"] == "requested"


def test_a_put_to_an_unknown_id_makes_it(caller: Caller) -> None:
    answer = caller.put("ServiceRequest/s1", referral(id="s1"))
    assert answer.status_code == 201
    ours = answer.json["id"]
    assert answer.headers["Location"] == f"http://localhost/fhir/ServiceRequest/{ours}/_history/1"
    assert caller.read("ServiceRequest/s1") == caller.read(f"ServiceRequest/{ours}") == answer.json
    assert caller.sums() == ledger_of(routed=1)
    refused = caller.put("ServiceRequest/s2", referral("A-2", id="s2", intent="banana"))
    assert (refused.status_code, caller.sums()) == (400, ledger_of(routed=1, refused=1))


def test_a_put_to_an_unknown_id_of_a_known_referral_is_an_update(caller: Caller) -> None:
    first = made(caller)["id"]
    assert rules(caller.put("ServiceRequest/s1", referral(id="s1", priority="stat")).json) == [("if-match-missing", "")]
    assert (version_of(caller, first), caller.sums()) == ("1", ledger_of(routed=1))


def test_the_id_of_a_put_is_the_one_of_its_address(caller: Caller) -> None:
    answer = caller.put("Patient/p1", patient(id="other"))
    assert (answer.status_code, rules(answer.json)) == (400, [("id-mismatch", "Patient.id")])


def revoke(caller: Caller, identity: str, status: str = "revoked", version: int = 1) -> Any:
    return put(caller, identity, referral(status=status), version)


@pytest.mark.parametrize("wanted", ["revoked", "entered-in-error"])
@pytest.mark.parametrize("moves", [[], ["received"], ["accepted"], ["accepted", "on-hold"]])
def test_a_cancel_before_work_began_ends_the_task(caller: Caller, wanted: str, moves: list[str]) -> None:
    first = made(caller)["id"]
    for status in moves:
        reason = REASON if status == "on-hold" else None
        assert caller.move(caller.task_of(first), status=status, statusReason=reason).status_code == 200
    answer = revoke(caller, first, wanted)
    assert (answer.status_code, answer.json["status"]) == (200, wanted)
    task = caller.task_of(first)
    assert (task["status"], task["statusReason"]["coding"][0]["code"]) == ("cancelled", "withdrawn-by-sender")
    assert caller.sums() == ledger_of(routed=1)


def test_a_cancel_while_work_is_done_is_a_wish(caller: Caller) -> None:
    first = made(caller)["id"]
    for status in ("accepted", "in-progress"):
        caller.move(caller.task_of(first), status=status)
    assert revoke(caller, first).status_code == 200
    task = caller.task_of(first)
    assert (task["status"], task["businessStatus"]["coding"][0]["code"]) == ("in-progress", "cancellation-requested")
    assert "statusReason" not in task
    assert put(caller, first, referral(), 2).json["status"] == "active"


def test_the_same_cancel_again_is_a_replay_and_any_other_a_conflict(caller: Caller) -> None:
    first = made(caller)["id"]
    one = revoke(caller, first)
    again = caller.create(referral(status="revoked"), X_Request_Id="again")
    assert (again.status_code, again.json) == (200, one.json)
    other = revoke(caller, first, "entered-in-error", 2)
    assert (other.status_code, rules(other.json)) == (409, [("task-final", "ServiceRequest")])
    assert [one["result"] for one in caller.receipts("request-id=again")] == ["replay"]
    assert caller.sums() == ledger_of(routed=1)


def test_a_cancel_that_names_another_patient_is_not_meant_for_this_referral(caller: Caller) -> None:
    for number in "12":
        caller.put(f"Patient/{number}", patient(id=number))
    first = made(caller, subject={"reference": "Patient/1"})
    answer = caller.create(referral(subject={"reference": "Patient/2"}, status="revoked"))
    assert (answer.status_code, rules(answer.json)) == (422, [("subject-changed", "ServiceRequest.subject")])
    assert (caller.read(f"ServiceRequest/{first['id']}"), caller.sums()) == (first, ledger_of(routed=1))
    assert caller.create(referral(subject={"display": "them"}, status="revoked")).status_code == 200


def test_an_update_cannot_take_the_placer_identifier_of_another_referral(caller: Caller) -> None:
    first, second = made(caller, number="A-1")["id"], made(caller, number="A-2")["id"]
    answer = put(caller, first, referral("A-2", priority="stat"))
    assert (answer.status_code, rules(answer.json)) == (409, [("other-content", "ServiceRequest.identifier")])
    assert second in answer.json["issue"][0]["diagnostics"]
    assert (version_of(caller, first), caller.sums()) == ("1", ledger_of(routed=2))
    assert put(caller, first, referral("A-3", priority="stat")).status_code == 200
    assert caller.create(referral("A-3", priority="stat")).json["id"] == first


@pytest.mark.parametrize("status", ["revoked", "entered-in-error"])
def test_a_cancel_of_an_unknown_referral_is_rejected(caller: Caller, status: str) -> None:
    answer = caller.create(referral(status=status))
    assert (answer.status_code, rules(answer.json)) == (422, [("not-active", "ServiceRequest.status")])
    assert caller.sums() == ledger_of(rejected=1)


def test_a_known_referral_is_revoked_at_every_door(caller: Caller) -> None:
    for number, door in (("A-1", "create"), ("A-2", "post entry"), ("A-3", "put entry")):
        sent = referral(number, id=number)
        caller.post("", bundle(entry(sent, method="PUT", url=f"ServiceRequest/{number}")))
        gone = sent | {"status": "revoked"}
        if door == "create":
            answer = caller.create(gone, X_Request_Id=number)
        else:
            put_entry = entry(gone, method="PUT", url=f"ServiceRequest/{number}")
            answer = caller.post("", bundle(entry(gone) if door == "post entry" else put_entry), X_Request_Id=number)
        assert answer.status_code == 200, answer.text
        assert caller.read(f"ServiceRequest/{number}")["status"] == "revoked"
        assert [one["result"] for one in caller.receipts(f"request-id={number}")] == ["cancel"]
    assert caller.sums() == ledger_of(routed=3)


def test_what_was_entered_in_error_is_masked(caller: Caller) -> None:
    who = [patient(id="p", name=[{"family": "Canary"}])]
    first = made(caller, note=[{"text": "Canary"}], contained=who)["id"]
    answer = revoke(caller, first, "entered-in-error")
    served = caller.read(f"ServiceRequest/{first}")
    assert served == answer.json
    assert sorted(served) == ["id", "identifier", "intent", "meta", "resourceType", "status", "subject"]
    assert "Canary" not in caller.get(f"ServiceRequest/{first}/_history").text
    for path in ("$decision", "$original", "_history/1"):
        gone = caller.get(f"ServiceRequest/{first}/{path}")
        assert (gone.status_code, rules(gone.json)) == (410, [("entered-in-error", "")])


# --- Tasks


def test_a_task_is_moved_at_the_version_that_was_read(caller: Caller) -> None:
    task = caller.task_of(made(caller)["id"])
    missing = caller.put(f"Task/{task['id']}", task)
    assert (missing.status_code, rules(missing.json)) == (400, [("if-match-missing", "")])
    moved = caller.move(task, status="received")
    assert (moved.status_code, moved.headers["ETag"], moved.json["status"]) == (200, 'W/"2"', "received")
    stale = caller.move(task, status="accepted")
    assert (stale.status_code, rules(stale.json)) == (412, [("stale-version", "")])
    assert caller.read(f"Task/{task['id']}/_history")["total"] == 2
    assert caller.put("Task/none", task, If_Match='W/"1"').status_code == 404


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"status": "completed"}, ("task-move", "Task.status")),
        ({"status": "rejected"}, ("task-status-reason", "Task.statusReason")),
        ({"statusReason": REASON}, ("task-status-reason", "Task.statusReason")),
        ({"intent": "plan"}, ("task-fixed-element", "Task.intent")),
        ({"focus": {"reference": "ServiceRequest/x"}}, ("task-fixed-element", "Task.focus")),
        ({"owner": {"reference": "Organization/x"}}, ("task-owner", "Task.owner")),
    ],
)
def test_a_move_that_is_none_changes_nothing(caller: Caller, change: Resource, rule: tuple[str, str]) -> None:
    task = caller.task_of(made(caller)["id"])
    answer = caller.move(task, **change)
    assert (answer.status_code, rules(answer.json)) == (422, [rule])
    assert caller.read(f"Task/{task['id']}") == task


def test_a_held_task_goes_back_to_where_it_came_from(caller: Caller) -> None:
    first = made(caller)["id"]
    caller.move(caller.task_of(first), status="accepted")
    caller.move(caller.task_of(first), status="on-hold", statusReason=REASON)
    other = caller.move(caller.task_of(first), status="received", statusReason=None)
    assert other.status_code == 422
    assert caller.move(caller.task_of(first), status="accepted", statusReason=None).status_code == 200


def test_rerouting_keeps_the_task_and_its_clock(caller: Caller) -> None:
    first = made(caller, reason="Torticollis")["id"]
    assignee = {"url": f"{OWN}/StructureDefinition/assignee", "valueReference": {"display": "Nurse Invented"}}
    caller.move(caller.task_of(first), status="accepted", extension=[assignee])
    before = caller.task_of(first)
    assert "extension" in before
    rerouted = caller.reroute(before, "pediatric-neuromotor")
    assert rerouted.status_code == 200, rerouted.text
    after = caller.task_of(first)
    assert (after["id"], after["authoredOn"], after["restriction"]) == (
        before["id"],
        before["authoredOn"],
        before["restriction"],
    )
    assert (after["status"], "extension" in after) == ("requested", False)
    assert caller.read(f"Task/{after['id']}/_history")["total"] == 3
    assert caller.sums() == ledger_of(routed=1)
    back = caller.reroute(after, "intake-review")
    assert (back.status_code, caller.sums()) == (200, ledger_of(review=1))


def test_a_held_task_that_is_rerouted_starts_again(caller: Caller) -> None:
    first = made(caller)["id"]
    caller.move(caller.task_of(first), status="on-hold", statusReason=REASON)
    rerouted = caller.reroute(caller.task_of(first), "pediatric-neuromotor")
    assert (rerouted.status_code, rerouted.json["status"]) == (200, "requested")
    assert "statusReason" not in rerouted.json


def test_a_final_task_stays_where_it_is(caller: Caller) -> None:
    first = made(caller)["id"]
    caller.move(caller.task_of(first), status="rejected", statusReason=REASON)
    answer = caller.reroute(caller.task_of(first), "pediatric-neuromotor")
    assert (answer.status_code, rules(answer.json)) == (422, [("task-final", "Task.owner")])


# --- supporting data


def test_supporting_data_is_made_by_post_and_by_put(caller: Caller) -> None:
    posted = caller.post("Patient", patient())
    assert (posted.status_code, posted.json["birthDate"]) == (201, ADULT_BORN)
    assert posted.headers["Location"] == f"http://localhost/fhir/Patient/{posted.json['id']}/_history/1"
    put_first, same, changed = (
        caller.put("Patient/p1", patient(born, id="p1")) for born in (ADULT_BORN, ADULT_BORN, CHILD_BORN)
    )
    assert [one.status_code for one in (put_first, same, changed)] == [201, 200, 200]
    assert [one.headers["ETag"] for one in (put_first, same, changed)] == ['W/"1"', 'W/"1"', 'W/"2"']
    ours = put_first.json["id"]
    assert caller.put(f"Patient/{ours}", patient(id=ours)).headers["ETag"] == 'W/"3"'
    assert (caller.count("Patient"), caller.sums()) == (2, ledger_of())


def test_if_match_is_honoured_for_supporting_data(caller: Caller) -> None:
    caller.put("Patient/p1", patient(id="p1"))
    assert caller.put("Patient/p1", patient(CHILD_BORN, id="p1"), If_Match='W/"1"').status_code == 200
    stale = caller.put("Patient/p1", patient(id="p1"), If_Match='W/"1"')
    assert (stale.status_code, rules(stale.json)) == (412, [("stale-version", "")])


def test_if_none_exist_is_honoured_for_supporting_data(caller: Caller) -> None:
    known = patient(identifier=[{"system": "urn:example:nhs", "value": "1"}])
    first, again = (caller.post("Patient", known, If_None_Exist="identifier=urn:example:nhs|1") for _ in range(2))
    assert (first.status_code, again.status_code, again.json) == (201, 200, first.json)


def test_faulty_supporting_data_is_an_answer_and_no_row(caller: Caller) -> None:
    answer = caller.post("Patient", patient("yesterday"))
    assert (answer.status_code, rules(answer.json)) == (400, [("invalid-value", "Patient.birthDate")])
    assert caller.sums() == ledger_of()


def test_a_referral_is_not_flagged_as_a_duplicate_of_itself_when_updated(caller: Caller) -> None:
    identified = [patient(id="p", identifier=[{"system": "urn:example:nhs", "value": "1"}])]
    first = made(caller, contained=identified)["id"]
    changed = put(caller, first, referral(contained=identified, priority="urgent"))
    assert (changed.status_code, flags(changed.json)) == (200, [])
