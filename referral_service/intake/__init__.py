"""The way in: receive() reads, checks, resolves, decides and stores; preview() does the same and stores nothing.

Readable top to bottom; each step is one module of this room.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any

from referral_service.ehr.known import Ehr, Wanted
from referral_service.ehr.reading import Visit
from referral_service.fhir.bundle import Envelope
from referral_service.intake import finish, sandbox
from referral_service.intake.conditions import apply_conditions
from referral_service.intake.course import Course, begin
from referral_service.intake.draft import SUPPORTING, Draft
from referral_service.intake.fetches import (
    CALLED_OFF,
    NOTHING,
    as_collection,
    is_of_another,
    is_still_wanted,
    visit_at_door,
)
from referral_service.intake.judge import judge_referrals, point_at_our_tasks
from referral_service.intake.later import reconsider_new
from referral_service.intake.messages import as_meant, asked
from referral_service.intake.preview import preview
from referral_service.intake.reading import Reading, read
from referral_service.intake.refusals import no_referral, refuse
from referral_service.intake.replays import replay_of_request
from referral_service.intake.rows import add_ledger
from referral_service.intake.site import Answer, Became, Incoming, Received, Site, Taking, failed, is_failed
from referral_service.intake.taking import take_in, taken_already
from referral_service.intake.turns import again_when_overtaken
from referral_service.issues import FaultKind, Issue, error
from referral_service.referral import Disposition
from referral_service.store.fetches import Row
from referral_service.store.writes import overtaking

__all__ = [
    "MESSAGES",
    "Answer",
    "Became",
    "Incoming",
    "Received",
    "Site",
    "Taking",
    "preview",
    "receive",
    "receive_fetched",
    "receive_supporting",
    "take_in",
]

BUNDLES = ("transaction", "batch", "collection", "document")
MESSAGES = ("message",)


Still = Callable[[Course], bool]
"""Whether what was fetched is still wanted, asked in the transaction that stores it."""


def receive(site: Site, incoming: Incoming, expected: str, kinds: tuple[str, ...] = BUNDLES) -> Received:
    """One request with referrals in it: a ServiceRequest or a Bundle, as ``expected`` says, then of one of ``kinds``.

    Whatever is answered has been written durably before, refusals too.
    """
    reading = _with_whole_faults(read(incoming.body, expected, incoming.put_to), kinds)
    repeated = asked(reading)
    return replace(_receive(site, incoming, as_meant(reading, site.public_url)), asked=repeated)


def _receive(site: Site, incoming: Incoming, reading: Reading) -> Received:
    if reading.envelope is None:
        if incoming.is_update:
            return Received((), failed(FaultKind.INVALID, *reading.faults))
        return Received((), refuse(site, incoming, reading))
    is_atomic = reading.envelope.bundle_type in (None, "transaction", "message")
    if site.sandbox:
        sandbox.meet(site, incoming, reading.envelope)
    try:
        visit = _visit(site, incoming, reading)
        received, draft = again_when_overtaken(lambda: _take(site, incoming, reading, is_atomic, visit))
    except _TransactionFailedError as failure:
        return Received((), _record_failure(site, incoming, failure.course))
    reconsider_new(site, incoming, draft)
    return replace(received, bundle_type=reading.envelope.bundle_type)


def receive_supporting(site: Site, incoming: Incoming, expected: str) -> Received:
    """One supporting resource, posted or put; a fault in it is an answer, not a ledger row."""
    reading = read(incoming.body, expected, incoming.put_to)
    if reading.envelope is None:
        return Received((), failed(FaultKind.INVALID, *reading.faults))
    received, draft = again_when_overtaken(lambda: _take(site, incoming, reading, is_atomic=False))
    reconsider_new(site, incoming, draft)
    return received


class _TransactionFailedError(Exception):
    """Rolls the transaction back; ``course`` still knows what each entry was answered."""

    def __init__(self, course: Course) -> None:
        super().__init__()
        self.course = course


def receive_fetched(
    site: Site, ehr: Ehr, wanted: Wanted, text: bytes, request_id: str, at: datetime, row: Row | None = None
) -> str | None:
    """A record from its sender's EHR, stored as if the sender had put it; why it is not taken, None when it is.

    It is ``called-off`` when it came too late: the record is here by now, the client has another EHR or none, or
    ``row``, under which a worker fetched it, is no longer in its hand or waited for.
    """
    incoming = Incoming(ehr.client, "fetch", request_id, as_collection(wanted, text), at)
    reading = read(incoming.body)
    if reading.envelope is None or reading.entry_faults:
        return "not-valid"
    if is_of_another(reading.envelope.entries[0].resource, wanted):
        return "another-patient"

    def still(course: Course) -> bool:
        return is_still_wanted(course, ehr, row)

    try:
        _, draft = again_when_overtaken(lambda: _take(site, incoming, reading, is_atomic=False, still=still))
    except _CalledOffError:
        return CALLED_OFF
    reconsider_new(site, incoming, draft)
    return None


class _CalledOffError(Exception):
    """Nobody wants any more what was fetched; nothing of it is stored."""


def _visit(site: Site, incoming: Incoming, reading: Reading) -> Visit:
    """What was read at the door is stored at once; the referral finds it like anything that was sent before."""
    ehr, visit = visit_at_door(site, incoming, reading)
    faults = dict(visit.faults)
    for wanted, text in visit.texts.items():
        assert ehr is not None
        why = receive_fetched(site, ehr, wanted, text, incoming.request_id, incoming.at)
        if why is not None and why != CALLED_OFF:
            faults[wanted] = why
    return Visit(faults=faults, not_made=visit.not_made)


def _take(
    site: Site,
    incoming: Incoming,
    reading: Reading,
    is_atomic: bool,
    visit: Visit = NOTHING,
    still: Still | None = None,
) -> tuple[Received, Draft]:
    with site.store.writing(is_quick=_is_quick(reading)) as connection, overtaking(connection):
        course = begin(connection, site, incoming, reading)
        if still is not None and not still(course):
            raise _CalledOffError
        course.visited = visit
        replay = replay_of_request(course)
        if replay is not None:
            return replay, course.draft
        if incoming.taking is not None:
            taken = taken_already(connection, incoming.taking)
            if taken is not None:
                return Received((taken,)), course.draft
        apply_conditions(course)
        judge_referrals(course)
        point_at_our_tasks(course)
        course.assign_supporting()
        course.do_the_work()
        finish.store_supporting(course)
        answers = [course.answers[place] for place in sorted(course.answers)]
        if is_atomic and any(is_failed(answer) for answer in answers):
            raise _TransactionFailedError(course)
        if site.sandbox:
            sandbox.stage(course)
        finish.write(course)
        return Received(tuple(answers)), course.draft


_QUICK_ENTRIES = 5


def _is_quick(reading: Reading) -> bool:
    return reading.envelope is not None and len(reading.envelope.entries) <= _QUICK_ENTRIES


def _with_whole_faults(reading: Reading, kinds: tuple[str, ...]) -> Reading:
    """Adds what is wrong with the request as a whole once it could be read."""
    payload: Any = reading.payload
    if not isinstance(payload, dict) or payload.get("resourceType") != "Bundle":
        return reading
    kind, faults = payload.get("type"), list(reading.envelope_faults)
    if isinstance(kind, str) and kind not in kinds:
        faults.append(_wrong_bundle(kind, kinds))
    elif reading.envelope is not None and not _has_anything(reading.envelope, reading):
        faults.append(no_referral())
    return replace(reading, envelope=None, envelope_faults=tuple(faults)) if faults else reading


def _wrong_bundle(kind: str, kinds: tuple[str, ...]) -> Issue:
    door = f"Taken here: {', '.join(kinds)}."
    if kind in MESSAGES:
        door = "Its door is $process-message."
    elif kind in BUNDLES:
        door += " Its door is the base address."
    words = f"A Bundle of this type is not taken at this address. {door}"
    return error("not-supported", "bundle-type", words, "Bundle.type")


def _has_anything(envelope: Envelope, reading: Reading) -> bool:
    if reading.entry_faults:
        return True
    methods = [entry.get("request", {}).get("method") for entry in envelope.payload.get("entry", [])]
    taken = any(entry.type in SUPPORTING or entry.type == "ServiceRequest" for entry in envelope.entries)
    return taken or any(method not in (None, "POST", "PUT") for method in methods)


def _record_failure(site: Site, incoming: Incoming, course: Course) -> Answer:
    """The ledger of a request that was rolled back: each referral rejected by its own decision, or refused with it."""
    answers = [course.answers[place] for place in sorted(course.answers)]
    answer = failed(_kind_of_failure(answers), *finish.issues_of(answers))
    if incoming.is_update:
        return answer
    draft = Draft(site, incoming, course.envelope, course.known, fault=answer.fault)
    for place, ordinal in course.ordinals.items():
        _record_one(draft, course, place, ordinal)
    if draft.rows or answer.fault is FaultKind.CONFLICT:
        draft.add_received("decided" if draft.rows else "conflict")
        with site.store.writing() as connection:
            draft.write(connection)
    return answer


def _record_one(draft: Draft, course: Course, place: int, ordinal: int) -> None:
    answer = course.answers[place]
    placer = finish.placer_at(course, ordinal)
    if place in course.known_referrals:
        return
    if finish.is_counted(answer):
        add_ledger(draft, ordinal, finish.state_of(answer), answer.issues, None, placer)
    elif answer.became is Became.CREATED:
        words = "The transaction failed because of another entry."
        issue = error("processing", "transaction-failed", words, course.envelope.referrals()[ordinal].path)
        notice = [one for one in answer.issues if one.rule == "red-flag"]
        add_ledger(draft, ordinal, Disposition.REFUSED, (*notice, issue), None, placer)


def _kind_of_failure(answers: list[Answer]) -> FaultKind:
    """A transaction is forbidden or invalid when any entry is; else what rules of business say, or conflicts."""
    kinds = {answer.fault for answer in answers if is_failed(answer)}
    return next((kind for kind in _GRAVEST_FIRST if kind in kinds), FaultKind.INVALID)


_GRAVEST_FIRST = (
    FaultKind.FORBIDDEN,
    FaultKind.INVALID,
    FaultKind.BUSINESS_RULE,
    FaultKind.PRECONDITION,
    FaultKind.CONFLICT,
)
