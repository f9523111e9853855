"""The doors through which a Task is moved: PUT, PATCH, $actions and $undo, all judged by one table."""

from __future__ import annotations

from typing import Any

import pytest

from referral_service.fhir.conformance import check
from referral_service.intake import Site
from referral_service.store import worklist
from tests.shapes import (
    ADULT_BORN,
    CHILD_BORN,
    OWN,
    Caller,
    Resource,
    ledger_of,
    patient,
    referral,
    rules,
)

APPOINTMENT = f"{OWN}/StructureDefinition/appointment"
ASSIGNEE = f"{OWN}/StructureDefinition/assignee"


def task(caller: Caller, *statuses: str, **more: Any) -> Resource:
    """The Task of a new referral, moved through the statuses."""
    made = caller.create(referral(**more))
    assert made.status_code == 201, made.text
    for status in statuses:
        answer = caller.move(caller.task_of(made.json["id"]), status=status, statusReason=reason_for(status))
        assert answer.status_code == 200, answer.text
    return caller.task_of(made.json["id"])


def why(code: str, text: str | None = None) -> Resource:
    concept: Resource = {"coding": [{"system": f"{OWN}/CodeSystem/status-reason", "code": code}]}
    return {**concept, "text": text} if text else concept


def reason_for(status: str) -> Resource | None:
    codes = {"on-hold": "capacity", "rejected": "duplicate", "cancelled": "patient-declined", "failed": "deceased"}
    return why(codes[status]) if status in codes else None


def business(code: str) -> Resource:
    return {"coding": [{"system": f"{OWN}/CodeSystem/business-status", "code": code}]}


def codes(concept: Resource) -> list[str]:
    return [one["code"] for one in concept["coding"]]


def referral_of(found: Resource) -> str:
    return str(found["focus"]["reference"]).removeprefix("ServiceRequest/")


def tag(resource: Resource, system: str) -> list[str]:
    return [one["code"] for one in resource["meta"]["tag"] if one["system"] == system]


def decision(caller: Caller, found: Resource) -> dict[str, Any]:
    parameters = caller.read(f"ServiceRequest/{referral_of(found)}/$decision")["parameter"]
    return {one["name"]: next(value for name, value in one.items() if name != "name") for one in parameters}


def part(parts: list[Resource], name: str) -> Any:
    found = next(one for one in parts if one["name"] == name)
    return next(value for key, value in found.items() if key != "name")


# --- what may be done


def test_the_moves_that_may_be_made_now_are_told_with_what_they_take(caller: Caller) -> None:
    found = task(caller)
    actions = caller.actions(found["id"])
    assert list(actions) == [
        *("receive", "accept", "return-for-information", "hold", "reject", "cancel", "re-route", "claim", "assign"),
        *("set-business-status", "comment", "correct-code", "confirm-birth-date", "pause-clock", "entered-in-error"),
    ]
    assert actions["accept"] == {
        "code": ["accept"],
        "label": ["Accept"],
        "target": ["accepted"],
        "optional": ["comment"],
    }
    question = actions["return-for-information"]
    assert (question["target"], question["required"]) == (["on-hold"], ["reason", "comment"])
    assert [one["code"] for one in question["reason"]] == ["more-information-needed"]
    assert caller.get("Task/none/$actions").status_code == 404


def test_what_is_told_of_the_moves_is_valid_and_follows_the_task(caller: Caller) -> None:
    found = task(caller, "accepted", "on-hold")
    told = caller.read(f"Task/{found['id']}/$actions")
    assert [issue for issue in check(told) if issue.is_error] == []
    assert told["parameter"][:2] == [
        {"name": "version", "valueString": "3"},
        {"name": "status", "valueCode": "on-hold"},
    ]
    assert caller.actions(found["id"])["resume"]["target"] == ["accepted"]
    ended = task(caller, "rejected", number="A-2")
    assert list(caller.actions(ended["id"])) == ["comment", "entered-in-error", "undo"]
    assert caller.actions(ended["id"])["undo"]["target"] == ["requested"]


