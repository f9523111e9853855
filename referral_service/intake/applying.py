"""What a move makes of a Task: the one place where its content changes by a human's or a sender's hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

from referral_service.fhir import parse, writer
from referral_service.fhir.bundle import Resource
from referral_service.fhir.parse import dump
from referral_service.fhir.writer import Stamp
from referral_service.fhir.writer import moves as written
from referral_service.intake.draft import Draft, Replacement
from referral_service.intake.rows import add_change
from referral_service.policy import Policy
from referral_service.referral import Queue
from referral_service.store import tables
from referral_service.worklist import FINAL, NEEDS_REASON, QUESTION, WISH, Actor, Position, Takes
from referral_service.worklist.actions import BY_CODE, Action
from referral_service.worklist.clock import Pause, business_days_after, paused_days

Row = Mapping[str, Any]
Fields = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class BeforeEnd:
    """How a Task stood before it ended; ``held_from`` when it was on hold."""

    content: Resource
    held_from: str | None


@dataclass(frozen=True, slots=True)
class Step:
    """One move made, with where the Task stood before it and after."""

    code: str
    fields: Fields
    before: Position
    after: Position


@dataclass(slots=True)
class Moving:
    """A Task on its way to its next version.

    ``row`` is what stands in the database, ``content`` and ``position`` what becomes of it; ``steps`` the moves made,
    ``columns`` what else changes. ``before_end`` is how it stood before it ended, for who takes the end back;
    ``dropped`` the date of an appointment that another queue does not keep.
    """

    row: Row
    content: Resource
    position: Position
    before_end: BeforeEnd | None = None
    steps: list[Step] = field(default_factory=list)
    columns: dict[str, Any] = field(default_factory=dict)
    dropped: str | None = None


def read_resource(text: str) -> Resource:
    """A resource as stored; numbers keep their digits."""
    value: Any = parse.parse(text.encode()).value
    return dict(value)


def position_of(row: Row, referral_status: str = "active", came_from: str | None = None) -> Position:
    """Where a Task stands, from its row and the status of its referral; ``came_from`` when it has ended."""
    return Position(
        row["status"],
        Queue(row["queue"]),
        came_from=row["held_from"] or came_from,
        client=row["client"],
        assignee=row["assignee"],
        business_status=row["business_status"],
        progress=row["progress"],
        has_appointment=row["appointment"] is not None,
        is_paused=row["paused_since"] is not None,
        is_withdrawn=referral_status in ("revoked", "entered-in-error"),
        received_on=date.fromisoformat(row["authored_on"][:10]),
    )


def apply(task: Moving, code: str, fields: Fields, actor: Actor, at: str, today: date, policy: Policy) -> None:
    """Makes one move; it has been judged before. ``at`` is a FHIR instant, ``today`` the day in the site's zone."""
    action, before = BY_CODE[code], task.position
    if code == "undo":
        _take_back(task)
    else:
        _status(task, action, fields)
    if code in _EFFECTS:
        _EFFECTS[code](task, fields, actor)
    _clock(task, code, today, policy)
    comment = fields.get(Takes.COMMENT)
    if comment and Takes.REASON not in fields:  # with a reason it stands in the statusReason
        notes = task.content.get("note", [])
        task.content["note"] = [*notes, written.note(actor.name, at, comment)]
    task.position = replace(
        task.position,
        assignee=written.assignee_of(task.content),
        business_status=_shown(task.content),
        has_appointment=written.appointment_of(task.content) is not None,
    )
    task.steps.append(Step(code, fields, before, task.position))


def _status(task: Moving, action: Action, fields: Fields) -> None:
    before, target = task.position, action.target_from(task.position)
    if action.target is None:
        return
    came_from = before.status if target == "on-hold" or target in FINAL else None
    task.position = replace(before, status=target, came_from=came_from)
    task.content["status"] = target
    task.content.pop("statusReason", None)
    if target in NEEDS_REASON:
        reason = fields[Takes.REASON]
        task.content["statusReason"] = written.own_concept("status-reason", reason, fields.get(Takes.COMMENT))
    if before.status == "on-hold" and _over(task) == QUESTION:
        _progress(task, None, before.progress, written.appointment_of(task.content))


