"""The way in: receive() reads, checks, resolves, decides and stores; preview() does the same and stores nothing.

Readable top to bottom; each step is one module of this room.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import orjson

from referral_service.fhir.bundle import Envelope
from referral_service.fhir.reader import placer_identifier
from referral_service.intake import finish
from referral_service.intake.conditions import apply_conditions
from referral_service.intake.course import Course, begin
from referral_service.intake.draft import SUPPORTING, Draft
from referral_service.intake.judge import judge_referrals
from referral_service.intake.later import reconsider_new
from referral_service.intake.preview import preview
from referral_service.intake.reading import Reading, read
from referral_service.intake.referrals import add_ledger
from referral_service.intake.refusals import no_referral, refuse
from referral_service.intake.site import Answer, Became, Incoming, Received, Site, failed, is_failed
from referral_service.issues import FaultKind, Issue, error
from referral_service.referral import Disposition
from referral_service.store import lookups
from referral_service.store.writes import KeyTaken

__all__ = ["Answer", "Became", "Incoming", "Received", "Site", "preview", "receive", "receive_supporting"]

BUNDLES = ("transaction", "batch", "collection", "document")
_TRIES = 5
T = TypeVar("T")


def receive(site: Site, incoming: Incoming, expected: str) -> Received:
    """One request with referrals in it: a ServiceRequest or a Bundle, as ``expected`` says.

    Whatever is answered has been written durably before, refusals too.
    """
    reading = _with_whole_faults(read(incoming.body, expected, incoming.put_to))
    is_atomic = reading.envelope is None or reading.envelope.bundle_type in (None, "transaction")
    if reading.envelope is None or (is_atomic and reading.entry_faults):
        if incoming.is_update:
            return Received((), failed(FaultKind.INVALID, *reading.faults))
        return Received((), refuse(site, incoming, reading))
    try:
        received, draft = _again_when_key_taken(lambda: _take(site, incoming, reading, is_atomic))
    except _TransactionFailedError as failure:
        return Received((), _record_failure(site, incoming, failure.course))
    reconsider_new(site, incoming, draft)
    return received


def receive_supporting(site: Site, incoming: Incoming, expected: str) -> Received:
    """One supporting resource, posted or put; a fault in it is an answer, not a ledger row."""
    reading = read(incoming.body, expected, incoming.put_to)
    if reading.envelope is None:
        return Received((), failed(FaultKind.INVALID, *reading.faults))
    received, draft = _again_when_key_taken(lambda: _take(site, incoming, reading, is_atomic=False))
    reconsider_new(site, incoming, draft)
    return received


class _TransactionFailedError(Exception):
    """Rolls the transaction back; ``course`` still knows what each entry was answered."""

    def __init__(self, course: Course) -> None:
        super().__init__()
        self.course = course


def _take(site: Site, incoming: Incoming, reading: Reading, is_atomic: bool) -> tuple[Received, Draft]:
    with site.store.writing() as connection:
        course = begin(connection, site, incoming, reading)
        replay = _replay_of_request(course)
        if replay is not None:
            return replay, course.draft
        apply_conditions(course)
        judge_referrals(course)
        course.assign_supporting()
        course.do_the_work()
        finish.store_supporting(course)
        answers = [course.answers[place] for place in sorted(course.answers)]
        if is_atomic and any(is_failed(answer) for answer in answers):
            raise _TransactionFailedError(course)
        finish.write(course)
        return Received(tuple(answers)), course.draft


def _again_when_key_taken(take: Callable[[], T]) -> T:
    """Two that come at once with one key: the second reads again and finds what the first wrote."""
    for _ in range(_TRIES):
        try:
            return take()
        except KeyTaken:
            continue
    return take()


def _with_whole_faults(reading: Reading) -> Reading:
    """Adds what is wrong with the request as a whole once it could be read."""
    envelope = reading.envelope
    if envelope is None or not envelope.is_bundle:
        return reading
    faults: list[Issue] = []
    if envelope.bundle_type not in BUNDLES:
        faults.append(_wrong_bundle(envelope.bundle_type))
    elif not _has_anything(envelope, reading):
        faults.append(no_referral())
    return Reading(reading.payload, None, tuple(faults), reading.entry_faults, reading.remarks) if faults else reading


def _wrong_bundle(kind: str | None) -> Issue:
    door = "POST it to $process-message." if kind == "message" else f"Taken here: {', '.join(BUNDLES)}."
    return error(
        "not-supported", "bundle-type", f"A Bundle of this type is not taken at this address. {door}", "Bundle.type"
    )


def _has_anything(envelope: Envelope, reading: Reading) -> bool:
    if reading.entry_faults:
        return True
    methods = [entry.get("request", {}).get("method") for entry in envelope.payload.get("entry", [])]
    taken = any(entry.type in SUPPORTING or entry.type == "ServiceRequest" for entry in envelope.entries)
    return taken or any(method not in (None, "POST", "PUT") for method in methods)


def _replay_of_request(course: Course) -> Received | None:
    """What the same request was answered before, when its Idempotency-Key is known."""
    header = course.incoming.idempotency_key
    key = course.known.keys.get(("idempotency", header)) if header else None
    if key is None:
        return None
    if key.content_hash != course.request_hash():
        words = "This Idempotency-Key was used before for another request."
        return Received((), failed(FaultKind.CONFLICT, error("conflict", "key-reused", words)))
    text = lookups.received_answers(course.connection, key.received_id)
    references = list(orjson.loads(text or "[]"))
    course.draft.add_received("replay", keep_body=False)
    course.draft.write(course.connection)
    return Received(tuple(_current(course, reference) for reference in references))


def _current(course: Course, reference: str | None) -> Answer:
    kind, _, identity = (reference or "").partition("/")
    row = lookups.current(course.connection, course.incoming.client, kind, identity) if reference else None
    if row is None:
        return Answer(Became.KEPT)
    task_id = lookups.referral_with_task(course.connection, identity)[1]["id"] if kind == "ServiceRequest" else None
    return Answer(Became.REPLAYED, (), kind, identity, row["version"], row["last_updated"], row["content"], task_id)


def _record_failure(site: Site, incoming: Incoming, course: Course) -> Answer:
    """The ledger of a request that was rolled back: each referral rejected by its own decision, or refused with it."""
    answers = [course.answers[place] for place in sorted(course.answers)]
    issues = finish.issues_of(answers)
    kind = _kind_of_failure(answers)
    if incoming.is_update:
        return failed(kind, *issues)
    draft = Draft(site, incoming, course.envelope, course.known)
    own = {place: course.answers[place] for place in course.ordinals}
    conflicts = [answer for answer in own.values() if answer.fault is FaultKind.CONFLICT]
    draft.add_received("conflict" if own and len(conflicts) == len(own) else "decided", keep_body=True)
    for place, ordinal in course.ordinals.items():
        _record_one(draft, course, place, ordinal)
    with site.store.writing() as connection:
        draft.write(connection)
    return failed(kind, *issues)


def _record_one(draft: Draft, course: Course, place: int, ordinal: int) -> None:
    answer = course.answers[place]
    if answer.fault is FaultKind.CONFLICT or answer.became in (Became.REPLAYED, Became.UPDATED, Became.UNCHANGED):
        return
    entry = course.envelope.referrals()[ordinal]
    placer = placer_identifier(entry.resource)
    if is_failed(answer):
        add_ledger(draft, ordinal, finish.state_of(answer), answer.issues, None, placer)
    else:
        words = "The transaction failed because of another entry."
        issue = error("processing", "transaction-failed", words, entry.path)
        add_ledger(draft, ordinal, Disposition.REFUSED, (issue,), None, placer)


def _kind_of_failure(answers: list[Answer]) -> FaultKind:
    """A failed transaction is invalid when any entry is; else what the entries say, the rules of business last."""
    kinds = {answer.fault for answer in answers if is_failed(answer)}
    for kind in (FaultKind.INVALID, FaultKind.PRECONDITION, FaultKind.BUSINESS_RULE, FaultKind.CONFLICT):
        if kind in kinds:
            return kind
    return FaultKind.INVALID