def test_a_move_that_is_none_names_what_may_be_done_now(caller: Caller) -> None:
    answer = caller.move(task(caller, "accepted"), status="completed")
    assert (answer.status_code, rules(answer.json)) == (422, [("task-move", "Task.status")])
    assert "start" in answer.json["issue"][0]["diagnostics"]
    assert "complete," not in answer.json["issue"][0]["diagnostics"]


def test_of_two_who_move_one_task_the_second_learns_who_was_quicker(caller: Caller) -> None:
    found = task(caller)
    moved = caller.move(found, status="accepted").json
    late = caller.move(found, status="rejected", statusReason=why("duplicate"))
    assert (late.status_code, rules(late.json)) == (412, [("stale-version", "")])
    assert late.json["issue"][0]["diagnostics"] == (
        f"The Task is at version 2: Local user made it accepted (accept) at {moved['meta']['lastUpdated']}. "
        "Read it again before changing it."
    )


# --- reasons


@pytest.mark.parametrize(
    ("status", "reason", "rule"),
    [
        ("rejected", None, "task-status-reason"),
        ("rejected", {"text": "why"}, "task-status-reason"),
        ("rejected", why("withdrawn-by-sender"), "task-status-reason"),
        ("rejected", why("nonsense"), "task-status-reason"),
        ("on-hold", why("duplicate"), "task-status-reason"),
        ("on-hold", why("more-information-needed"), "task-comment"),
        ("rejected", why("other"), "task-comment"),
    ],
)
def test_a_reason_is_coded_fits_its_status_and_says_enough(
    caller: Caller, status: str, reason: Resource | None, rule: str
) -> None:
    found = task(caller)
    answer = caller.move(found, status=status, statusReason=reason)
    assert (answer.status_code, {name for name, _ in rules(answer.json)}) == (422, {rule})
    assert caller.read(f"Task/{found['id']}") == found


def test_a_reason_is_kept_as_sent_and_has_words(caller: Caller) -> None:
    sent = why("duplicate")
    sent["coding"].append({"system": "urn:example:reasons", "code": "D"})
    ended = caller.move(task(caller), status="rejected", statusReason=sent).json
    assert ended["statusReason"] == {**sent, "text": "Duplicate"}
    told = caller.move(task(caller, number="A-2"), status="rejected", statusReason=why("other", "Moved away.")).json
    assert told["statusReason"]["text"] == "Moved away."


def test_a_reason_goes_with_the_status_that_it_explained(caller: Caller) -> None:
    found = task(caller, "accepted", "on-hold")
    changed = caller.move(found, statusReason=why("patient-unavailable"))
    assert (changed.status_code, rules(changed.json)) == (422, [("task-status-reason", "Task.statusReason")])
    kept = caller.move(found, status="accepted")
    assert (kept.status_code, rules(kept.json)) == (422, [("task-status-reason", "Task.statusReason")])
    assert "statusReason" not in caller.move(found, status="accepted", statusReason=None).json


# --- notes, outputs, other elements


def test_notes_are_only_added_and_get_author_and_time(caller: Caller) -> None:
    found = task(caller)
    noted = caller.move(found, note=[{"text": "Rang the practice."}]).json
    assert noted["note"] == [
        {"authorString": "Local user", "time": noted["meta"]["lastUpdated"], "text": "Rang the practice."}
    ]
    for notes in ([{"text": "another"}], None):
        answer = caller.move(noted, note=notes)
        assert (answer.status_code, rules(answer.json)) == (422, [("task-fixed-element", "Task.note")])


