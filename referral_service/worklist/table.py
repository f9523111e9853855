"""The moves of a Task as one table.

Statuses are FHIR's (https://hl7.org/fhir/R4/valueset-task-status.html); the database holds the same set in a CHECK.
"""

from __future__ import annotations

from dataclasses import dataclass

from referral_service.issues import Issue, error
from referral_service.referral import Queue

MOVES: dict[str, frozenset[str]] = {
    "requested": frozenset({"received", "accepted", "rejected", "on-hold", "cancelled"}),
    "received": frozenset({"accepted", "rejected", "on-hold", "cancelled"}),
    "accepted": frozenset({"in-progress", "on-hold", "rejected", "cancelled"}),
    "in-progress": frozenset({"on-hold", "completed", "failed"}),
    "on-hold": frozenset({"rejected", "cancelled"}),  # and back to where it came from
    "rejected": frozenset(),
    "cancelled": frozenset(),
    "completed": frozenset(),
    "failed": frozenset(),
    "entered-in-error": frozenset(),
}
"""Current status -> the statuses that a Task may take next. ``entered-in-error`` is the lead's, from anywhere."""

FINAL = frozenset({"rejected", "cancelled", "completed", "failed", "entered-in-error"})
NEEDS_REASON = frozenset({"rejected", "on-hold", "cancelled", "failed"})
BEFORE_WORK = frozenset({"requested", "received", "accepted"})


@dataclass(frozen=True, slots=True)
class Position:
    """Where a Task stands: what a move is judged from, and what it leads to."""

    status: str
    queue: Queue
    held_from: str | None = None
    has_reason: bool = False
    business_status: str | None = None
    assignee: str | None = None


def moves_from(position: Position) -> frozenset[str]:
    """The statuses that a Task may take from here, entered-in-error among them."""
    back = {position.held_from} if position.status == "on-hold" and position.held_from else set()
    return (MOVES[position.status] | back | {"entered-in-error"}) - {position.status}


def faults_of_move(current: Position, wanted: Position) -> list[Issue]:
    """Every reason why a Task may not go from ``current`` to ``wanted``; empty when it may."""
    found = (
        _faults_of_status(current, wanted) if wanted.queue is current.queue else _faults_of_rerouting(current, wanted)
    )
    if wanted.has_reason != (wanted.status in NEEDS_REASON):
        wording = "needs" if wanted.status in NEEDS_REASON else "must not have"
        found.append(
            error(
                "business-rule",
                "task-status-reason",
                f"A Task that is {wanted.status} {wording} a statusReason.",
                "Task.statusReason",
            )
        )
    return found


def _faults_of_status(current: Position, wanted: Position) -> list[Issue]:
    if wanted.status == current.status or wanted.status in moves_from(current):
        return []
    allowed = ", ".join(sorted(moves_from(current)))
    return [
        error(
            "business-rule",
            "task-move",
            f"A Task that is {current.status} cannot become {wanted.status}; it may become: {allowed}.",
            "Task.status",
        )
    ]


def _faults_of_rerouting(current: Position, wanted: Position) -> list[Issue]:
    if current.status in FINAL:
        return [error("business-rule", "task-final", "A final Task stays in its queue.", "Task.owner")]
    if wanted.status != "requested":
        return [error("business-rule", "task-move", "A re-routed Task starts again as requested.", "Task.status")]
    return []


def position_on_cancel(current: Position) -> Position | None:
    """What a revoke by the sender makes of a Task; None when the Task is final.

    Before work has begun the Task is cancelled (one on hold counts as what it was held from); later the wish is only
    noted, for a human to act on.
    """
    if current.status in FINAL:
        return None
    counts_as = current.held_from if current.status == "on-hold" and current.held_from else current.status
    if counts_as in BEFORE_WORK:
        return Position("cancelled", current.queue, has_reason=True, assignee=current.assignee)
    return Position(
        current.status,
        current.queue,
        held_from=current.held_from,
        has_reason=current.has_reason,
        business_status="cancellation-requested",
        assignee=current.assignee,
    )
