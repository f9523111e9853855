"""The one judge of moves: whether an actor may make one from here, and whether it says all that it must."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from datetime import date, datetime

from referral_service.issues import FaultKind, Issue, error
from referral_service.referral import Queue
from referral_service.routing import age_interval
from referral_service.worklist.actions import BY_CODE, Action, Takes, allowed, may
from referral_service.worklist.actors import Actor
from referral_service.worklist.reasons import BY_CODE as REASONS
from referral_service.worklist.table import FINAL, NEEDS_REASON, Position

Fields = Mapping[str, str]
Verdict = tuple[FaultKind, tuple[Issue, ...]]
LONGEST_WORDS = 10_000
LONGEST_NAME = 128

BUSINESS_STATUSES = (
    *("cancellation-requested", "awaiting-information", "awaiting-appointment", "appointment-booked"),
    *("appointment-moved", "did-not-attend", "seen"),
)
"""The codes of ``CodeSystem/business-status``."""
SET_BY_HAND = ("awaiting-appointment",)
"""Those that no named move sets, nor the sender."""

_ELEMENTS = {
    Takes.REASON: "Task.statusReason",
    Takes.COMMENT: "Task.note",
    Takes.QUEUE: "Task.owner",
    Takes.ASSIGNEE: "Task.extension",
    Takes.DATE: "Task.extension",
    Takes.CODE: "Task.reasonCode",
    Takes.BUSINESS_STATUS: "Task.businessStatus",
    Takes.REPORT: "Task.output",
}
_DATE_TIME = re.compile(
    r"\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:\d{2}))?", re.ASCII
)  # a day, or a moment with its zone (https://hl7.org/fhir/R4/datatypes.html#dateTime)


def judge(
    code: str, fields: Fields, position: Position, actor: Actor, codes: Collection[str], today: date
) -> Verdict | None:
    """Why the move cannot be made, every fault at once; None when it can.

    ``codes`` are the ICD-10-CM codes that a referral may be given, ``today`` is the day in the site's zone.
    """
    action = BY_CODE.get(code)
    if action is None:
        known = ", ".join(BY_CODE)
        return _broken(error("business-rule", "task-action", f"There is no such move. Moves are: {known}."))
    if not may(action, position, actor):
        return FaultKind.FORBIDDEN, (_not_theirs(action, position, actor),)
    if position.status not in action.sources or not action.fits(position):
        return _broken(not_from_here(action, position, actor))
    faults = (*_faults_of_fields(action, fields, position, codes, today),)
    return _broken(*faults) if faults else None


def _broken(*issues: Issue) -> Verdict:
    return FaultKind.BUSINESS_RULE, issues


def _not_theirs(action: Action, position: Position, actor: Actor) -> Issue:
    words = f"You may not make this move ({action.code}) on this Task; {_now(position, actor)}"
    return error("forbidden", "forbidden", words, "Task")


def _now(position: Position, actor: Actor) -> str:
    codes = ", ".join(action.code for action in allowed(position, actor))
    return f"you may now: {codes}." if codes else "there is no move that you may make now."


def not_from_here(action: Action, position: Position, actor: Actor) -> Issue:
    """Why a move does not go from where the Task stands, and what does."""
    if action.code == "re-route" and position.status in FINAL:
        return error("business-rule", "task-final", "A final Task stays in its queue.", "Task.owner")
    if position.status in action.sources:
        words = f"This move ({action.code}) is made only when {action.asks}; {_now(position, actor)}"
    else:
        words = f"A Task that is {position.status} takes no such move ({action.code}); {_now(position, actor)}"
    return error("business-rule", "task-move", words, "Task.status")


def no_such_move(position: Position, target: str, actor: Actor) -> Issue:
    """No move of the table leads from here to a status."""
    words = f"A Task that is {position.status} cannot become {target}; {_now(position, actor)}"
    return error("business-rule", "task-move", words, "Task.status")


def _faults_of_fields(
    action: Action, fields: Fields, position: Position, codes: Collection[str], today: date
) -> list[Issue]:
    given = {name: value for name, value in fields.items() if value}
    found = [_missing(action, takes, position) for takes in action.required if takes not in given]
    for name, value in given.items():
        if name not in set(action.takes):
            words = f"This move ({action.code}) takes no {name}; it takes: {', '.join(action.takes) or 'nothing'}."
            found.append(error("business-rule", "task-field", words, _place(name)))
        else:
            found += _faults_of_value(action, Takes(name), value, position, codes, today)
    if _is_comment_wanting(given):
        words = "This reason says too little alone: say in words what is meant."
        found.append(error("business-rule", "task-comment", words, "Task.statusReason.text"))
    return found


def _is_comment_wanting(given: Fields) -> bool:
    reason = REASONS.get(given.get(Takes.REASON, ""))
    return reason is not None and reason.needs_comment and Takes.COMMENT not in given


def _missing(action: Action, takes: Takes, position: Position) -> Issue:
    if takes is Takes.REASON:
        target = action.target_from(position)
        words = f"A Task that is {target} needs a coded statusReason; it may be: {', '.join(action.reasons)}."
        return error("business-rule", "task-status-reason", words, "Task.statusReason")
    if takes is Takes.COMMENT:
        place = "Task.statusReason.text" if action.target_from(position) in NEEDS_REASON else "Task.note"
        words = f"This move ({action.code}) needs words that say why."
        return error("business-rule", "task-comment", words, place)
    words = f"This move ({action.code}) needs: {takes}."
    return error("business-rule", "task-field", words, _place(takes))


def _place(name: str) -> str:
    return _ELEMENTS.get(Takes(name), "") if name in set(Takes) else ""


def _faults_of_value(
    action: Action, takes: Takes, value: str, position: Position, codes: Collection[str], today: date
) -> list[Issue]:
    if takes is Takes.REASON:
        return _one_of(value, action.reasons, "task-status-reason", takes)
    if takes is Takes.QUEUE:
        return _one_of(value, [queue for queue in Queue if queue is not position.queue], "task-owner", takes)
    if takes is Takes.BUSINESS_STATUS:
        return _one_of(value, SET_BY_HAND, "code-not-in-value-set", takes)
    if takes is Takes.CODE:
        return _one_of(value, codes, "task-code", takes)
    if takes is Takes.DATE:
        first, last = _years_after(position.received_on or today, -1), _years_after(today, 5)
        words = f"A day, or a moment with its zone, from {first} to {last} is wanted."
        return [] if _lies_between(value, first, last) else [_no_date(words, takes)]
    if takes is Takes.BIRTH_DATE:
        sound = age_interval(value, today) is not None
        return [] if sound else [_no_date("A birth date of somebody who can be living is wanted.", takes)]
    longest = LONGEST_NAME if takes is Takes.ASSIGNEE else LONGEST_WORDS
    if len(value) > longest or not value.strip():
        words = f"The {takes} is words, at most {longest} characters."
        return [error("business-rule", "task-field", words, _place(takes))]
    return []


def _one_of(value: str, known: Collection[str], rule: str, takes: Takes) -> list[Issue]:
    words = f"The {takes} is none of: {', '.join(known)}."
    return [] if value in known else [error("business-rule", rule, words, _place(takes))]


def _lies_between(value: str, first: date, last: date) -> bool:
    """Whether a day, or a moment in its own zone, lies between two days; far from where calendars end."""
    try:
        return _DATE_TIME.fullmatch(value) is not None and first <= datetime.fromisoformat(value).date() <= last
    except ValueError:
        return False


def _years_after(day: date, years: int) -> date:
    """The same day of another year; of a 29 February the day before, where there is none."""
    try:
        return day.replace(year=day.year + years)
    except ValueError:
        return day.replace(year=day.year + years, day=28)


def _no_date(words: str, takes: Takes) -> Issue:
    return error("business-rule", "task-field", words, _place(takes))