_SAID = ("meta", "note", "output")
"""What taking back an end leaves as it is: what was said with it and since."""


def _take_back(task: Moving) -> None:
    """All as it was before the end, but what was said."""
    assert task.before_end is not None
    before = {name: value for name, value in task.before_end.content.items() if name not in _SAID}
    task.content = {**before, **{name: task.content[name] for name in _SAID if name in task.content}}
    task.position = replace(task.position, status=before["status"], came_from=task.before_end.held_from)


def _route(task: Moving, fields: Fields, _: Actor) -> None:
    enter(task, Queue(fields[Takes.QUEUE]))


def enter(task: Moving, queue: Queue) -> None:
    """A Task that comes to another queue starts again there, with nobody's name on it; its clock runs on.

    A question and an appointment of the queue before are gone, a wish to cancel stays.
    """
    if queue is task.position.queue:
        return
    written.with_extension(task.content, written.ASSIGNEE, None)
    task.content.pop("statusReason", None)
    task.content |= {"owner": writer.owner(queue), "status": "requested"}
    task.position = replace(task.position, status="requested", queue=queue, came_from=None, assignee=None)
    task.dropped = task.dropped or written.appointment_of(task.content)
    _progress(task, WISH if _over(task) == WISH else None, None, None)


def _shown(content: Resource) -> str | None:
    return written.own_code(content.get("businessStatus"), "business-status")


def _over(task: Moving) -> str | None:
    """The wish to cancel or the question that stands over how far the work has come."""
    shown = _shown(task.content)
    return shown if shown in (WISH, QUESTION) else None


def _progress(task: Moving, over: str | None, progress: str | None, appointment: str | None) -> None:
    """The one place that sets business status and appointment: in the content, and where the Task is found by them.

    ``over`` is a wish to cancel or a question; what it stands over comes to light again once it is gone.
    """
    code = over or progress
    if code != _shown(task.content):
        task.content.pop("businessStatus", None)
    if code and "businessStatus" not in task.content:
        task.content["businessStatus"] = written.own_concept("business-status", code)
    if appointment != written.appointment_of(task.content):
        value = {"valueDateTime": appointment} if appointment else None
        written.with_extension(task.content, written.APPOINTMENT, value)
    task.position = replace(
        task.position, business_status=code, progress=progress, has_appointment=appointment is not None
    )


def _claim(task: Moving, _: Fields, actor: Actor) -> None:
    written.with_extension(task.content, written.ASSIGNEE, written.assignee(actor.name, actor.id))


def _assign(task: Moving, fields: Fields, _: Actor) -> None:
    written.with_extension(task.content, written.ASSIGNEE, written.assignee(fields[Takes.ASSIGNEE]))


def _unassign(task: Moving, _: Fields, __: Actor) -> None:
    written.with_extension(task.content, written.ASSIGNEE, None)


def _report(task: Moving, fields: Fields, _: Actor) -> None:
    if fields.get(Takes.REPORT):
        task.content["output"] = [*task.content.get("output", []), written.report(fields[Takes.REPORT])]


def _business_status(task: Moving, fields: Fields, _: Actor) -> None:
    """Who awaits an appointment again has none. A wish to cancel is the sender's: to have, and to take back."""
    code, at = fields.get(Takes.BUSINESS_STATUS), task.position
    if code == WISH or at.is_withdrawn:
        _progress(task, code, at.progress, written.appointment_of(task.content))
    else:
        _progress(task, None, code, None)


def _ask(task: Moving, _: Fields, __: Actor) -> None:
    _progress(task, _over(task) or QUESTION, task.position.progress, written.appointment_of(task.content))


def _means(code: str) -> Callable[[Moving, Fields, Actor], None]:
    def effect(task: Moving, fields: Fields, _: Actor) -> None:
        _progress(task, _over(task), code, fields.get(Takes.DATE) or written.appointment_of(task.content))

    return effect


