"""The moves of a Task, all of them: the table is the rule."""

from __future__ import annotations

import pytest

from referral_service.referral import Queue
from referral_service.worklist import ACTIONS, FINAL, MOVES, Position, position_on_cancel

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
    ("on-hold", "rejected"),
    ("on-hold", "cancelled"),
}
BESIDES = {
    ("on-hold", "accepted"),  # where it came from, in this test
    *((status, "entered-in-error") for status in MOVES if status != "entered-in-error"),
}


def test_a_task_moves_only_as_the_table_says() -> None:
    assert {(before, after) for before, targets in MOVES.items() for after in targets} == ALLOWED


def test_the_named_moves_lead_nowhere_else_but_back() -> None:
    """Apart from a re-route, which starts again, and an undo, which takes an end back."""
    named = {
        (before, action.target_from(_at(before)))
        for action in ACTIONS
        for before in action.sources
        if action.target is not None and action.code not in ("re-route", "undo")
    }
    assert named == ALLOWED | BESIDES


def test_an_end_has_no_way_on_but_into_error() -> None:
    assert {status for status, targets in MOVES.items() if not targets} == FINAL


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


def _at(status: str) -> Position:
    return Position(status, Queue.ADULT, "accepted" if status == "on-hold" else None)
