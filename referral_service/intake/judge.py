"""Every referral of a request judged: refused, rejected, a replay, a conflict, a change, or new."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from referral_service.fhir.bundle import Entry
from referral_service.fhir.canonical import canonical_hash
from referral_service.fhir.messages import Act
from referral_service.fhir.reader import placer_identifier
from referral_service.intake import changes
from referral_service.intake.course import Course, Work
from referral_service.intake.deciding import Decided, decide_entry, has_open_referral
from referral_service.intake.evidence import records_of
from referral_service.intake.fetches import await_from_ehr
from referral_service.intake.messages import update_of_unknown
from referral_service.intake.referrals import write_new
from referral_service.intake.refusals import refusal
from referral_service.intake.replays import duplicate
from referral_service.intake.site import Answer, Became, failed, is_failed, new_id, type_and_id
from referral_service.intake.subject import Subject, find_subject
from referral_service.issues import FaultKind, Issue, error
from referral_service.referral import Disposition
from referral_service.store.lookups import KnownKey, referral_with_task
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
            course.answer(place, verdict)
        else:
            course.work[place] = verdict


def point_at_our_tasks(course: Course) -> None:
    """A Task sent along is not stored; what points at it points at ours, that of the referral in its focus."""
    for entry in course.sound_entries():
        if entry.type == "Task":
            kind, referral_id = type_and_id(course.draft.reference_of(entry.resource.get("focus", {}), entry) or "")
            if kind == "ServiceRequest":
                course.draft.assign(entry, f"Task/{_task_of(course, referral_id)}")


def _task_of(course: Course, referral_id: str) -> str:
    known = course.draft.tasks.get(referral_id)
    return known or str(referral_with_task(course.connection, referral_id)[1]["id"])


def _judge(course: Course, entry: Entry, ordinal: int) -> Answer | Work:
    forbidden = [issue for place in _forbidden(course, entry) for issue in course.forbidden[place].issues]
    if forbidden:
        if course.sent_before(entry):
            course.known_referrals.add(entry.position or 0)
        return _refused(course, entry, FaultKind.FORBIDDEN, *forbidden)
    faults = [*course.reading.faults_of(entry), *_of_refused_entries(course, entry)]
    if faults:
        return _refused(course, entry, FaultKind.INVALID, *faults)
    subject = find_subject(course.envelope, entry, course.known, course.site.public_url)
    if subject.fault:
        return _refused(course, entry, FaultKind.BUSINESS_RULE, subject.fault)
    placer = placer_identifier(entry.resource, course.incoming.placer_system)
    key = course.known.keys.get(("placer", placer)) if placer else None
    sent_before = course.sent_before(entry) or (key.referral_id if key else None)
    if sent_before and sent_before not in course.made_here:
        change = _change(course, entry, subject, sent_before)
        if change is not None:
            return change
    if key is None:
        return new_referral(course, entry, subject, ordinal, None)
    return _again(course, entry, key) or new_referral(course, entry, subject, ordinal, key.referral_id)


def _forbidden(course: Course, entry: Entry) -> list[int]:
    """The places of what its sender may not send, of the entry itself and of all that its references lead to."""
    return sorted(course.reading.reached(entry) & course.forbidden.keys()) if course.forbidden else []


def _of_refused_entries(course: Course, entry: Entry) -> list[Issue]:
    """What was said of supporting data that its references lead to and that a condition has kept out.

    A transaction fails by that entry itself.
    """
    refused = {place for place, answer in course.answers.items() if is_failed(answer)} - course.ordinals.keys()
    if not refused or course.envelope.bundle_type == "transaction":
        return []
    return [
        issue for place in sorted(course.reading.reached(entry) & refused) for issue in course.answers[place].issues
    ]


def _refused(course: Course, entry: Entry, kind: FaultKind, *faults: Issue) -> Answer:
    """Its words are searched for red flags all the same."""
    return failed(kind, *refusal(course.site, course.reading.text_of(entry, course.incoming.body), faults).issues)


def _change(course: Course, entry: Entry, subject: Subject, referral_id: str) -> Answer | Work | None:
    """A cancel or an update of a referral that is here; None when the entry is a plain create."""
    is_cancel = entry.resource["status"] in changes.CANCELS
    if not is_cancel and entry.method != "PUT" and not _is_update(course, entry):
        return None
    course.known_referrals.add(entry.position or 0)
    if not course.incoming.allows("ServiceRequest", "u"):
        words = "This changes a referral that is here, for which the scope system/ServiceRequest.u is needed."
        return failed(FaultKind.FORBIDDEN, error("forbidden", "forbidden", words, entry.path))
    if entry.position is None and entry.method == "PUT" and course.incoming.if_match is None:
        return failed(FaultKind.INVALID, changes.if_match_missing())
    if referral_id in course.changed_here:
        words = "Another entry of this request changes the same referral."
        return failed(FaultKind.INVALID, error("invalid", "bundle-rule", words, entry.path))
    course.changed_here.add(referral_id)
    course.draft.assign(entry, f"ServiceRequest/{referral_id}")
    return partial(changes.cancel if is_cancel else changes.update, course, entry, subject, referral_id)


def _is_update(course: Course, entry: Entry) -> bool:
    return course.reading.acts.get(entry.position or 0) is Act.UPDATE


def _again(course: Course, entry: Entry, key: KnownKey) -> Answer | Work | None:
    """What a key that is known already decides: a replay, a conflict, or None when the first referral has ended."""
    assert key.referral_id is not None
    digest = canonical_hash(course.envelope, entry)
    reference = f"ServiceRequest/{key.referral_id}"
    if key.referral_id in course.made_here:
        if key.content_hash != digest:
            return _other_content(course, entry, reference)
        course.draft.assign(entry, reference)
        return partial(_as_first, course, course.made_here[key.referral_id])
    row, task = referral_with_task(course.connection, key.referral_id)
    if digest in (key.content_hash, row["content_hash"]):
        if course.incoming.bars:
            return failed(FaultKind.CONFLICT, duplicate(reference))
        course.draft.assign(entry, reference)
        course.draft.tasks[key.referral_id] = task["id"]
        course.replayed_from.add(key.received_id)
        return changes.current_answer(row, Became.REPLAYED, task["id"])
    return None if task["status"] in FINAL else _other_content(course, entry, reference)


def _as_first(course: Course, place: int) -> Answer:
    return replace(course.answers[place], became=Became.REPLAYED)


def new_referral(course: Course, entry: Entry, subject: Subject, ordinal: int, follows: str | None) -> Answer | Work:
    """One that is not here yet: rejected, or the work of writing it. ``follows`` is the finished one of its key."""
    patient, is_taken_in = course.patient(subject), course.incoming.taking is not None
    decided = decide_entry(
        course.site,
        course.envelope,
        entry,
        subject,
        patient,
        records_of(course, entry, subject, patient),
        course.incoming.first_received.astimezone(course.site.policy.zone).date(),
        open_elsewhere=has_open_referral(subject, patient, course.known),
        already_taken=is_taken_in,
        taken_in=is_taken_in,
        placer_system=course.incoming.placer_system,
    )
    if decided.decision.disposition is Disposition.REJECTED:
        return failed(FaultKind.BUSINESS_RULE, *decided.decision.issues)
    course.assign_patient(entry, subject)
    referral_id = new_id()
    course.draft.assign(entry, f"ServiceRequest/{referral_id}")
    course.draft.tasks[referral_id] = new_id()
    course.made_here[referral_id] = entry.position or 0
    if decided.placer:
        key = KnownKey(decided.content_hash, course.draft.received_id, referral_id)
        course.known.keys["placer", decided.placer] = key
    return partial(_write, course, decided, ordinal, follows)


def judge_new(course: Course, entry: Entry, subject: Subject, ordinal: int) -> Answer | Work:
    """What a human takes in is new, or else the sender has sent it again meanwhile, and then that one is worked on."""
    placer = placer_identifier(entry.resource, course.incoming.placer_system)
    key = course.known.keys.get(("placer", placer)) if placer else None
    here = course.sent_before(entry) or (key.referral_id if key else None)
    if here is not None and referral_with_task(course.connection, here)[1]["status"] not in FINAL:
        words = f"The sender has sent this referral again since: see ServiceRequest/{here}."
        return replace(failed(FaultKind.CONFLICT, error("conflict", "other-content", words)), id=here)
    return new_referral(course, entry, subject, ordinal, key.referral_id if key else None)


def _write(course: Course, decided: Decided, ordinal: int, follows: str | None) -> Answer:
    awaited = await_from_ehr(course, decided, type_and_id(course.draft.assigned[id(decided.entry.resource)])[1])
    remarks = (*course.remarks_of(decided.entry), *awaited)
    if _is_update(course, decided.entry):
        remarks = (*remarks, update_of_unknown(decided.entry))
    answer = write_new(course.draft, decided, ordinal, remarks, follows)
    if follows and decided.placer:
        new = {
            "content_hash": decided.content_hash,
            "received_id": course.draft.received_id,
            "referral_id": answer.id,
        }
        course.draft.moved_keys.append(("placer", decided.placer, follows, new))
    return answer


def _other_content(course: Course, entry: Entry, reference: str) -> Answer:
    words = f"This placer identifier was sent before with other content: see {reference}; to change it, PUT it there."
    place = "ServiceRequest.identifier"
    return _refused(course, entry, FaultKind.CONFLICT, error("conflict", "other-content", words, place))