def test_the_closing_report_stands_in_the_output_as_sent(caller: Caller) -> None:
    report = {"type": {"text": "Letter"}, "valueReference": {"reference": "DocumentReference/d"}}
    done = caller.move(task(caller, "accepted", "in-progress"), status="completed", output=[report])
    assert (done.status_code, done.json["output"]) == (200, [report])
    later = {"type": {"text": "Addendum"}, "valueString": "Botulinum toxin helped."}
    more = caller.move(done.json, output=[report, later])
    assert (more.status_code, more.json["output"]) == (200, [report, later])
    gone = caller.move(more.json, output=[later])
    assert (gone.status_code, rules(gone.json)) == (422, [("task-fixed-element", "Task.output")])


def test_the_same_task_put_again_changes_nothing(caller: Caller) -> None:
    found = task(caller, "accepted")
    same = caller.move(found)
    assert (same.status_code, same.json, same.headers["ETag"]) == (200, found, 'W/"2"')


def test_who_takes_a_task_in_hand_stands_in_the_extension(caller: Caller) -> None:
    found = task(caller)
    sent = {"url": ASSIGNEE, "valueReference": {"reference": "Practitioner/7", "display": "Nurse Invented"}}
    taken = caller.move(found, extension=[sent])
    assert (taken.status_code, taken.json["extension"]) == (200, [sent])
    assert caller.read("Task?assignee=Nurse")["total"] == 1
    back = caller.move(taken.json, extension=None)
    assert (back.status_code, "extension" in back.json) == (200, False)
    foreign = caller.move(back.json, extension=[{"url": "urn:example:x", "valueString": "x"}])
    assert (foreign.status_code, rules(foreign.json)) == (422, [("task-fixed-element", "Task.extension")])


# --- appointments


def test_an_appointment_is_booked_moved_and_missed_with_its_date(caller: Caller) -> None:
    found = task(caller, "accepted")
    on = {"url": APPOINTMENT, "valueDateTime": "2026-12-01T09:30:00Z"}
    booked = caller.move(found, extension=[on], businessStatus=business("appointment-booked"))
    assert (booked.status_code, booked.json["extension"]) == (200, [on])
    later = {"url": APPOINTMENT, "valueDateTime": "2026-12-08"}
    moved = caller.move(booked.json, extension=[later])
    assert (moved.status_code, codes(moved.json["businessStatus"])) == (200, ["appointment-moved"])
    missed = caller.move(moved.json, businessStatus=business("did-not-attend"))
    assert (missed.status_code, missed.json["extension"]) == (200, [later])
    taken = caller.move(missed.json, extension=None)
    assert (taken.status_code, rules(taken.json)) == (422, [("task-fixed-element", "Task.extension")])
    dropped = caller.move(missed.json, businessStatus=None)
    assert (dropped.status_code, rules(dropped.json)) == (422, [("task-fixed-element", "Task.businessStatus")])
    again = caller.move(missed.json, extension=None, businessStatus=business("awaiting-appointment"))
    assert (again.status_code, "extension" in again.json) == (200, False)
    assert caller.actions(found["id"])["book-appointment"]["required"] == ["date"]


@pytest.mark.parametrize(
    "date",
    [
        *("2026-02-30", "2026-12", "2026-12-01T09:30:00", "0001-01-01", "9999-12-31"),
        *("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"),
    ],
)
def test_an_appointment_is_on_a_day_or_at_a_moment(caller: Caller, date: str) -> None:
    answer = caller.move(task(caller, "accepted"), extension=[{"url": APPOINTMENT, "valueDateTime": date}])
    assert answer.status_code in (400, 422)


def test_a_business_status_has_a_code_of_ours(caller: Caller) -> None:
    answer = caller.move(task(caller), businessStatus={"coding": [{"system": "urn:example:x", "code": "seen"}]})
    assert (answer.status_code, rules(answer.json)) == (422, [("code-not-in-value-set", "Task.businessStatus")])


# --- re-routing


