"""The end of a request: what came along is stored, the ledger and the keys are written, all in one transaction."""

from __future__ import annotations

import orjson

from referral_service.fhir.bundle import Entry
from referral_service.fhir.reader import placer_identifier
from referral_service.intake import supporting
from referral_service.intake.course import Course
from referral_service.intake.draft import AUTHORED_ONLY, SUPPORTING
from referral_service.intake.referrals import add_key, add_ledger
from referral_service.intake.site import Answer, Became, failed, is_failed, type_and_id
from referral_service.issues import FaultKind, Issue, information
from referral_service.referral import Disposition
from referral_service.store import lookups

REJECTIONS = frozenset({"not-active", "do-not-perform", "intent-option", "not-dystonia"})
"""Issue rules that are a decision on a referral (rejected), not a fault in it (refused)."""


def store_supporting(course: Course) -> None:
    """Answers every entry that is no referral; on a mere replay nothing new is made."""
    before = _answered_before(course)
    stored = lookups.stored_rows(course.connection, set(course.draft.assigned.values()) & course.stored_before)
    for entry in course.envelope.entries:
        place = entry.position or 0
        if place in course.answers:
            continue
        if place in course.reading.entry_faults:
            course.answers[place] = failed(FaultKind.INVALID, *course.reading.entry_faults[place])
        elif entry.type not in SUPPORTING:
            course.answers[place] = _kept(entry)
        elif before is not None and not entry.addresses():
            course.answers[place] = _as_before(before, entry, place)
        else:
            course.answers[place] = supporting.store(course.draft, entry, stored)


def _answered_before(course: Course) -> list[str | None] | None:
    """What the entries of the first request became, when every referral of this one is its replay; else None."""
    answers = course.referral_answers()
    if not answers or any(answer.became is not Became.REPLAYED for answer in answers):
        return None
    if len(course.replayed_from) != 1:
        return []
    text = lookups.received_answers(course.connection, next(iter(course.replayed_from)))
    return list(orjson.loads(text)) if text else []


def _as_before(before: list[str | None], entry: Entry, place: int) -> Answer:
    kind, identity = type_and_id((before[place] if place < len(before) else None) or "")
    if kind == entry.type:
        return Answer(Became.REPLAYED, type=kind, id=identity)
    words = "The referral is here already; what came along with it again was not stored anew."
    return Answer(Became.KEPT, (information("informational", "replayed", words, entry.path),))


def _kept(entry: Entry) -> Answer:
    what = "is written by this service itself" if entry.type in AUTHORED_ONLY else "is not stored by itself"
    words = f"A {entry.type} {what}; it stands in the text received."
    return Answer(Became.KEPT, (information("informational", "not-stored", words, entry.path),))


def write(course: Course) -> None:
    """Everything of the request, durable when the caller's transaction has ended."""
    for place, ordinal in course.ordinals.items():
        _count_if_not_taken(course, place, ordinal)
    result = _result(course)
    course.draft.add_received(result, keep_body=result != "replay", answers=_references(course))
    if course.incoming.idempotency_key and any(one.became is Became.CREATED for one in course.referral_answers()):
        add_key(course.draft, "idempotency", course.incoming.idempotency_key, course.request_hash(), None)
    course.draft.write(course.connection)


def _count_if_not_taken(course: Course, place: int, ordinal: int) -> None:
    answer = course.answers[place]
    if is_counted(answer) and place not in course.known_referrals:
        entry = course.envelope.referrals()[ordinal]
        placer = None if place in course.reading.entry_faults else placer_identifier(entry.resource)
        add_ledger(course.draft, ordinal, state_of(answer), answer.issues, None, placer)


def is_counted(answer: Answer) -> bool:
    """Conflicts are counted apart: the referral they speak of has its row already."""
    return is_failed(answer) and answer.fault is not FaultKind.CONFLICT


def state_of(answer: Answer) -> Disposition:
    own = any(issue.rule in REJECTIONS for issue in answer.issues)
    return Disposition.REJECTED if own else Disposition.REFUSED


def _result(course: Course) -> str:
    became = course.referral_answers()
    if not became:
        return "supporting"
    if any(answer.became is Became.CREATED or is_counted(answer) for answer in became):
        return "decided"
    if any(answer.fault is FaultKind.CONFLICT for answer in became):
        return "conflict"
    return "update" if any(answer.became is Became.UPDATED for answer in became) else "replay"


def _references(course: Course) -> list[str | None]:
    places = range(max(course.answers, default=-1) + 1)
    answers = [course.answers.get(place) for place in places]
    return [f"{one.type}/{one.id}" if one is not None and one.id else None for one in answers]


def issues_of(answers: list[Answer]) -> tuple[Issue, ...]:
    return tuple(issue for answer in answers if is_failed(answer) for issue in answer.issues)
