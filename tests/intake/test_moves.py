"""Named moves through the library that pages and doors share: who may, what is recorded, what a human decides."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from referral_service.intake import Answer, Incoming, Site, receive_supporting
from referral_service.intake.moves import act, actions_of
from referral_service.issues import FaultKind
from referral_service.referral import Queue
from referral_service.store import tables, worklist
from referral_service.worklist import Actor, Role
from tests.shapes import CHILD_BORN, OWN, Caller, Resource, ledger_of, patient, referral

AT = datetime.now(UTC)
COORDINATOR = Actor("ada", "Ada Example", frozenset({Role.COORDINATOR}), frozenset(Queue))
LEAD = Actor("lea", "Lea Example", frozenset({Role.LEAD}), frozenset(Queue))
CLINIC = Actor("clinic", "Clinic", frozenset({Role.FILLER}), frozenset({Queue.ADULT}), "clinic")
NAMED = [{"family": "Invented"}]


def made(caller: Caller, **more: Any) -> Resource:
    answer = caller.create(referral(**more))
    assert answer.status_code == 201, answer.text
    return caller.task_of(answer.json["id"])


def move(
    site: Site, found: Resource, action: str, actor: Actor = COORDINATOR, at: datetime = AT, **fields: str
) -> Answer:
    given = {name.replace("_", "-"): value for name, value in fields.items()}
    return act(site, actor, found["id"], None, action, given, at, "r-1")


def moved(
    site: Site, found: Resource, action: str, actor: Actor = COORDINATOR, at: datetime = AT, **fields: str
) -> Any:
    answer = move(site, found, action, actor, at, **fields)
    assert answer.fault is None, answer.issues
    return json.loads(answer.content)


def refused(answer: Answer) -> tuple[FaultKind | None, list[str]]:
    return answer.fault, [issue.rule for issue in answer.issues]


def request_of(caller: Caller, found: Resource) -> Resource:
    return caller.read(found["focus"]["reference"])


def queue_tag(caller: Caller, found: Resource) -> list[str]:
    tags = request_of(caller, found)["meta"]["tag"]
    return [tag["code"] for tag in tags if tag["system"] == f"{OWN}/CodeSystem/queue"]


def where(caller: Caller, found: Resource) -> tuple[str, str]:
    task = caller.read(f"Task/{found['id']}")
    return task["owner"]["reference"].removeprefix("HealthcareService/"), task["status"]


# --- who may


def test_without_the_right_it_is_forbidden_and_nothing_changes(site: Site, caller: Caller) -> None:
    found = made(caller)
    auditor = Actor("aud", "Auditor", frozenset({Role.AUDITOR}), frozenset(Queue))
    assert refused(move(site, found, "accept", auditor)) == (FaultKind.NOT_FOUND, ["not-found"])
    assert refused(move(site, found, "entered-in-error", COORDINATOR)) == (FaultKind.FORBIDDEN, ["forbidden"])
    assert caller.read(f"Task/{found['id']}") == found


def test_a_filler_moves_what_stands_in_its_queues_and_sees_nothing_else(site: Site, caller: Caller) -> None:
    ours, other = made(caller), made(caller, number="A-2", contained=[patient(CHILD_BORN, id="p")])
    assert moved(site, ours, "accept", CLINIC)["status"] == "accepted"
    assert refused(move(site, other, "accept", CLINIC)) == (FaultKind.NOT_FOUND, ["not-found"])
    assert actions_of(site, CLINIC, other["id"]) is None
    moved(site, ours, "re-route", CLINIC, queue="pediatric-neuromotor", comment="A child.")
    assert actions_of(site, CLINIC, ours["id"]) is None


def test_a_placer_cancels_its_own_and_no_other(site: Site, caller: Caller) -> None:
    found = made(caller)
    stranger, sender = (Actor(name, name, frozenset({Role.PLACER}), frozenset(), name) for name in ("south", "local"))
    assert refused(move(site, found, "cancel", stranger, reason="duplicate")) == (FaultKind.NOT_FOUND, ["not-found"])
    assert refused(move(site, found, "accept", sender)) == (FaultKind.FORBIDDEN, ["forbidden"])
    assert moved(site, found, "cancel", sender, reason="withdrawn-by-sender")["status"] == "cancelled"


def test_a_stale_version_names_who_was_quicker(site: Site, caller: Caller) -> None:
    found = made(caller)
    moved(site, found, "claim")
    late = act(site, LEAD, found["id"], 1, "accept", {}, AT, "r-2")
    assert refused(late) == (FaultKind.PRECONDITION, ["stale-version"])
    assert "Ada Example made it requested (claim)" in late.issues[0].diagnostics


# --- what is recorded


def test_each_change_tells_who_what_from_where_to_where_and_why(site: Site, caller: Caller) -> None:
    found = made(caller)
    moved(site, found, "claim")
    moved(site, found, "return-for-information", reason="more-information-needed", comment="Which side?")
    moved(site, found, "re-route", LEAD, queue="pediatric-neuromotor", comment="A child after all.")
    with site.store.reading() as connection:
        rows = worklist.timeline(connection, found["id"])
    told = ("actor", "actor_name", "action", "from_status", "status", "from_queue", "queue", "reason", "comment")
    adult, child = "adult-movement-disorders", "pediatric-neuromotor"
    ada, lea = ("ada", "Ada Example"), ("lea", "Lea Example")
    asked = ("more-information-needed", "Which side?")
    assert [tuple(row[name] for name in told) for row in rows] == [
        ("referral-service", "Referral service", "create", None, "requested", None, adult, None, None),
        (*ada, "claim", "requested", "requested", adult, adult, None, None),
        (*ada, "return-for-information", "requested", "on-hold", adult, adult, *asked),
        (*lea, "re-route", "on-hold", "requested", adult, child, None, "A child after all."),
    ]
    assert [(row["version"], row["value"]) for row in rows] == [(1, None), (2, None), (3, None), (4, child)]


def test_an_answer_of_the_sender_is_told_as_what_it_is(site: Site, caller: Caller) -> None:
    found = made(caller)
    moved(site, found, "return-for-information", reason="more-information-needed", comment="Which side?")
    sent = referral(id=found["focus"]["reference"][15:], note=[{"text": "The left."}])
    assert caller.put(found["focus"]["reference"], sent, If_Match='W/"1"').status_code == 200
    with site.store.reading() as connection:
        last = worklist.timeline(connection, found["id"])[-1]
    assert [last[name] for name in ("actor", "action", "from_status", "status")] == [
        *("local", "resume", "on-hold", "requested"),
    ]


def test_empty_fields_of_a_form_count_as_not_given(site: Site, caller: Caller) -> None:
    found = made(caller)
    after = moved(site, found, "accept", comment=" ", date="", queue="")
    assert (after["status"], "note" in after) == ("accepted", False)
    assert refused(move(site, found, "re-route", queue="intake-review", comment=" ")) == (
        FaultKind.BUSINESS_RULE,
        ["task-comment"],
    )


def test_a_task_is_claimed_given_back_and_assigned(site: Site, caller: Caller) -> None:
    found = made(caller)
    claimed = moved(site, found, "claim")
    reference = {"identifier": {"value": "ada"}, "display": "Ada Example"}
    assert claimed["extension"] == [{"url": f"{OWN}/StructureDefinition/assignee", "valueReference": reference}]
    assert refused(move(site, found, "claim", LEAD)) == (FaultKind.BUSINESS_RULE, ["task-move"])
    assert "extension" not in moved(site, found, "unassign")
    moved(site, found, "assign", LEAD, assignee="Ada Example")
    assert caller.read("Task?assignee=Ada")["total"] == 1
    rerouted = moved(site, found, "re-route", queue="intake-review", comment="Unclear.")
    assert "extension" not in rerouted


# --- clocks


def test_a_paused_clock_moves_the_due_date_by_the_business_days_that_it_stood_still(site: Site, caller: Caller) -> None:
    found = made(caller)
    due = found["restriction"]["period"]["end"]
    paused = moved(site, found, "pause-clock", comment="Abroad until Easter.")
    assert (paused["restriction"]["period"]["end"], paused["note"][0]["text"]) == (due, "Abroad until Easter.")
    assert refused(move(site, found, "pause-clock", comment="Again.")) == (FaultKind.BUSINESS_RULE, ["task-move"])
    again = moved(site, found, "resume-clock", at=AT + timedelta(days=7))
    assert again["restriction"]["period"]["end"] > due
    period = next(one["valuePeriod"] for one in again["extension"])
    assert sorted(period) == ["end", "start"]
    moved(site, found, "accept", at=AT + timedelta(days=7))
    sent = referral(id=found["focus"]["reference"][15:], note=[{"text": "More."}])
    assert caller.put(found["focus"]["reference"], sent, If_Match='W/"1"').status_code == 200
    after = caller.read(f"Task/{found['id']}")
    assert (after["restriction"], after["extension"]) == (again["restriction"], again["extension"])


def test_an_end_ends_a_pause_and_taking_it_back_brings_it_back(site: Site, caller: Caller) -> None:
    found = made(caller)
    moved(site, found, "pause-clock", comment="Abroad.")
    ended = moved(site, found, "reject", reason="duplicate")
    assert "end" in ended["extension"][0]["valuePeriod"]
    back = moved(site, found, "undo", LEAD, comment="Wrong click.")
    assert ("end" in back["extension"][0]["valuePeriod"], "resume-clock" in _offered(site, found)) == (False, True)


def _offered(site: Site, found: Resource) -> set[str]:
    standing = actions_of(site, LEAD, found["id"])
    assert standing is not None
    return {action.code for action in standing[1]}


# --- appointments and reports


def test_when_she_is_seen_and_what_came_of_it_has_an_answer(site: Site, caller: Caller) -> None:
    found = made(caller)
    moved(site, found, "accept")
    booked = moved(site, found, "book-appointment", date="2026-12-01T09:30:00Z")
    assert [one["valueDateTime"] for one in booked["extension"]] == ["2026-12-01T09:30:00Z"]
    assert [one["code"] for one in booked["businessStatus"]["coding"]] == ["appointment-booked"]
    moved(site, found, "start")
    moved(site, found, "seen")
    done = moved(site, found, "complete", report="Cervical dystonia; botulinum toxin given.")
    assert [one["valueString"] for one in done["output"]] == ["Cervical dystonia; botulinum toxin given."]
    later = moved(site, found, "report", report="Better after four weeks.")
    assert [one["type"]["text"] for one in later["output"]] == ["Closing report", "Closing report"]


def progress(task: Resource) -> tuple[list[str], list[str]]:
    """Business status and appointment, as far as there are any."""
    shown = [one["code"] for one in task.get("businessStatus", {}).get("coding", [])]
    return shown, [one["valueDateTime"] for one in task.get("extension", []) if "valueDateTime" in one]


DAY = "2026-12-01"
ASKED = {"reason": "more-information-needed", "comment": "Which side?"}


def put(caller: Caller, found: Resource, **more: Any) -> None:
    now = request_of(caller, found)["meta"]["versionId"]
    sent = referral(id=found["focus"]["reference"][15:], **more)
    assert caller.put(found["focus"]["reference"], sent, If_Match=f'W/"{now}"').status_code == 200


def test_a_wish_to_cancel_stands_until_its_sender_takes_it_back(site: Site, caller: Caller) -> None:
    found = made(caller)
    for code in ("accept", "start"):
        moved(site, found, code)
    moved(site, found, "book-appointment", date=DAY)
    put(caller, found, status="revoked")
    wish = ["cancellation-requested"]
    assert progress(moved(site, found, "move-appointment", date="2026-12-08")) == (wish, ["2026-12-08"])
    assert progress(moved(site, found, "return-for-information", **ASKED))[0] == wish
    assert progress(moved(site, found, "resume"))[0] == wish
    assert progress(moved(site, found, "seen"))[0] == wish
    refusal = (FaultKind.BUSINESS_RULE, ["task-move"])
    assert refused(move(site, found, "set-business-status")) == refusal
    assert progress(moved(site, found, "re-route", queue="pediatric-neuromotor", comment="A child.")) == (wish, [])
    put(caller, found, note=[{"text": "Please go on."}])
    assert progress(caller.read(f"Task/{found['id']}")) == ([], [])


def test_a_wish_taken_back_leaves_what_stood_before(site: Site, caller: Caller) -> None:
    found = made(caller)
    for code in ("accept", "start"):
        moved(site, found, code)
    booked = progress(moved(site, found, "book-appointment", date=DAY))
    put(caller, found, status="revoked")
    put(caller, found, note=[{"text": "Please go on."}])
    assert progress(caller.read(f"Task/{found['id']}")) == booked == (["appointment-booked"], [DAY])


def test_after_a_hold_the_business_status_is_what_it_was_before(site: Site, caller: Caller) -> None:
    found = made(caller)
    moved(site, found, "accept")
    moved(site, found, "book-appointment", date=DAY)
    assert progress(moved(site, found, "return-for-information", **ASKED)) == (["awaiting-information"], [DAY])
    put(caller, found, note=[{"text": "The left."}])
    assert progress(caller.read(f"Task/{found['id']}")) == (["appointment-booked"], [DAY])
    moved(site, found, "return-for-information", **ASKED)
    assert progress(moved(site, found, "reject", reason="duplicate")) == (["appointment-booked"], [DAY])
    assert progress(moved(site, found, "undo", LEAD, comment="No.")) == (["awaiting-information"], [DAY])
    assert progress(moved(site, found, "resume")) == (["appointment-booked"], [DAY])


def test_a_question_is_not_open_any_more_in_another_queue(site: Site, caller: Caller) -> None:
    found = made(caller, reason="Torticollis")
    moved(site, found, "return-for-information", **ASKED)
    after = moved(site, found, "correct-code", code="G24.3", comment="By telephone.")
    assert (where(caller, found), progress(after)) == (("adult-movement-disorders", "requested"), ([], []))


@pytest.mark.parametrize(
    ("code", "fields"),
    [
        ("re-route", {"queue": "pediatric-neuromotor", "comment": "A child."}),
        ("confirm-birth-date", {"birth_date": CHILD_BORN, "comment": "By telephone."}),
    ],
)
def test_another_queue_does_not_keep_the_appointment(
    site: Site, caller: Caller, code: str, fields: dict[str, str]
) -> None:
    found = made(caller)
    moved(site, found, "accept")
    moved(site, found, "book-appointment", date=DAY)
    after = moved(site, found, code, **fields)
    assert (progress(after), after["status"]) == (([], []), "requested")
    with site.store.reading() as connection:
        last = worklist.timeline(connection, found["id"])[-1]
    assert (last["action"], last["value"], last["queue"]) == ("appointment-dropped", DAY, "pediatric-neuromotor")


@pytest.mark.parametrize(
    "status",
    [
        *("appointment-booked", "appointment-moved", "did-not-attend", "seen"),
        *("cancellation-requested", "awaiting-information"),
    ],
)
def test_a_status_that_a_named_move_means_is_not_set_by_hand(site: Site, caller: Caller, status: str) -> None:
    found = made(caller)
    answer = move(site, found, "set-business-status", business_status=status)
    assert refused(answer) == (FaultKind.BUSINESS_RULE, ["code-not-in-value-set"])


def test_taking_back_an_end_keeps_the_report(site: Site, caller: Caller) -> None:
    found = made(caller)
    for code in ("accept", "start"):
        moved(site, found, code)
    moved(site, found, "complete", report="Seen.")
    told = moved(site, found, "report", report="Better.", comment="By letter.")
    back = moved(site, found, "undo", LEAD, comment="She comes again.")
    assert (back["status"], back["output"]) == ("in-progress", told["output"])
    assert [one["text"] for one in back["note"]] == ["By letter.", "She comes again."]


# --- birth dates confirmed by telephone


def born_unknown(caller: Caller, **more: Any) -> Resource:
    found = made(caller, contained=[patient(None, id="p", name=NAMED)], **more)
    assert where(caller, found) == ("intake-review", "requested")
    return found


def test_a_birth_date_made_sure_of_decides_the_age_again(site: Site, caller: Caller) -> None:
    found = born_unknown(caller)
    after = moved(site, found, "confirm-birth-date", birth_date=CHILD_BORN, comment="The mother, by telephone.")
    assert where(caller, found) == ("pediatric-neuromotor", "requested")
    assert queue_tag(caller, found) == ["pediatric-neuromotor"]
    assert (after["meta"].get("tag"), caller.sums()) == (None, ledger_of(routed=1))
    assert "birthDate" not in caller.read(after["for"]["reference"])
    (who,) = (one for one in caller.stored("Provenance") if "reason" in one)
    assert (who["reason"], [one["reference"] for one in who["target"]]) == (
        [{"text": "The mother, by telephone."}],
        [found["focus"]["reference"], f"Task/{found['id']}"],
    )


def test_a_birth_date_made_sure_of_outlives_what_the_sender_sends(site: Site, caller: Caller) -> None:
    found = born_unknown(caller)
    moved(site, found, "confirm-birth-date", birth_date=CHILD_BORN, comment="The mother, by telephone.")
    other = [patient("1950-01-01", id="p", name=NAMED)]
    sent = referral(id=found["focus"]["reference"][15:], contained=other, priority="urgent")
    assert caller.put(found["focus"]["reference"], sent, If_Match='W/"2"').status_code == 200
    assert where(caller, found) == ("pediatric-neuromotor", "requested")
    assert queue_tag(caller, found) == ["pediatric-neuromotor"]


def test_a_birth_date_made_sure_of_does_not_move_what_a_human_has_placed(site: Site, caller: Caller) -> None:
    found = born_unknown(caller)
    moved(site, found, "re-route", queue="adult-movement-disorders", comment="She is grown up.")
    moved(site, found, "confirm-birth-date", birth_date=CHILD_BORN, comment="By telephone.")
    assert where(caller, found)[0] == "adult-movement-disorders"
    assert queue_tag(caller, found) == ["adult-movement-disorders"]


def test_a_birth_date_on_the_other_side_takes_an_accepted_referral_there(site: Site, caller: Caller) -> None:
    found = made(caller)
    moved(site, found, "accept")
    moved(site, found, "claim")
    after = moved(site, found, "confirm-birth-date", birth_date=CHILD_BORN, comment="By telephone.")
    assert (where(caller, found), "extension" in after) == (("pediatric-neuromotor", "requested"), False)


def test_a_patient_who_arrives_later_does_not_overrule_a_birth_date(site: Site, caller: Caller) -> None:
    found = made(caller, subject={"reference": "Patient/77"})
    moved(site, found, "confirm-birth-date", birth_date=CHILD_BORN, comment="By telephone.")
    assert where(caller, found) == ("pediatric-neuromotor", "requested")
    caller.put("Patient/77", patient("1950-01-01", id="77"))
    assert where(caller, found) == ("pediatric-neuromotor", "requested")
    assert caller.read(f"Task/{found['id']}")["for"]["reference"].startswith("Patient/")


def test_a_referral_that_waits_goes_on_waiting_after_a_correction(site: Site, caller: Caller) -> None:
    found = made(caller, subject={"reference": "Patient/77"})
    moved(site, found, "correct-code", code="G24.8", comment="Seen before.")
    caller.put("Patient/77", patient(id="77"))
    assert where(caller, found) == ("adult-movement-disorders", "requested")
    assert "G24.8" in [tag["code"] for tag in request_of(caller, found)["meta"]["tag"]]


# --- the machine's decision beside the human's


def test_what_the_machine_decided_is_kept_beside(site: Site, caller: Caller) -> None:
    found = made(caller)
    before = caller.read(f"{found['focus']['reference']}/$decision")
    moved(site, found, "correct-code", code="G24.8", comment="Seen.")
    moved(site, found, "re-route", queue="intake-review", comment="To be looked at.")
    with site.store.reading() as connection:
        row = connection.execute(select(tables.service_request)).mappings().one()
        corrections = connection.execute(select(tables.correction).order_by(tables.correction.c.version)).mappings()
        kept = [(one["kind"], one["before"], one["value"], one["actor"], one["reason"]) for one in corrections]
    assert json.loads(row["machine_decision"]) == before
    assert kept == [
        ("code", "G24.3", "G24.8", "ada", "Seen."),
        ("queue", "adult-movement-disorders", "intake-review", "ada", "To be looked at."),
    ]
    versions = caller.read(f"{found['focus']['reference']}/_history")
    assert versions["total"] == 3


def test_a_machine_decision_made_later_is_kept_beside_too(site: Site, caller: Caller) -> None:
    found = made(caller)
    moved(site, found, "correct-code", code="G24.8", comment="Seen.")
    sent = referral(id=found["focus"]["reference"][15:], reason="Blepharospasm")
    assert caller.put(found["focus"]["reference"], sent, If_Match='W/"2"').status_code == 200
    with site.store.reading() as connection:
        row = connection.execute(select(tables.service_request)).mappings().one()
    assert [_code(row["decision"]), _code(row["machine_decision"])] == ["G24.8", "G24.5"]


def _code(decision: str) -> str:
    concept = next(one["valueCodeableConcept"] for one in json.loads(decision)["parameter"] if one["name"] == "code")
    return str(concept["coding"][0]["code"])


@pytest.mark.parametrize("statuses", [[], ["accept"], ["accept", "start"]])
def test_owner_and_queue_tag_agree_after_an_update_in_any_status(
    site: Site, caller: Caller, statuses: list[str]
) -> None:
    found = made(caller)
    for code in statuses:
        moved(site, found, code)
    sent = referral(id=found["focus"]["reference"][15:], reason="Torticollis")
    assert caller.put(found["focus"]["reference"], sent, If_Match='W/"1"').status_code == 200
    assert queue_tag(caller, found) == [where(caller, found)[0]]
    told = caller.read(f"{found['focus']['reference']}/$decision")["parameter"]
    assert [one["valueCode"] for one in told if one["name"] == "queue"] == queue_tag(caller, found)


# --- clocks


def test_a_change_by_a_clock_that_is_behind_is_dated_like_what_it_changes(site: Site, caller: Caller) -> None:
    found = made(caller)
    behind = datetime.now(UTC) - timedelta(hours=1)
    accepted = moved(site, found, "accept", at=behind)
    assert (accepted["meta"]["lastUpdated"], accepted["lastModified"]) == (found["lastModified"],) * 2
    assert caller.patch(accepted, {"op": "replace", "path": "/status", "value": "in-progress"}).status_code == 200


def test_a_re_route_by_a_clock_that_is_behind_dates_the_referral_like_the_one_before(
    site: Site, caller: Caller
) -> None:
    found = made(caller)
    before = request_of(caller, found)["meta"]["lastUpdated"]
    behind = datetime.now(UTC) - timedelta(hours=1)
    moved(site, found, "re-route", at=behind, queue="pediatric-neuromotor", comment="Known there.")
    assert request_of(caller, found)["meta"]["lastUpdated"] == before


def test_a_record_put_by_a_clock_that_is_behind_is_dated_like_the_one_before(site: Site, caller: Caller) -> None:
    caller.put("Patient/p", patient(id="p"))
    before = caller.read("Patient/p")["meta"]["lastUpdated"]
    body = json.dumps(patient("1971-01-01", id="p")).encode()
    behind = datetime.now(UTC) - timedelta(hours=1)
    receive_supporting(site, Incoming("local", "supporting", "r-1", body, behind, put_to="Patient/p"), "Patient")
    meta = caller.read("Patient/p")["meta"]
    assert (meta["versionId"], meta["lastUpdated"]) == ("2", before)