def test_a_reroute_says_why(caller: Caller) -> None:
    found = task(caller)
    answer = caller.move(found, owner={"reference": "HealthcareService/pediatric-neuromotor"})
    assert (answer.status_code, rules(answer.json)) == (422, [("task-comment", "Task.note")])
    moved = caller.reroute(found, "pediatric-neuromotor", "The parents ask for it.").json
    assert [(one["authorString"], one["text"]) for one in moved["note"]] == [("Local user", "The parents ask for it.")]


def test_owner_queue_tag_decision_and_ledger_agree_after_a_reroute(caller: Caller) -> None:
    found = task(caller, reason="Torticollis")
    assert caller.reroute(found, "adult-movement-disorders").status_code == 200
    request = caller.read(f"ServiceRequest/{referral_of(found)}")
    told = decision(caller, found)
    assert tag(request, f"{OWN}/CodeSystem/queue") == ["adult-movement-disorders"]
    assert (told["queue"], told["disposition"], request["meta"]["versionId"]) == (
        "adult-movement-disorders",
        "routed",
        "2",
    )
    correction = told["correction"]
    assert [part(correction, name) for name in ("kind", "from", "to", "by", "reason")] == [
        *("queue", "intake-review", "adult-movement-disorders", "Local user", "Known there."),
    ]
    assert caller.sums() == ledger_of(routed=1)
    assert caller.read("ServiceRequest?_tag=adult-movement-disorders")["total"] == 1


def test_who_routes_out_of_review_can_say_that_it_is_dystonia(caller: Caller) -> None:
    found = task(caller, reason="Torticollis")
    coded = {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "G24.3"}]}
    notes = [{"text": "The neurologist says dystonia."}]
    owner = {"reference": "HealthcareService/adult-movement-disorders"}
    moved = caller.move(found, owner=owner, note=notes, reasonCode=coded)
    assert (moved.status_code, codes(moved.json["reasonCode"])) == (200, ["G24.3", "G24.3"])
    told = decision(caller, found)
    assert (codes(told["code"]), told["certainty"], "flag" in told) == (["G24.3", "G24.3"], "suspected", False)


# --- corrections


def test_a_code_corrected_by_hand_stands_in_all_that_is_served(caller: Caller) -> None:
    found = task(caller)
    coded = {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "G24.8"}]}
    needs = caller.move(found, reasonCode=coded)
    assert (needs.status_code, rules(needs.json)) == (422, [("task-comment", "Task.note")])
    moved = caller.move(found, reasonCode=coded, note=[{"text": "Seen by us."}])
    assert (moved.status_code, codes(moved.json["reasonCode"]), moved.json["status"]) == (
        200,
        ["G24.8", "G24.8"],
        "requested",
    )
    request = caller.read(f"ServiceRequest/{referral_of(found)}")
    assert tag(request, "http://hl7.org/fhir/sid/icd-10-cm") == ["G24.8"]
    told = decision(caller, found)
    assert [part(told["correction"], name) for name in ("kind", "from", "to")] == ["code", "G24.3", "G24.8"]
    assert caller.read("ServiceRequest?_tag=G24.8")["total"] == 1
    who = next(one for one in caller.stored("Provenance") if "reason" in one)
    assert (who["reason"], who["agent"][0]["who"]["display"]) == ([{"text": "Seen by us."}], "Local user")


@pytest.mark.parametrize("code", ["G24", "G24.0", "R25.8", "x"])
def test_only_a_billable_code_of_dystonia_is_a_correction(caller: Caller, code: str) -> None:
    coded = {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": code}]}
    answer = caller.move(task(caller), reasonCode=coded, note=[{"text": "why"}])
    assert (answer.status_code, rules(answer.json)) == (422, [("task-code", "Task.reasonCode")])


def test_a_code_by_hand_is_never_overruled_by_a_later_decision(caller: Caller) -> None:
    found = task(caller)
    coded = {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "G24.8"}]}
    caller.move(found, reasonCode=coded, note=[{"text": "Seen by us."}])
    sent = referral(id=referral_of(found), reason="Writer's cramp", priority="urgent")
    updated = caller.put(f"ServiceRequest/{referral_of(found)}", sent, If_Match='W/"2"')
    assert (updated.status_code, tag(updated.json, "http://hl7.org/fhir/sid/icd-10-cm")) == (200, ["G24.8"])
    after = caller.task_of(referral_of(found))
    assert (codes(after["reasonCode"]), after["priority"]) == (["G24.8", "G24.8"], "urgent")


