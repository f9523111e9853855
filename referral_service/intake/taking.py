"""What was refused or rejected, taken in by a human: the same intake, on the text received and its first clock.

The row in the ledger stays the only one: its state moves and it points at the referral from then on. What the machine
said stays; it only never sends the referral away again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import orjson

from referral_service.fhir.bundle import Entry
from referral_service.fhir.reader import placer_identifier
from referral_service.intake import supporting
from referral_service.intake.changes import current_answer
from referral_service.intake.course import Course, begin
from referral_service.intake.draft import SUPPORTING, Draft
from referral_service.intake.judge import judge_new, point_at_our_tasks
from referral_service.intake.later import assign_as_before, reconsider_new
from referral_service.intake.reading import Reading, read
from referral_service.intake.site import Answer, Became, Incoming, Site, Taking, failed
from referral_service.intake.subject import find_subject
from referral_service.intake.turns import again_when_overtaken
from referral_service.issues import FaultKind, Issue, error
from referral_service.store import ledger, lookups, systems
from referral_service.store.engine import Connection
from referral_service.store.lookups import referral_with_task
from referral_service.store.writes import bounded, overtaking, remember_answers


def take_in(site: Site, incoming: Incoming, taking: Taking) -> Answer:
    """Takes in what ``taking`` names, as it was received; the same again gives the same referral.

    Fails with ``INVALID`` when no referral can be read there: somebody has to enter it in the form then.
    """
    request = replace(incoming, taking=taking)
    answer, draft = again_when_overtaken(lambda: _take_in(site, request, taking))
    if draft is not None:
        reconsider_new(site, request, draft)
    return answer


def taken_already(connection: Connection, taking: Taking) -> Answer | None:
    """The referral that a row was taken in as, if it was; nobody else takes it in until this transaction ends."""
    row = ledger.held_row(connection, taking.received_id, taking.position)
    if row is None or row["referral_id"] is None:
        return None
    referral, task = referral_with_task(connection, row["referral_id"])
    return current_answer(referral, Became.REPLAYED, task["id"])


def _take_in(site: Site, incoming: Incoming, taking: Taking) -> tuple[Answer, Draft | None]:
    with site.store.writing() as connection, overtaking(connection):
        row = ledger.held_row(connection, taking.received_id, taking.position)
        if row is None:
            words = "Nothing of this kind was received."
            return failed(FaultKind.NOT_FOUND, error("not-found", "not-found", words)), None
        before = taken_already(connection, taking)
        if before is not None:
            return before, None
        if row["body"] is None:
            words = "The text is no longer kept; enter what the sender can tell."
            return failed(FaultKind.INVALID, error("not-found", "text-gone", words)), None
        system = systems.placer_system(connection, row["client"])
        request = replace(incoming, client=row["client"], body=bytes(row["body"]), placer_system=system)
        found = _course(connection, site, request, taking, row)
        if isinstance(found, Answer):
            return found, None
        answer = _taken(*found, taking)
        return answer, found[0].draft if answer.became is Became.CREATED else None


def _course(
    connection: Connection, site: Site, incoming: Incoming, taking: Taking, row: Mapping[str, Any]
) -> tuple[Course, Entry] | Answer:
    """The request read again, and its referral that the row speaks of; every fault when there is none to take."""
    reading = read(incoming.body)
    entry = _referral_in(reading, taking.position, row["placer"], incoming.placer_system)
    if entry is None:
        return failed(FaultKind.INVALID, *(reading.faults or [_unreadable()]))
    return begin(connection, site, incoming, reading), entry


def is_readable(connection: Connection, body: bytes, row: Mapping[str, Any]) -> bool:
    """Whether the referral that a row of the ledger speaks of can be taken in as it came."""
    system = systems.placer_system(connection, row["client"])
    return _referral_in(read(body), row["position"], row["placer"], system) is not None


def _referral_in(reading: Reading, position: int, placer: str | None, system: str | None) -> Entry | None:
    referrals = reading.envelope.referrals() if reading.envelope is not None else []
    entry = referrals[position] if position < len(referrals) else None
    return None if entry is None or reading.faults_of(entry) or _key(entry, system) != placer else entry


def _key(entry: Entry, system: str | None) -> str | None:
    placer = placer_identifier(entry.resource, system)
    return bounded(placer) if placer else None


def _unreadable() -> Issue:
    return error("required", "no-referral", "It is not sure which referral of the text this is.")


def _taken(course: Course, entry: Entry, taking: Taking) -> Answer:
    subject = find_subject(course.envelope, entry, course.known, course.site.public_url)
    if subject.fault is not None:
        return failed(FaultKind.INVALID, subject.fault)
    course.draft.received_id = taking.received_id
    assign_as_before(course, course.connection, taking.received_id)
    course.ordinals[entry.position or 0] = taking.position
    work = judge_new(course, entry, subject, taking.position)
    if isinstance(work, Answer):
        return work
    point_at_our_tasks(course)
    beside = [one for one in _beside(course, entry) if id(one.resource) not in course.draft.assigned]
    for one in beside:
        supporting.assign(course.draft, one)
    answer = work()
    _store_beside(course, beside)
    course.draft.write(course.connection)
    _remember(course, [entry, *beside])
    return answer


def _beside(course: Course, referral: Entry) -> list[Entry]:
    """What came with a referral and belongs to it: what it leads to, and what leads to the same patient."""
    patient = course.envelope.resolve(referral.resource["subject"], referral)
    home = {patient.position} if patient is not None and patient.position is not None else set()
    led_to = course.reading.reached(referral)
    return [
        entry
        for entry in course.sound_entries()
        if entry.type in SUPPORTING and (entry.position in led_to or home & course.reading.reached(entry))
    ]


def _store_beside(course: Course, beside: list[Entry]) -> None:
    """Stores what is not here yet; what is here may have been replaced by newer since, and stays."""
    for entry in (*beside, *course.contained.values()):
        if course.draft.assigned[id(entry.resource)] in course.draft.made - course.draft.stored:
            supporting.store(course.draft, entry, {})


def _remember(course: Course, entries: list[Entry]) -> None:
    """From now on the request's entries lead to what was made of them, as those of one that was taken at once."""
    received_id = course.draft.received_id
    answers = orjson.loads(lookups.received_answers(course.connection, received_id) or "[]")
    for entry in entries:
        place = entry.position or 0
        answers += [None] * (place + 1 - len(answers))
        answers[place] = course.draft.assigned[id(entry.resource)]
    remember_answers(course.connection, received_id, orjson.dumps(answers).decode())
