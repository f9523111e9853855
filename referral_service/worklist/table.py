"""Where a Task can stand, and what it may become.

Statuses are FHIR's (https://hl7.org/fhir/R4/valueset-task-status.html); the database holds the same set in a CHECK.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date

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
ENDED = FINAL - {"entered-in-error"}
"""The ends that a lead may take back."""
NEEDS_REASON = frozenset({"rejected", "on-hold", "cancelled", "failed"})
BEFORE_WORK = frozenset({"requested", "received", "accepted"})
OPEN = frozenset(MOVES) - FINAL
WISH = "cancellation-requested"
QUESTION = "awaiting-information"
"""Business statuses that stand over how far the work has come, as long as there is a wish to cancel or a question."""


@dataclass(frozen=True, slots=True)
class Position:
    """Where a Task stands: what a move is judged from, and what it leads to.

    ``came_from`` is the status before a hold or before an end, None elsewhere. ``progress`` is the business status that
    stands beneath a question or a wish to cancel. ``is_withdrawn`` tells that the sender has revoked the referral,
    ``client`` whose referral it is, ``is_paused`` that its clock stands still, ``received_on`` the day of receipt.
    """

    status: str
    queue: Queue
    came_from: str | None = None
    client: str = ""
    assignee: str | None = None
    business_status: str | None = None
    progress: str | None = None
    has_appointment: bool = False
    is_paused: bool = False
    is_withdrawn: bool = False
    received_on: date | None = None


def position_on_cancel(current: Position) -> Position | None:
    """What a revoke by the sender makes of a Task; None when the Task is final.

    Before work has begun the Task is cancelled (one on hold counts as what it was held from); later the wish is only
    noted, for a human to act on.
    """
    if current.status in FINAL:
        return None
    counts_as = current.came_from if current.status == "on-hold" and current.came_from else current.status
    if counts_as in BEFORE_WORK:
        return replace(current, status="cancelled", came_from=counts_as)
    return replace(current, business_status=WISH)