def test_a_code_by_hand_lets_a_held_referral_go_where_its_age_belongs(caller: Caller) -> None:
    found = task(caller, reason="Torticollis", contained=[patient(CHILD_BORN, id="p")])
    assert found["owner"]["reference"] == "HealthcareService/intake-review"
    coded = {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "G24.3"}]}
    moved = caller.move(found, reasonCode=coded, note=[{"text": "It is dystonia."}]).json
    assert moved["owner"]["reference"] == "HealthcareService/pediatric-neuromotor"
    assert caller.sums() == ledger_of(routed=1)


# --- questions to the sender


def test_the_senders_answer_resumes_the_same_task_and_clock(caller: Caller) -> None:
    found = task(caller, "accepted")
    asked = caller.move(found, status="on-hold", statusReason=why("more-information-needed", "Which side?")).json
    assert codes(asked["businessStatus"]) == ["awaiting-information"]
    sent = referral(id=referral_of(found), note=[{"text": "The left."}])
    assert caller.put(f"ServiceRequest/{referral_of(found)}", sent, If_Match='W/"1"').status_code == 200
    after = caller.task_of(referral_of(found))
    assert (after["id"], after["status"], after["authoredOn"], after["restriction"]) == (
        found["id"],
        "accepted",
        found["authoredOn"],
        found["restriction"],
    )
    assert ("statusReason" in after, "businessStatus" in after) == (False, False)


def test_an_answer_can_let_a_referral_out_of_review(caller: Caller) -> None:
    name = [{"family": "Invented"}]
    found = task(caller, contained=[patient(None, id="p", name=name)])
    caller.move(found, status="on-hold", statusReason=why("more-information-needed", "When was she born?"))
    sent = referral(id=referral_of(found), contained=[patient(ADULT_BORN, id="p", name=name)])
    assert caller.put(f"ServiceRequest/{referral_of(found)}", sent, If_Match='W/"1"').status_code == 200
    after = caller.task_of(referral_of(found))
    assert (after["status"], after["owner"]["reference"]) == (
        "requested",
        "HealthcareService/adult-movement-disorders",
    )


def test_any_other_hold_stays_when_the_sender_adds_something(caller: Caller) -> None:
    found = task(caller, "on-hold")
    sent = referral(id=referral_of(found), note=[{"text": "More."}])
    assert caller.put(f"ServiceRequest/{referral_of(found)}", sent, If_Match='W/"1"').status_code == 200
    assert caller.task_of(referral_of(found))["status"] == "on-hold"


def test_who_takes_a_wish_to_cancel_back_is_no_longer_shown_as_wishing(caller: Caller) -> None:
    found = task(caller, "accepted", "in-progress")
    address, sent = f"ServiceRequest/{referral_of(found)}", referral(id=referral_of(found))
    caller.put(address, sent | {"status": "revoked"}, If_Match='W/"1"')
    assert codes(caller.task_of(referral_of(found))["businessStatus"]) == ["cancellation-requested"]
    assert caller.put(address, sent, If_Match='W/"2"').status_code == 200
    assert "businessStatus" not in caller.task_of(referral_of(found))


# --- taking back


