"""The end of a request: what came along is stored, the ledger and the keys are written, all in one transaction."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson

from referral_service.intake import supporting
from referral_service.intake.changes import CANCELS
from referral_service.intake.course import Course
from referral_service.intake.draft import SUPPORTING
from referral_service.intake.files import await_files
from referral_service.intake.reading import placer_if_readable
from referral_service.intake.replays import Before, Remembered, again, kept, remembered
from referral_service.intake.rows import add_key, add_ledger
from referral_service.intake.site import Answer, Became, failed, is_failed, type_and_id
from referral_service.issues import FaultKind, Issue, error
from referral_service.referral import Disposition
from referral_service.store import audit, lookups

REJECTIONS = frozenset({"not-active", "do-not-perform", "intent-option", "not-dystonia"})
"""Issue rules that are a decision on a referral (rejected), not a fault in it (refused)."""


def store_supporting(course: Course) -> None:
    """Answers every entry that is no referral, and leaves none unanswered; on a mere replay nothing new is made."""
    first = _answered_before(course)
    before, repeated = Before(first or []), _rows(course, first or [])
    stored = lookups.stored_rows(course.connection, course.known_resources)
    for entry in course.envelope.entries:
        place = entry.position or 0
        if place in course.answers:
            continue
        if place in course.reading.entry_faults:
            course.answers[place] = failed(FaultKind.INVALID, *course.reading.entry_faults[place])
        elif entry.type not in SUPPORTING:
            course.answers[place] = kept(entry, course.draft.assigned.get(id(entry.resource), ""))
        elif first is not None and not entry.addresses():
            course.answers[place] = again(entry, before.of(entry.type, place), repeated)
        else:
            answer = supporting.store(course.draft, entry, stored)
            course.answers[place] = replace(answer, issues=(*answer.issues, *course.remarks_of(entry)))
    _answer_empty_entries(course)
    for place, entry in course.contained.items():
        if course.answers[place].became in (Became.CREATED, Became.UPDATED):
            supporting.store_contained(course.draft, entry, stored)


def _answered_before(course: Course) -> list[Remembered] | None:
    """What the entries of the first request became, when this one brings no referral but its replays; else None."""
    answers = [answer for answer in course.referral_answers() if not is_failed(answer)]
    if not answers or any(answer.became is not Became.REPLAYED for answer in answers):
        return None
    if len(course.replayed_from) != 1:
        return []
    return list(orjson.loads(lookups.received_answers(course.connection, next(iter(course.replayed_from))) or "[]"))


def _rows(course: Course, before: list[Remembered]) -> dict[str, dict[str, Any]]:
    return lookups.stored_rows(course.connection, [one for one in before if isinstance(one, str)])


def _answer_empty_entries(course: Course) -> None:
    """An entry that holds no resource which could be made out is answered like all others."""
    entries = course.envelope.payload["entry"] if course.envelope.is_bundle else []
    for place in range(len(entries)):
        if place not in course.answers:
            words = "This entry has no resource."
            missing = error("required", "missing-element", words, f"Bundle.entry[{place}].resource")
            course.answers[place] = failed(FaultKind.INVALID, *(course.reading.entry_faults.get(place) or [missing]))


def write(course: Course) -> None:
    """Everything of the request, durable when the caller's transaction has ended."""
    for place, ordinal in course.ordinals.items():
        _count_if_not_taken(course, place, ordinal)
    result = _result(course)
    _tell_auditors(course)
    await_files(course)
    course.draft.unname(_refused_names(course))
    course.draft.add_received(result, keep_body=result != "replay", answers=remembered(course))
    if _uses_up_keys(course):
        for kind, value in course.request_keys:
            add_key(course.draft, kind, value, course.request_hash(), None)
    course.draft.write(course.connection, is_all=True)


def _uses_up_keys(course: Course) -> bool:
    """An old update by message that comes again must not undo a newer one: it is only answered as before."""
    done = {Became.CREATED, Became.UPDATED, Became.UNCHANGED} if course.reading.acts else {Became.CREATED}
    return any(one.became in done for one in course.referral_answers())


def _refused_names(course: Course) -> set[str]:
    """The names under which only entries came that were refused after their ids had been given out."""
    names: dict[bool, set[str]] = {True: set(), False: set()}
    for entry in course.envelope.entries:
        names[is_failed(course.answers.get(entry.position or 0))].update(entry.addresses())
    return names[True] - names[False]


def _tell_auditors(course: Course) -> None:
    """What is given back although nothing of it is written, and a sole resource that is not taken."""
    standing = (Became.REPLAYED, Became.UNCHANGED)
    answers = course.answers.values()
    course.draft.answered = [f"{one.type}/{one.id}" for one in answers if one.became in standing and one.id]
    ids = [type_and_id(one)[1] for one in course.draft.answered if one.startswith("ServiceRequest/")]
    course.draft.patients |= audit.patients_of(course.connection, ids) if ids else set()
    if not course.envelope.is_bundle:
        course.draft.fault = course.answers[0].fault


def _count_if_not_taken(course: Course, place: int, ordinal: int) -> None:
    answer = course.answers[place]
    if is_counted(answer) and place not in course.known_referrals:
        add_ledger(course.draft, ordinal, state_of(answer), answer.issues, None, placer_at(course, ordinal))


def placer_at(course: Course, ordinal: int) -> str | None:
    """The placer identifier of a referral of the request, as far as it can be read."""
    entry, system = course.envelope.referrals()[ordinal], course.incoming.placer_system
    if entry.position is None:
        return placer_if_readable(entry.resource, system)
    return placer_if_readable(course.reading.payload["entry"][entry.position]["resource"], system)


def is_counted(answer: Answer) -> bool:
    """Conflicts (409 and 412) are counted apart: the referral they speak of has its row already."""
    return is_failed(answer) and answer.fault not in (FaultKind.CONFLICT, FaultKind.PRECONDITION)


def state_of(answer: Answer) -> Disposition:
    own = any(issue.rule in REJECTIONS for issue in answer.issues)
    return Disposition.REJECTED if own else Disposition.REFUSED


def _result(course: Course) -> str:
    """What a request is called in the list of what was received."""
    answers = {place: course.answers[place] for place in course.ordinals}
    if not answers:
        return "supporting"
    new = [answer for place, answer in answers.items() if place not in course.known_referrals]
    if any(answer.became is Became.CREATED or is_counted(answer) for answer in new):
        return "decided"
    if any(is_failed(answer) for answer in answers.values()):
        return "conflict"
    changed = [place for place, answer in answers.items() if answer.became is Became.UPDATED]
    if not changed:
        return "replay"
    statuses = {entry.resource["status"] for entry in course.sound_entries() if (entry.position or 0) in changed}
    return "cancel" if statuses <= CANCELS else "update"


def issues_of(answers: list[Answer]) -> tuple[Issue, ...]:
    """What is said of a request that failed as a whole: every fault, after the emergency words of any of its parts."""
    everything = [issue for answer in answers for issue in answer.issues]
    notice = [issue for issue in everything if issue.rule == "red-flag"][:1]
    faults = [issue for answer in answers if is_failed(answer) for issue in answer.issues if issue.rule != "red-flag"]
    return tuple(dict.fromkeys((*notice, *faults)))
