"""The moves of a Task, all of them: the table is the rule."""

from __future__ import annotations

import pytest

from referral_service.referral import Queue
from referral_service.worklist import (
    FINAL,
    MOVES,
    NEEDS_REASON,
    Position,
    faults_of_move,
    moves_from,
    position_on_cancel,
)

ALLOWED = {
    ("requested", "received"),
    ("requested", "accepted"),
    ("requested", "rejected"),
    ("requested", "on-hold"),
    ("requested", "cancelled"),
    ("received", "accepted"),
    ("received", "rejected"),
    ("received", "on-hold"),
    ("received", "cancelled"),
    ("accepted", "in-progress"),
    ("accepted", "on-hold"),
    ("accepted", "rejected"),
    ("accepted", "cancelled"),
    ("in-progress", "on-hold"),
    ("in-progress", "completed"),
    ("in-progress", "failed"),
    ("on-hold", "accepted"),  # where it came from, in this test
    ("on-hold", "rejected"),
    ("on-hold", "cancelled"),
    *((status, "entered-in-error") for status in MOVES if status != "entered-in-error"),
}


@pytest.mark.parametrize("before", MOVES)
@pytest.mark.parametrize("after", MOVES)
def test_a_task_moves_only_as_the_table_says(before: str, after: str) -> None:
    current = Position(before, Queue.ADULT, "accepted" if before == "on-hold" else None, before in NEEDS_REASON)
    wanted = Position(after, Queue.ADULT, has_reason=after in NEEDS_REASON)
    rules = [issue.rule for issue in faults_of_move(current, wanted)]
    assert rules == ([] if before == after or (before, after) in ALLOWED else ["task-move"])


@pytest.mark.parametrize("status", MOVES)
@pytest.mark.parametrize("has_reason", [True, False])
def test_a_reason_stands_exactly_where_one_is_needed(status: str, has_reason: bool) -> None:
    position = Position(status, Queue.ADULT, has_reason=has_reason)
    rules = [issue.rule for issue in faults_of_move(position, position)]
    assert rules == ([] if has_reason == (status in NEEDS_REASON) else ["task-status-reason"])


def test_an_end_has_no_way_on_but_into_error() -> None:
    ends = {status for status in MOVES if moves_from(Position(status, Queue.ADULT)) <= {"entered-in-error"}}
    assert ends == FINAL


@pytest.mark.parametrize("status", sorted(set(MOVES) - FINAL))
def test_a_rerouted_task_starts_again(status: str) -> None:
    current = Position(status, Queue.REVIEW, has_reason=status in NEEDS_REASON)
    assert faults_of_move(current, Position("requested", Queue.ADULT)) == []
    again = [issue.rule for issue in faults_of_move(current, Position("accepted", Queue.ADULT))]
    assert again == ["task-move"]


@pytest.mark.parametrize("status", sorted(FINAL))
def test_a_final_task_stays_in_its_queue(status: str) -> None:
    current = Position(status, Queue.REVIEW, has_reason=status in NEEDS_REASON)
    assert [issue.rule for issue in faults_of_move(current, Position("requested", Queue.ADULT))] == ["task-final"]


@pytest.mark.parametrize(
    ("status", "held_from", "expected"),
    [
        ("requested", None, ("cancelled", None)),
        ("received", None, ("cancelled", None)),
        ("accepted", None, ("cancelled", None)),
        ("on-hold", "accepted", ("cancelled", None)),
        ("in-progress", None, ("in-progress", "cancellation-requested")),
        ("on-hold", "in-progress", ("on-hold", "cancellation-requested")),
        *((status, None, None) for status in sorted(FINAL)),
    ],
)
def test_a_revoke_cancels_before_work_and_asks_after(
    status: str, held_from: str | None, expected: tuple[str, str | None] | None
) -> None:
    after = position_on_cancel(Position(status, Queue.ADULT, held_from))
    assert (None if after is None else (after.status, after.business_status)) == expected
