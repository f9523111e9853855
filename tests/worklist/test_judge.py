"""What a move must say: every fault at once, and what may be done instead."""

from __future__ import annotations

from datetime import date

import pytest

from referral_service.issues import FaultKind
from referral_service.referral import Queue
from referral_service.worklist import Actor, Position, Role, judge

TODAY = date(2026, 3, 16)
LEAD = Actor("l", "Lead", frozenset({Role.LEAD}), frozenset(Queue))
FILLER = Actor("f", "Filler", frozenset({Role.FILLER}), frozenset({Queue.ADULT}), "clinic")
CODES = ("G24.3", "G24.8")


def judged(
    code: str, fields: dict[str, str], status: str = "requested", actor: Actor = LEAD
) -> tuple[FaultKind, list[tuple[str, str]]] | None:
    position = Position(status, Queue.ADULT, "accepted" if status == "on-hold" else None, client="north")
    verdict = judge(code, fields, position, actor, CODES, TODAY)
    return (verdict[0], [(issue.rule, issue.expression) for issue in verdict[1]]) if verdict else None


@pytest.mark.parametrize(
    ("code", "fields", "status"),
    [
        ("accept", {}, "requested"),
        ("accept", {"comment": "Gladly."}, "requested"),
        ("reject", {"reason": "duplicate"}, "requested"),
        ("reject", {"reason": "other", "comment": "Moved abroad."}, "requested"),
        ("return-for-information", {"reason": "more-information-needed", "comment": "Which side?"}, "accepted"),
        ("complete", {"report": "Seen, botulinum toxin."}, "in-progress"),
        ("re-route", {"queue": "pediatric-neuromotor", "comment": "A child."}, "accepted"),
        ("re-route", {"queue": "pediatric-neuromotor", "comment": "A child.", "code": "G24.8"}, "requested"),
        ("book-appointment", {"date": "2026-12-01"}, "accepted"),
        ("book-appointment", {"date": "2026-12-01T09:30:00+01:00"}, "accepted"),
        ("correct-code", {"code": "G24.8", "comment": "Seen."}, "requested"),
        ("confirm-birth-date", {"birth-date": "1970", "comment": "By telephone."}, "requested"),
        ("set-business-status", {}, "requested"),
        ("undo", {"comment": "Wrong click."}, "rejected"),
    ],
)
def test_a_move_that_says_all_it_must_can_be_made(code: str, fields: dict[str, str], status: str) -> None:
    assert judged(code, fields, status) is None


@pytest.mark.parametrize(
    ("code", "fields", "status", "faults"),
    [
        ("nonsense", {}, "requested", [("task-action", "")]),
        ("reject", {}, "requested", [("task-status-reason", "Task.statusReason")]),
        ("reject", {"reason": "capacity!"}, "requested", [("task-status-reason", "Task.statusReason")]),
        ("reject", {"reason": "more-information-needed"}, "requested", None),
        ("cancel", {"reason": "other"}, "accepted", [("task-comment", "Task.statusReason.text")]),
        ("accept", {"queue": "intake-review"}, "requested", [("task-field", "Task.owner")]),
        ("accept", {"nonsense": "x"}, "requested", [("task-field", "")]),
        ("accept", {"comment": "  "}, "requested", [("task-field", "Task.note")]),
        ("accept", {"comment": "x" * 10_001}, "requested", [("task-field", "Task.note")]),
        ("assign", {"assignee": "x" * 129}, "requested", [("task-field", "Task.extension")]),
        (
            "re-route",
            {"queue": "adult-movement-disorders", "comment": "x"},
            "requested",
            [("task-owner", "Task.owner")],
        ),
        ("re-route", {}, "requested", [("task-field", "Task.owner"), ("task-comment", "Task.note")]),
        ("book-appointment", {"date": "2026-02-30"}, "accepted", [("task-field", "Task.extension")]),
        ("book-appointment", {"date": "soon"}, "accepted", [("task-field", "Task.extension")]),
        ("book-appointment", {"date": "2026-12-01T09:30"}, "accepted", [("task-field", "Task.extension")]),
        ("correct-code", {"code": "G24", "comment": "x"}, "requested", [("task-code", "Task.reasonCode")]),
        ("confirm-birth-date", {"birth-date": "2027", "comment": "x"}, "requested", [("task-field", "")]),
        ("confirm-birth-date", {"birth-date": "1870-01-01", "comment": "x"}, "requested", [("task-field", "")]),
        (
            "set-business-status",
            {"business-status": "x"},
            "requested",
            [("code-not-in-value-set", "Task.businessStatus")],
        ),
        ("complete", {}, "accepted", [("task-move", "Task.status")]),
        ("re-route", {"queue": "intake-review"}, "rejected", [("task-final", "Task.owner")]),
        ("undo", {}, "completed", [("task-comment", "Task.note")]),
    ],
)
def test_a_move_that_cannot_be_made_is_told_every_fault(
    code: str, fields: dict[str, str], status: str, faults: list[tuple[str, str]] | None
) -> None:
    both = [("task-status-reason", "Task.statusReason"), ("task-comment", "Task.statusReason.text")]
    assert judged(code, fields, status) == (FaultKind.BUSINESS_RULE, faults or both)


@pytest.mark.parametrize("code", ["undo", "entered-in-error"])
def test_what_only_a_lead_may_do_is_forbidden_to_others(code: str) -> None:
    assert judged(code, {}, "rejected", FILLER) == (FaultKind.FORBIDDEN, [("forbidden", "Task")])


@pytest.mark.parametrize("role", [Role.AUDITOR, Role.INTEGRATOR])
def test_those_who_only_look_are_told_that_there_is_nothing_for_them(role: Role) -> None:
    who = Actor("a", "A", frozenset({role}), frozenset(Queue))
    verdict = judge("accept", {}, Position("requested", Queue.ADULT), who, CODES, TODAY)
    assert verdict is not None
    assert verdict[1][0].diagnostics.endswith("there is no move that you may make now.")


def test_who_asks_for_what_cannot_be_is_told_what_can() -> None:
    verdict = judge("complete", {}, Position("accepted", Queue.ADULT), FILLER, CODES, TODAY)
    assert verdict is not None
    assert verdict[1][0].diagnostics == (
        "A Task that is accepted takes no such move (complete); you may now: start, return-for-information, hold, "
        "reject, cancel, re-route, claim, assign, book-appointment, seen, set-business-status, comment, correct-code, "
        "confirm-birth-date, pause-clock."
    )


def test_what_cannot_be_taken_back_needs_words() -> None:
    fault = (FaultKind.BUSINESS_RULE, [("task-comment", "Task.note")])
    assert judged("entered-in-error", {}) == fault
    assert judged("entered-in-error", {"comment": "Another patient's."}) is None


@pytest.mark.parametrize(
    ("value", "is_sound"),
    [
        ("2024-05-10", True),
        ("2024-05-09", False),
        ("2031-03-16T23:59:59+01:00", True),
        ("2031-03-17", False),
        ("0001-01-01T00:00:00+14:00", False),
        ("9999-12-31T23:59:59-14:00", False),
        ("2026-02-30", False),
    ],
)
def test_an_appointment_lies_between_a_year_before_receipt_and_five_years_from_now(value: str, is_sound: bool) -> None:
    position = Position("accepted", Queue.ADULT, client="north", received_on=date(2025, 5, 10))
    verdict = judge("book-appointment", {"date": value}, position, LEAD, CODES, TODAY)
    found = [issue.rule for issue in verdict[1]] if verdict else []
    assert found == ([] if is_sound else ["task-field"])
