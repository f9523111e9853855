"""Every referral of a request judged: refused, rejected, a replay, a conflict, a change, or new."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from referral_service.fhir.bundle import Entry
from referral_service.fhir.canonical import canonical_hash
from referral_service.fhir.reader import placer_identifier
from referral_service.intake import changes
from referral_service.intake.course import Course, Work
from referral_service.intake.referrals import Decided, decide_entry, has_open_referral, write_new
from referral_service.intake.site import Answer, Became, failed, new_id, type_and_id
from referral_service.intake.subject import Subject, find_subject
from referral_service.issues import FaultKind, Issue, error
from referral_service.referral import Disposition
from referral_service.store.lookups import KnownKey, referral_with_task
from referral_service.store.writes import point_key
from referral_service.worklist import FINAL


def judge_referrals(course: Course) -> None:
    """An answer, or work that will give one, for each referral."""
    for ordinal, entry in enumerate(course.envelope.referrals()):
        place = entry.position or 0
        course.ordinals[place] = ordinal
        if place in course.answers:
            continue
        verdict = _judge(course, entry, ordinal)
        if isinstance(verdict, Answer):
            course.answers[place] = verdict
        else:
            course.work[place] = verdict


def _judge(course: Course, entry: Entry, ordinal: int) -> Answer | Work:
    faults = course.reading.faults_of(entry)
    if faults:
        return failed(FaultKind.INVALID, *faults)
    subject = find_subject(course.envelope, entry, course.known, course.site.public_url)
    if subject.fault:
        return failed(FaultKind.BUSINESS_RULE, subject.fault)
    placer = placer_identifier(entry.resource)
    key = course.known.keys.get(("placer", placer)) if placer else None
    sent_before = _sent_before(course, entry) or (key.referral_id if key else None)
    if sent_before and sent_before not in course.made_here:
        course.known_referrals.add(entry.position or 0)
        course.draft.assigned[id(entry.resource)] = f"ServiceRequest/{sent_before}"
        if entry.resource["status"] in changes.CANCELS:
            return partial(changes.cancel, course.connection, course.draft, entry, sent_before)
        if entry.method == "PUT":
            return _update(course, entry, subject, sent_before)
    if key is None:
        return _new(course, entry, subject, ordinal, None)
    return _again(course, entry, key) or _new(course, entry, subject, ordinal, key.referral_id)


def _sent_before(course: Course, entry: Entry) -> str | None:
    """The stored referral that an entry speaks of, by its sender's name for it or a conditional URL."""
    known = [course.known.addresses.get(name, "") for name in entry.addresses()]
    for reference in (course.conditional.get(entry.position or 0, ""), *known):
        kind, identity = type_and_id(reference)
        if kind == "ServiceRequest":
            return identity
    return None


def _update(course: Course, entry: Entry, subject: Subject, referral_id: str) -> Work:
    patient = course.patient(subject)
    course.assign_patient(subject)
    remarks = course.remarks_of(entry)
    return partial(changes.update, course.connection, course.draft, entry, subject, patient, referral_id, remarks)


def _again(course: Course, entry: Entry, key: KnownKey) -> Answer | Work | None:
    """What a key that is known already decides: a replay, a conflict, or None when the first referral has ended."""
    assert key.referral_id is not None
    digest = canonical_hash(course.envelope, entry)
    reference = f"ServiceRequest/{key.referral_id}"
    if key.referral_id in course.made_here:
        if key.content_hash != digest:
            return failed(FaultKind.CONFLICT, _other_content(reference))
        course.draft.assigned[id(entry.resource)] = reference
        return partial(_as_first, course, course.made_here[key.referral_id])
    row, task = referral_with_task(course.connection, key.referral_id)
    if digest in (key.content_hash, row["content_hash"]):
        course.draft.assigned[id(entry.resource)] = reference
        course.replayed_from.add(key.received_id)
        return changes.current_answer(row, Became.REPLAYED, task["id"])
    return None if task["status"] in FINAL else failed(FaultKind.CONFLICT, _other_content(reference))


def _as_first(course: Course, place: int) -> Answer:
    return replace(course.answers[place], became=Became.REPLAYED)


def _new(course: Course, entry: Entry, subject: Subject, ordinal: int, follows: str | None) -> Answer | Work:
    patient = course.patient(subject)
    received_on = course.incoming.at.astimezone(course.site.policy.zone).date()
    doubled = has_open_referral(subject, patient, course.known)
    decided = decide_entry(course.site, course.envelope, entry, subject, patient, received_on, open_elsewhere=doubled)
    if decided.decision.disposition is Disposition.REJECTED:
        return failed(FaultKind.BUSINESS_RULE, *decided.decision.issues)
    course.assign_patient(subject)
    referral_id = new_id()
    course.draft.assign(entry, f"ServiceRequest/{referral_id}")
    course.made_here[referral_id] = entry.position or 0
    if decided.placer:
        key = KnownKey(decided.content_hash, course.draft.received_id, referral_id)
        course.known.keys["placer", decided.placer] = key
    return partial(_write, course, decided, ordinal, follows)


def _write(course: Course, decided: Decided, ordinal: int, follows: str | None) -> Answer:
    answer = write_new(course.draft, decided, ordinal, course.remarks_of(decided.entry), follows)
    if follows and decided.placer:
        new = {
            "content_hash": decided.content_hash,
            "received_id": course.draft.received_id,
            "referral_id": answer.id,
        }
        point_key(course.connection, course.incoming.client, "placer", decided.placer, new)
    return answer


def _other_content(reference: str) -> Issue:
    words = f"This placer identifier was sent before with other content: see {reference}; to change it, PUT it there."
    return error("conflict", "other-content", words, "ServiceRequest.identifier")