@pytest.mark.parametrize(
    ("statuses", "back"),
    [
        (["rejected"], "requested"),
        (["accepted", "on-hold", "rejected"], "on-hold"),
        (["accepted", "cancelled"], "accepted"),
        (["accepted", "in-progress", "completed"], "in-progress"),
        (["accepted", "in-progress", "failed"], "in-progress"),
    ],
)
def test_an_end_is_taken_back_to_where_it_came_from(caller: Caller, statuses: list[str], back: str) -> None:
    found = task(caller, *statuses)
    answer = caller.undo(found["id"])
    assert (answer.status_code, answer.json["status"]) == (200, back)
    assert answer.json["meta"]["versionId"] == str(int(found["meta"]["versionId"]) + 1)
    assert answer.json["note"][-1]["text"] == "Made in error."
    if back == "on-hold":
        assert codes(answer.json["statusReason"]) == ["capacity"]
        assert caller.actions(found["id"])["resume"]["target"] == ["accepted"]


def test_an_undo_needs_an_end_a_reason_and_the_version_that_it_names(caller: Caller) -> None:
    found = task(caller, "accepted")
    assert rules(caller.undo(found["id"]).json) == [("task-move", "Task.status")]
    ended = caller.move(found, status="rejected", statusReason=why("duplicate")).json
    for words in (None, ""):
        answer = caller.undo(ended["id"], words)
        assert answer.status_code in (400, 422)
    assert caller.undo(ended["id"], If_Match='W/"2"').status_code == 412
    assert caller.post(f"Task/{ended['id']}/$undo", "{").status_code == 400
    assert caller.undo("none").status_code == 404
    assert caller.undo(ended["id"], If_Match='W/"3"').json["status"] == "accepted"


def test_what_the_sender_has_withdrawn_is_not_taken_back(caller: Caller) -> None:
    found = task(caller)
    sent = referral(id=referral_of(found), status="revoked")
    caller.put(f"ServiceRequest/{referral_of(found)}", sent, If_Match='W/"1"')
    answer = caller.undo(found["id"])
    assert (answer.status_code, rules(answer.json)) == (422, [("task-move", "Task.status")])


# --- patches


def test_a_patch_is_judged_like_the_whole_task(caller: Caller) -> None:
    found = task(caller)
    moved = caller.patch(found, {"op": "replace", "path": "/status", "value": "accepted"})
    assert (moved.status_code, moved.json["status"], moved.headers["ETag"]) == (200, "accepted", 'W/"2"')
    wrong = caller.patch(moved.json, {"op": "replace", "path": "/status", "value": "completed"})
    assert (wrong.status_code, rules(wrong.json)) == (422, [("task-move", "Task.status")])
    fixed = caller.patch(moved.json, {"op": "replace", "path": "/priority", "value": "stat"})
    assert (fixed.status_code, rules(fixed.json)) == (422, [("task-fixed-element", "Task.priority")])
    assert caller.patch(found, {"op": "test", "path": "/status", "value": "requested"}).status_code == 412


@pytest.mark.parametrize(
    ("operations", "status", "rule"),
    [
        ('{"op": "add"}', 400, "no-patch"),
        ("[{]", 400, "no-patch"),
        ('[{"op": "nonsense", "path": "/status"}]', 400, "no-patch"),
        ('[{"op": "replace", "value": 1}]', 400, "no-patch"),
        ("[1]", 400, "no-patch"),
        ("[" + ",".join(['{"op": "test", "path": "/intent", "value": "order"}'] * 101) + "]", 400, "no-patch"),
        ('[{"op": "test", "path": "/status", "value": "accepted"}]', 422, "patch-does-not-fit"),
        ('[{"op": "remove", "path": "/nowhere"}]', 422, "patch-does-not-fit"),
        ('[{"op": "add", "path": "/note/-", "value": {"text": "x"}}]', 422, "patch-does-not-fit"),
        ('[{"op": "replace", "path": "/status", "value": "banana"}]', 400, "code-not-in-value-set"),
        ('[{"op": "replace", "path": "", "value": 5}]', 400, "not-object"),
        (
            '[{"op": "add", "path": "/note", "value": [{"text": "xxxxxxxx"}]},'
            + ",".join(['{"op": "copy", "from": "/note", "path": "/note/-"}'] * 40)
            + "]",
            400,
            "no-patch",
        ),
    ],
)
def test_a_patch_that_cannot_be_applied_changes_nothing(
    caller: Caller, operations: str, status: int, rule: str
) -> None:
    found = task(caller)
    headers = {"If_Match": 'W/"1"', "Content_Type": "application/json-patch+json"}
    answer = caller._send("PATCH", f"Task/{found['id']}", operations, headers)
    assert (answer.status_code, [name for name, _ in rules(answer.json)]) == (status, [rule])
    assert caller.read(f"Task/{found['id']}") == found