_EFFECTS: dict[str, Callable[[Moving, Fields, Actor], None]] = {
    "re-route": _route,
    "claim": _claim,
    "assign": _assign,
    "unassign": _unassign,
    "complete": _report,
    "report": _report,
    "set-business-status": _business_status,
    "return-for-information": _ask,
    "book-appointment": _means("appointment-booked"),
    "move-appointment": _means("appointment-moved"),
    "did-not-attend": _means("did-not-attend"),
    "seen": _means("seen"),
}


def _clock(task: Moving, code: str, today: date, policy: Policy) -> None:
    """A pause stands on the Task; once it ends, the due date has moved by its business days. An end ends it too."""
    periods = written.pauses_of(task.content)
    if code == "pause-clock":
        periods.append({"start": today.isoformat()})
    elif periods and "end" not in periods[-1] and (code == "resume-clock" or task.position.status in FINAL):
        periods[-1] = {**periods[-1], "end": today.isoformat()}
        due = date.fromisoformat(task.content["restriction"]["period"]["end"])
        moved = business_days_after(due, paused_days([read_pause(periods[-1])], policy), policy)
        task.content["restriction"] = {"period": {"end": moved.isoformat()}}
    written.with_pauses(task.content, periods)
    task.position = replace(task.position, is_paused=bool(periods) and "end" not in periods[-1])


def read_pause(period: Resource) -> Pause:
    end = period.get("end")
    return Pause(date.fromisoformat(period["start"]), date.fromisoformat(end) if end else None)


def pauses(content: Resource) -> list[Pause]:
    """The pauses of a Task's clock."""
    return [read_pause(period) for period in written.pauses_of(content)]


def write(draft: Draft, task: Moving, actor: Actor) -> Stamp:
    """The next version of the Task and the rows that tell of it. ``draft`` carries the client of the referral."""
    stamp = Stamp.following(task.row, draft.incoming.instant)
    restamp(task.content, stamp)
    paused = [one for one in written.pauses_of(task.content) if "end" not in one]
    values = {
        "last_updated": stamp.last_updated,
        "content": dump(task.content).decode(),
        "status": task.position.status,
        "queue": task.position.queue,
        "held_from": task.position.came_from if task.position.status == "on-hold" else None,
        "business_status": _shown(task.content),
        "progress": task.position.progress,
        "assignee": task.position.assignee,
        "appointment": written.appointment_of(task.content),
        "paused_since": paused[0]["start"] if paused else None,
        "due": task.content["restriction"]["period"]["end"],
        **task.columns,
    }
    draft.replacements.append(Replacement(tables.task, task.row["id"], task.row["version"], "Task", values))
    _tell(draft, stamp, task, actor)
    return stamp


_SAYS = (Takes.QUEUE, Takes.ASSIGNEE, Takes.DATE, Takes.BIRTH_DATE, Takes.CODE, Takes.BUSINESS_STATUS)
"""What a move sets and its row tells, the first of them that was given."""


def _tell(draft: Draft, stamp: Stamp, task: Moving, actor: Actor) -> None:
    """A row a step, and one for an appointment that was lost on the way."""
    here = task.position
    steps = task.steps or [Step("update", {}, position_of(task.row), here)]
    steps = [*steps[:-1], replace(steps[-1], after=here)]
    if task.dropped:
        steps.append(Step("appointment-dropped", {Takes.DATE: task.dropped}, here, here))
    for number, step in enumerate(steps, start=1):
        _tell_step(draft, stamp, number, step, actor)


def _tell_step(draft: Draft, stamp: Stamp, number: int, step: Step, actor: Actor) -> None:
    add_change(
        draft,
        stamp,
        number,
        actor=actor.id,
        actor_name=actor.name,
        action=step.code,
        from_status=step.before.status,
        status=step.after.status,
        business_status=step.after.business_status,
        from_queue=step.before.queue,
        queue=step.after.queue,
        reason=step.fields.get(Takes.REASON),
        comment=step.fields.get(Takes.COMMENT),
        value=next((step.fields[name] for name in _SAYS if step.fields.get(name)), None),
    )


def restamp(task: Resource, stamp: Stamp) -> None:
    """A new version of a Task carries the time of its change twice, as FHIR asks."""
    task["meta"] = {**task["meta"], "versionId": str(stamp.version), "lastUpdated": stamp.last_updated}
    task["lastModified"] = stamp.last_updated
