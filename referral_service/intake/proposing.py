"""A Task as somebody wants it to be, told as the named moves that lead there: what ``PUT`` and ``PATCH`` mean."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from referral_service.coding.concepts import ICD10CM
from referral_service.fhir.bundle import Resource
from referral_service.fhir.canonical import same
from referral_service.fhir.writer import moves as written
from referral_service.intake.applying import Fields, Moving
from referral_service.issues import Issue, error
from referral_service.referral import Queue
from referral_service.worklist import ACTIONS, FINAL, MORE_INFORMATION, NEEDS_REASON, Actor, Takes, no_such_move
from referral_service.worklist.actions import open_actions

CHANGEABLE = frozenset(
    {
        *("status", "statusReason", "businessStatus", "owner", "note", "extension", "output", "reasonCode"),
        *("meta", "lastModified"),
    }
)
"""What a move may change of a Task; everything else was written by this service and stays."""

_AS_SENT = ("statusReason", "businessStatus", "output")
_EXTENSIONS = (written.ASSIGNEE, written.APPOINTMENT)


@dataclass(slots=True)
class Proposal:
    """The moves, in order, and what is wrong already.

    ``as_sent`` are elements that stand as they were sent, ``assignee`` the value of that extension which does;
    ``wanted`` is the whole Task where one was sent.
    """

    steps: list[tuple[str, Fields]] = field(default_factory=list)
    faults: list[Issue] = field(default_factory=list)
    as_sent: Resource = field(default_factory=dict)
    wanted: Resource | None = None
    assignee: Resource | None = None


def propose(task: Moving, wanted: Resource, actor: Actor) -> Proposal:
    """Which moves turn the Task into the one wanted."""
    found = Proposal(wanted=wanted)
    found.faults += _fixed(task, wanted)
    notes = _new_notes(task, wanted, found)
    queue = written.queue_of(wanted)
    if queue is None:
        found.faults.append(_no_queue())
    elif queue is not task.position.queue:
        _rerouted(task, wanted, queue, notes, found)
    else:
        _moved(task, wanted, actor, notes, found)
    _assigned(task, wanted, actor, found)
    if queue is task.position.queue:
        _corrected(task, wanted, notes, found)
    _business(task, wanted, found)
    _reported(task, wanted, found)
    found.steps += [("comment", {Takes.COMMENT: text}) for text in notes]
    for name in _AS_SENT:
        if name in wanted and not same(wanted[name], task.content.get(name)):
            found.as_sent[name] = wanted[name]
    return found


def _fixed(task: Moving, wanted: Resource) -> list[Issue]:
    names = {name for name in set(task.content) | set(wanted) if not same(task.content.get(name), wanted.get(name))}
    changed = sorted(names - CHANGEABLE)
    if not same(_other_extensions(task.content), _other_extensions(wanted)):
        changed.append("extension")
    if not same(task.content.get("output", []), wanted.get("output", [])[: len(task.content.get("output", []))]):
        changed.append("output")
    sent = {name: value for name, value in wanted.get("meta", {}).items() if name not in ("versionId", "lastUpdated")}
    if not all(same(value, task.content["meta"].get(name)) for name, value in sent.items()):
        changed.append("meta")
    words = "This element of a Task is not changed by its users; notes and outputs are only added."
    found = [error("business-rule", "task-fixed-element", words, f"Task.{name}") for name in changed]
    if wanted.get("id") != task.row["id"]:
        found.append(error("invalid", "id-mismatch", "The resource's id is not the one of the address.", "Task.id"))
    return found


def _other_extensions(content: Resource) -> list[Resource]:
    return [one for one in content.get("extension", []) if one.get("url") not in _EXTENSIONS]


def _no_queue() -> Issue:
    queues = ", ".join(f"HealthcareService/{one.value}" for one in Queue)
    return error("business-rule", "task-owner", f"The owner of a Task is one of the queues: {queues}.", "Task.owner")


def _new_notes(task: Moving, wanted: Resource, found: Proposal) -> list[str]:
    before, after = task.content.get("note", []), wanted.get("note", [])
    if not same(before, after[: len(before)]):
        words = "This element of a Task is not changed by its users; notes and outputs are only added."
        found.faults.append(error("business-rule", "task-fixed-element", words, "Task.note"))
        return []
    return [str(one["text"]) for one in after[len(before) :]]


def _comment(notes: list[str]) -> dict[str, str]:
    """The first new note is what the move is told with."""
    return {Takes.COMMENT: notes.pop(0)} if notes else {}


def _rerouted(task: Moving, wanted: Resource, queue: Queue, notes: list[str], found: Proposal) -> None:
    """One whose owner alone was changed starts again as requested."""
    status = task.position.status
    if wanted["status"] not in (status, "requested") and status not in FINAL:
        words = "A re-routed Task starts again as requested."
        found.faults.append(error("business-rule", "task-move", words, "Task.status"))
    reason = wanted.get("statusReason")
    if reason is not None and not same(reason, task.content.get("statusReason")):
        found.faults.append(_no_reason_wanted("requested"))
    found.steps.append(("re-route", {Takes.QUEUE: queue.value, **_comment(notes), **_code(task, wanted)}))


def _code(task: Moving, wanted: Resource) -> dict[str, str]:
    """The ICD-10-CM code of a changed reasonCode; one that is none is left for the judge to name."""
    if same(task.content.get("reasonCode"), wanted.get("reasonCode")):
        return {}
    codings = wanted.get("reasonCode", {}).get("coding", [])
    return {Takes.CODE: next((str(one.get("code")) for one in codings if one.get("system") == ICD10CM), "none")}


def _corrected(task: Moving, wanted: Resource, notes: list[str], found: Proposal) -> None:
    given = _code(task, wanted)
    if given:
        found.steps.append(("correct-code", {**given, **_comment(notes)}))


def _moved(task: Moving, wanted: Resource, actor: Actor, notes: list[str], found: Proposal) -> None:
    before, after, reason = task.position.status, wanted["status"], wanted.get("statusReason")
    if after not in NEEDS_REASON and reason is not None:
        found.faults.append(_no_reason_wanted(after))
    elif after == before and not same(reason, task.content.get("statusReason")):
        words = "The statusReason is given with the move that it explains, and stays with it."
        found.faults.append(error("business-rule", "task-status-reason", words, "Task.statusReason"))
    if after == before:
        return
    code = written.own_code(reason, "status-reason")
    action = _action(task, after, code)
    if action is None:
        found.faults.append(no_such_move(task.position, after, actor))
    elif after in NEEDS_REASON:
        text = (reason or {}).get("text")
        told: dict[str, str] = {Takes.COMMENT: str(text)} if text else _comment(notes)
        found.steps.append((action, {**({Takes.REASON: code} if code else {}), **told}))
    else:
        found.steps.append((action, _comment(notes)))


def _no_reason_wanted(status: str) -> Issue:
    words = f"A Task that is {status} must not have a statusReason."
    return error("business-rule", "task-status-reason", words, "Task.statusReason")


def _action(task: Moving, target: str, reason: str | None) -> str | None:
    """The named move that leads to a status, the question apart from every other hold."""
    if target == "on-hold" and target != task.position.status:
        code = "return-for-information" if reason == MORE_INFORMATION else "hold"
        return code if task.position.status in next(a.sources for a in ACTIONS if a.code == code) else None
    leads = (
        action.code
        for action in ACTIONS
        if action.target is not None
        and action.code not in ("re-route", "undo")
        and task.position.status in action.sources
        and action.target_from(task.position) == target
    )
    return next(leads, None)


def _assigned(task: Moving, wanted: Resource, actor: Actor, found: Proposal) -> None:
    before, after = written.assignee_of(task.content), written.assignee_of(wanted)
    if before == after:
        return
    if after is None:
        found.steps += [] if _is_rerouted(found) else [("unassign", {})]  # another queue clears it
    elif before is None and after == actor.name:
        found.steps.append(("claim", {}))
    else:
        found.steps.append(("assign", {Takes.ASSIGNEE: after}))
        sent = written.extension_of(wanted, written.ASSIGNEE)
        found.assignee = {name: value for name, value in sent.items() if name != "url"}


def _business(task: Moving, wanted: Resource, found: Proposal) -> None:
    before, after = task.content.get("businessStatus"), wanted.get("businessStatus")
    was_on, is_on = written.appointment_of(task.content), written.appointment_of(wanted)
    code = written.own_code(after, "business-status")
    date: dict[str, str] = {Takes.DATE: is_on} if is_on and is_on != was_on else {}
    if after is not None and code is None:
        words = "The businessStatus has a code of our CodeSystem business-status."
        found.faults.append(error("business-rule", "code-not-in-value-set", words, "Task.businessStatus"))
    if _is_rerouted(found):
        was_on, before = None, None  # another queue keeps neither
    if was_on and (not is_on or after is None) and code != "awaiting-appointment":
        words = "An appointment is moved, or taken away with the businessStatus awaiting-appointment."
        place = "Task.extension" if not is_on else "Task.businessStatus"
        found.faults.append(error("business-rule", "task-fixed-element", words, place))
    changed = not same(before, after)
    named = next((one.code for one in open_actions(task.position) if one.code == code), None)
    if changed and named is not None:
        found.steps.append((named, date))
    elif date:
        found.steps.append(("move-appointment" if was_on else "book-appointment", date))
    elif changed:
        found.steps.append(("set-business-status", {Takes.BUSINESS_STATUS: code} if code else {}))


def _is_rerouted(found: Proposal) -> bool:
    return any(code == "re-route" for code, _ in found.steps)


_MEANINGS: tuple[tuple[str, Callable[[Resource], str | None]], ...] = (
    ("Task.status", lambda task: task["status"]),
    ("Task.owner", written.queue_of),
    ("Task.statusReason", lambda task: written.own_code(task.get("statusReason"), "status-reason")),
    ("Task.businessStatus", lambda task: written.own_code(task.get("businessStatus"), "business-status")),
    ("Task.extension", written.assignee_of),
    ("Task.extension", written.appointment_of),
)
"""What can be wanted of a Task, and where it stands."""


def unreached(before: Resource, wanted: Resource, reached: Resource) -> list[Issue]:
    """What was to become another and did not, for the moves together do not lead there."""
    words = "The moves that this change means do not together lead to this value; make one change at a time."
    places = [place for place, meaning in _MEANINGS if meaning(wanted) not in (meaning(before), meaning(reached))]
    return [error("business-rule", "task-move", words, place) for place in places]


def _reported(task: Moving, wanted: Resource, found: Proposal) -> None:
    """Outputs come with the end, or later: the first new one is told, all are kept as sent."""
    new: list[Any] = wanted.get("output", [])[len(task.content.get("output", [])) :]
    if not new or any(code == "complete" for code, _ in found.steps):
        return
    words = next((str(value) for name, value in new[0].items() if name == "valueString"), "as sent")
    found.steps.append(("report", {Takes.REPORT: words}))