def test_a_patch_has_its_own_media_type_and_names_a_version(caller: Caller) -> None:
    found = task(caller)
    assert caller.patch(found, Content_Type="application/fhir+json").status_code == 415
    assert rules(caller.patch(found, If_Match="").json) == [("if-match-missing", "")]


def test_a_moved_task_keeps_to_its_profile(caller: Caller) -> None:
    profile = f"{OWN}/StructureDefinition/referral-task"
    found = task(caller, "accepted")
    on = {"url": APPOINTMENT, "valueDateTime": "2026-12-01"}
    for stage in (
        found,
        caller.move(found, extension=[on]).json,
        caller.move(caller.task_of(referral_of(found)), status="rejected", statusReason=why("duplicate")).json,
    ):
        assert [issue for issue in check(stage, [profile]) if issue.severity != "information"] == []


# --- several moves at once


def test_each_move_of_one_put_is_told(caller: Caller, site: Site) -> None:
    found = task(caller)
    named = {"url": ASSIGNEE, "valueReference": {"display": "Kim Rota"}}
    moved = caller.move(found, status="accepted", extension=[named], note=[{"text": "Gladly."}, {"text": "Soon."}])
    assert (moved.status_code, moved.headers["ETag"]) == (200, 'W/"2"')
    with site.store.reading() as connection:
        rows = worklist.timeline(connection, found["id"])[1:]
    told = ("version", "step", "action", "from_status", "status", "value", "comment")
    assert [tuple(row[name] for name in told) for row in rows] == [
        (2, 1, "accept", "requested", "accepted", None, "Gladly."),
        (2, 2, "assign", "accepted", "accepted", "Kim Rota", None),
        (2, 3, "comment", "accepted", "accepted", None, "Soon."),
    ]


def test_a_put_that_reroutes_and_assigns_does_both(caller: Caller) -> None:
    named = {"url": ASSIGNEE, "valueReference": {"display": "Kim Rota"}}
    owner = {"reference": "HealthcareService/pediatric-neuromotor"}
    moved = caller.move(task(caller, "accepted"), owner=owner, extension=[named], note=[{"text": "A child."}])
    assert (moved.status_code, moved.json["owner"]["reference"]) == (200, owner["reference"])
    assert (moved.json["extension"], moved.json["status"]) == ([named], "requested")


def test_a_put_whose_moves_do_not_lead_where_it_wants_changes_nothing(caller: Caller) -> None:
    found = caller.move(task(caller, "accepted"), extension=[on("2026-12-01")], businessStatus=None).json
    moved = caller.move(found, extension=[on("2026-12-08")], businessStatus=business("awaiting-information"))
    assert (moved.status_code, rules(moved.json)) == (422, [("task-move", "Task.businessStatus")])
    assert caller.read(f"Task/{found['id']}") == found


def on(date: str) -> Resource:
    return {"url": APPOINTMENT, "valueDateTime": date}


def test_a_tag_that_is_put_on_a_task_is_refused_and_not_dropped(caller: Caller) -> None:
    found = task(caller)
    tagged = caller.move(found, status="accepted", meta={**found["meta"], "tag": [{"code": "mine"}]})
    assert (tagged.status_code, rules(tagged.json)) == (422, [("task-fixed-element", "Task.meta")])
