"""The named moves of a Task as one table: from where, to where, by whom, and what each takes.

Every door (a page, ``PUT`` and ``PATCH`` of a Task, ``$actions``, ``$undo``) is judged by this table and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from referral_service.worklist.actors import Actor, Role
from referral_service.worklist.reasons import MORE_INFORMATION, reasons_for
from referral_service.worklist.table import BEFORE_WORK, ENDED, MOVES, OPEN, Position


class Takes(StrEnum):
    """What a move can be given; each value is text.

    ``reason`` is a code of ``CodeSystem/status-reason``, ``comment`` words for those who read the timeline, ``queue``
    and ``business-status`` codes of our CodeSystems, ``assignee`` a name, ``date`` a FHIR dateTime, ``birth-date`` a
    FHIR date, ``code`` a billable ICD-10-CM code of dystonia, ``report`` the closing report.
    """

    REASON = "reason"
    COMMENT = "comment"
    QUEUE = "queue"
    ASSIGNEE = "assignee"
    DATE = "date"
    BIRTH_DATE = "birth-date"
    CODE = "code"
    BUSINESS_STATUS = "business-status"
    REPORT = "report"


OWNERS = frozenset({Role.FILLER, Role.COORDINATOR, Role.LEAD})
LEADS = frozenset({Role.LEAD})
BACK = "back"
"""A target that depends on the Task: the status before the hold, or before the end."""


def _always(_: Position) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Action:
    """One named move. ``target`` is None when the status stays, :data:`BACK` when it returns to where it came from."""

    code: str
    label: str
    sources: frozenset[str]
    target: str | None = None
    required: tuple[Takes, ...] = ()
    optional: tuple[Takes, ...] = (Takes.COMMENT,)
    roles: frozenset[Role] = OWNERS
    reasons: tuple[str, ...] = ()
    fits: Callable[[Position], bool] = _always
    asks: str = ""
    """What ``fits`` asks of the Task, in words that end "only when …"."""

    def target_from(self, position: Position) -> str:
        """The status that the move leads to from here."""
        if self.target == BACK:
            return position.came_from or "requested"
        return self.target or position.status

    @property
    def takes(self) -> tuple[Takes, ...]:
        return (*self.required, *self.optional)


def _from(*statuses: str) -> frozenset[str]:
    return frozenset(statuses)


def _before(target: str) -> frozenset[str]:
    return frozenset(status for status, targets in MOVES.items() if target in targets)


_WITH_REASON = (Takes.REASON,)
_WITH_COMMENT = (Takes.COMMENT,)
_AT_WORK = _from("accepted", "in-progress")

ACTIONS: tuple[Action, ...] = (
    Action("receive", "Mark as received", _before("received"), "received"),
    Action("accept", "Accept", _before("accepted"), "accepted"),
    Action("start", "Start", _before("in-progress"), "in-progress"),
    Action(
        "return-for-information",
        "Return for information",
        _before("on-hold"),
        "on-hold",
        required=(Takes.REASON, Takes.COMMENT),
        optional=(),
        reasons=(MORE_INFORMATION,),
    ),
    Action(
        "hold",
        "Put on hold",
        _before("on-hold"),
        "on-hold",
        required=_WITH_REASON,
        reasons=tuple(code for code in reasons_for("on-hold") if code != MORE_INFORMATION),
    ),
    Action("resume", "Resume", _from("on-hold"), BACK),
    Action("reject", "Reject", _before("rejected"), "rejected", _WITH_REASON, reasons=reasons_for("rejected")),
    Action(
        "cancel",
        "Cancel",
        _before("cancelled"),
        "cancelled",
        _WITH_REASON,
        roles=OWNERS | {Role.PLACER},
        reasons=reasons_for("cancelled"),
    ),
    Action("complete", "Complete", _before("completed"), "completed", optional=(Takes.REPORT, Takes.COMMENT)),
    Action(
        "report",
        "Add a report",
        _from("in-progress", "completed"),
        required=(Takes.REPORT,),
    ),
    Action("fail", "End without result", _before("failed"), "failed", _WITH_REASON, reasons=reasons_for("failed")),
    Action(
        "re-route",
        "Move to another queue",
        OPEN,
        "requested",
        required=(Takes.QUEUE, Takes.COMMENT),
        optional=(Takes.CODE,),
    ),
    Action("claim", "Take in hand", OPEN, fits=lambda at: at.assignee is None, asks="nobody has it in hand"),
    Action("assign", "Assign", OPEN, required=(Takes.ASSIGNEE,)),
    Action("unassign", "Give back", OPEN, fits=lambda at: at.assignee is not None, asks="somebody has it in hand"),
    Action(
        "book-appointment",
        "Book appointment",
        _AT_WORK,
        required=(Takes.DATE,),
        fits=lambda at: not at.has_appointment,
        asks="there is no appointment yet",
    ),
    Action(
        "move-appointment",
        "Move appointment",
        _AT_WORK,
        required=(Takes.DATE,),
        fits=lambda at: at.has_appointment,
        asks="there is an appointment",
    ),
    Action(
        "did-not-attend",
        "Did not attend",
        _AT_WORK,
        optional=(Takes.DATE, Takes.COMMENT),
        fits=lambda at: at.has_appointment,
        asks="there is an appointment",
    ),
    Action("seen", "Patient was seen", _AT_WORK, optional=(Takes.DATE, Takes.COMMENT)),
    Action(
        "set-business-status",
        "Change the business status",
        OPEN,
        optional=(Takes.BUSINESS_STATUS, Takes.COMMENT),
        fits=lambda at: not at.is_withdrawn,
        asks="the sender has not withdrawn the referral",
    ),
    Action("comment", "Comment", frozenset(MOVES) - {"entered-in-error"}, required=_WITH_COMMENT, optional=()),
    Action(
        "correct-code",
        "Correct the code",
        OPEN,
        required=(Takes.CODE, Takes.COMMENT),
        optional=(),
        fits=lambda at: not at.is_withdrawn,
        asks="the sender has not withdrawn the referral",
    ),
    Action(
        "confirm-birth-date",
        "Confirm the birth date",
        OPEN,
        required=(Takes.BIRTH_DATE, Takes.COMMENT),
        optional=(),
        fits=lambda at: not at.is_withdrawn,
        asks="the sender has not withdrawn the referral",
    ),
    Action(
        "pause-clock",
        "Pause the clock",
        OPEN,
        required=_WITH_COMMENT,
        optional=(),
        fits=lambda at: not at.is_paused,
        asks="the clock runs",
    ),
    Action("resume-clock", "Let the clock run", OPEN, fits=lambda at: at.is_paused, asks="the clock is paused"),
    Action(
        "entered-in-error",
        "Mark as entered in error",
        frozenset(MOVES) - {"entered-in-error"},
        "entered-in-error",
        required=_WITH_COMMENT,
        optional=(),
        roles=LEADS,
    ),
    Action(
        "undo",
        "Take back the end",
        ENDED,
        BACK,
        required=_WITH_COMMENT,
        optional=(),
        roles=LEADS,
        fits=lambda at: not at.is_withdrawn,
        asks="the sender has not withdrawn the referral",
    ),
)
"""In the order in which they are offered."""

BY_CODE = {action.code: action for action in ACTIONS}


def may(action: Action, position: Position, actor: Actor) -> bool:
    """Whether the actor's roles give the right to this move: owners in their queues, a placer on its own.

    A placer has no right to end what was put on hold after work had begun.
    """
    if action.roles & actor.roles - {Role.PLACER} and position.queue in actor.queues:
        return True
    is_own = Role.PLACER in action.roles & actor.roles and position.client == actor.client
    return is_own and (position.status != "on-hold" or position.came_from in BEFORE_WORK)


def open_actions(position: Position) -> tuple[Action, ...]:
    """The moves that a Task can make from here, whoever makes them."""
    return tuple(action for action in ACTIONS if position.status in action.sources and action.fits(position))


def allowed(position: Position, actor: Actor) -> tuple[Action, ...]:
    """The moves that this actor may make now, in the order in which they are offered."""
    return tuple(action for action in open_actions(position) if may(action, position, actor))
