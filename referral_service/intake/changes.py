"""What happens to a referral that is already here: updated, cancelled, or decided again when its patient arrives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from typing import Any

import orjson

from referral_service.fhir import writer
from referral_service.fhir.bundle import Entry, Resource
from referral_service.fhir.canonical import canonical_hash
from referral_service.fhir.parse import dump
from referral_service.fhir.writer import Stamp, decided_task, served
from referral_service.fhir.writer import moves as written
from referral_service.intake.alerts import raise_of_change
from referral_service.intake.applying import Fields, Moving, apply, enter, pauses, position_of, read_resource, write
from referral_service.intake.correcting import birth_date_of, decided_by_hand, is_in_human_hands, own_tags
from referral_service.intake.course import Course
from referral_service.intake.deciding import Decided, decide_entry, located
from referral_service.intake.draft import Draft, Replacement
from referral_service.intake.evidence import records_of
from referral_service.intake.fetches import await_from_ehr
from referral_service.intake.referrals import served_referral, task_subject
from referral_service.intake.rows import (
    add_key,
    add_provenance,
    referral_columns,
    referral_tokens,
    task_columns,
    told,
)
from referral_service.intake.site import Answer, Became, failed
from referral_service.intake.subject import Subject, awaited_identifier, identifier_pairs
from referral_service.issues import FaultKind, Issue, error
from referral_service.referral import Disposition
from referral_service.store import lookups, tables, tasks
from referral_service.store.engine import Connection
from referral_service.store.lookups import referral_with_task
from referral_service.store.writes import bounded, move_ledger
from referral_service.worklist import (
    FINAL,
    MORE_INFORMATION,
    WISH,
    WITHDRAWN,
    Actor,
    Role,
    Takes,
    due_on,
    position_on_cancel,
)

Row = Mapping[str, Any]
CANCELS = frozenset({"revoked", "entered-in-error"})


def if_match_missing() -> Issue:
    words = "Say with If-Match which version is to be changed, as the ETag of a read gives it."
    return error("required", "if-match-missing", words)


def current_answer(row: Row, became: Became, task_id: str | None) -> Answer:
    """The referral as it stands, nothing changed, with what was said of it when it was decided."""
    issues = writer.decided_issues(row["decision"])
    return Answer(
        became, issues, "ServiceRequest", row["id"], row["version"], row["last_updated"], row["content"], task_id
    )


def update(course: Course, entry: Entry, subject: Subject, referral_id: str) -> Answer:
    """The sender corrects or adds: decided again as a new version, on the clock of the first receipt."""
    draft = course.draft
    row, task = referral_with_task(course.connection, referral_id)
    if row["content_hash"] == canonical_hash(draft.envelope, entry):
        return current_answer(row, Became.UNCHANGED, task["id"])
    if task["status"] in FINAL:
        return failed(FaultKind.CONFLICT, _final(task))
    patient = course.patient(subject)
    if _is_another(course, row, subject, patient):
        return failed(FaultKind.BUSINESS_RULE, _subject_changed())
    moving = Moving(task, read_resource(task["content"]), position_of(task, row["status"]))
    _reply(draft, moving)
    decided = decide_again(course, row, entry, subject, patient, moving)
    if decided.decision.disposition is Disposition.REJECTED:
        return failed(FaultKind.BUSINESS_RULE, *decided.decision.issues)
    course.assign_patient(entry, subject, f"Patient/{row['patient_id']}" if row["patient_id"] else None)
    key = draft.known.keys.get(("placer", decided.placer or ""))
    if key is not None and key.referral_id != referral_id:
        return failed(FaultKind.CONFLICT, _placer_of_another(key.referral_id))
    if decided.placer and key is None:
        add_key(draft, "placer", decided.placer, decided.content_hash, referral_id)
    answer = write_again(course.connection, draft, decided, row, moving, sender(draft))
    awaited = await_from_ehr(course, decided, referral_id)
    return replace(answer, issues=(*answer.issues, *course.remarks_of(entry), *awaited))


def _subject_changed() -> Issue:
    words = "The subject of a referral never changes; send a new referral for another patient."
    return error("business-rule", "subject-changed", words, "ServiceRequest.subject")


def _placer_of_another(referral_id: str | None) -> Issue:
    words = f"This placer identifier is the one of another referral: see ServiceRequest/{referral_id}."
    return error("conflict", "other-content", words, "ServiceRequest.identifier")


def sender(draft: Draft) -> Actor:
    """Who sends, as the one who moves a Task by it."""
    client = draft.incoming.client
    return Actor(client, client, frozenset({Role.PLACER}), frozenset(), client)


def _reply(draft: Draft, task: Moving) -> None:
    """What was sent answers the question that the Task waits for, and takes a wish to cancel back."""
    reason = written.own_code(task.content.get("statusReason"), "status-reason")
    if task.position.status == "on-hold" and reason == MORE_INFORMATION:
        _step(draft, task, "resume", {})
    if task.position.is_withdrawn:
        _step(draft, task, "set-business-status", {})


def _step(draft: Draft, task: Moving, code: str, fields: Fields) -> None:
    policy = draft.site.policy
    today = draft.incoming.at.astimezone(policy.zone).date()
    apply(task, code, fields, sender(draft), draft.incoming.instant, today, policy)


def decide_again(
    course: Course,
    row: Row,
    entry: Entry,
    subject: Subject,
    patient: Resource | None,
    task: Moving,
    *,
    taken_in: bool = False,
) -> Decided:
    """The same decision function, on the day of first receipt, as one that stands in a queue already.

    What humans have decided before stands over it.
    """
    before = orjson.loads(row["decision_input"])
    corrections = tasks.corrections(course.connection, row["id"])
    decided = decide_entry(
        course.site,
        course.envelope,
        entry,
        subject,
        patient,
        records_of(course, entry, subject, patient),
        date.fromisoformat(row["received_on"]),
        open_elsewhere=before["open_elsewhere"],
        already_taken=True,
        taken_in=taken_in,
        birth_date=birth_date_of(corrections),
        placer_system=course.incoming.placer_system,
    )
    if decided.decision.disposition is Disposition.REJECTED:
        return decided
    queue = task.position.queue if is_in_human_hands(task) else None
    return decided_by_hand(decided, corrections, queue, course.site)


def write_again(connection: Connection, draft: Draft, decided: Decided, row: Row, task: Moving, actor: Actor) -> Answer:
    """A changed decision is a new version of the referral; its Task follows, but never over a human's decision."""
    stamp = Stamp.following(row, draft.incoming.instant)
    resource, text = served_referral(draft, decided, stamp, own_tags(row))
    values = referral_columns(draft, decided, resource, text)
    values |= {"received_id": draft.received_id, "path": decided.entry.path}
    draft.replacements.append(Replacement(tables.service_request, row["id"], row["version"], "ServiceRequest", values))
    draft.add_tokens("ServiceRequest", row["id"], referral_tokens(resource, decided.awaiting) | draft.refers(resource))
    in_human_hands = is_in_human_hands(task)
    _task_follows(draft, decided, resource, task, actor)
    task_id = task.row["id"]
    add_provenance(draft, row["id"], task_id, decided.decision, "UPDATE")
    raise_of_change(connection, draft, row["id"], decided.decision)
    issues = located(decided.decision.issues, decided.entry)
    if not in_human_hands:
        move_ledger(connection, row["id"], decided.decision.disposition, told(issues))
    return Answer(
        Became.UPDATED,
        issues,
        "ServiceRequest",
        row["id"],
        stamp.version,
        stamp.last_updated,
        text,
        task_id,
    )


def _task_follows(draft: Draft, decided: Decided, resource: Resource, task: Moving, actor: Actor) -> None:
    site, decision = draft.site, decided.decision
    assert decision.queue is not None
    enter(task, decision.queue)
    task.content = decided_task(task.content, decision, site.policy.notice, site.code_versions)
    subject = task_subject(draft, decided, resource)
    due = due_on(decided.given.received_on, decision.assessed_priority, site.policy, pauses(task.content))
    task.content |= {"restriction": {"period": {"end": due.isoformat()}}, **({"for": subject} if subject else {})}
    task.columns |= task_columns(draft, decided, task.content)
    write(draft, task, actor)


def _is_another(course: Course, row: Row, subject: Subject, patient: Resource | None) -> bool:
    """Whether an update speaks of another patient than the referral did; one that named nobody may name one now."""
    if row["awaiting"] is not None:
        known = [*(subject.entry.addresses() if subject.entry else []), *subject.awaiting]
        names = [*known, *map(awaited_identifier, identifier_pairs(patient or {}))]
        return row["awaiting"] not in {bounded(name) for name in names}
    if row["patient_id"] is None:
        return False
    own = f"Patient/{row['patient_id']}"
    if patient is None or own in _known_as(course, subject, patient):
        return patient is None
    before = orjson.loads(lookups.contents(course.connection, "Patient", [row["patient_id"]])[row["patient_id"]])
    return subject.entry is None or not _resembles(patient, before)


def _known_as(course: Course, subject: Subject, patient: Resource) -> set[str | None]:
    by_identifier = {
        f"Patient/{one}" for pair in identifier_pairs(patient) for one in course.known.patients.get(pair, [])
    }
    sent = course.draft.assigned.get(id(subject.entry.resource)) if subject.entry else None
    return {*by_identifier, subject.stored, sent}


def _resembles(patient: Resource, before: Resource) -> bool:
    """Whether a Patient sent along can be the one of before: without identifiers on both sides, by name or birth."""
    if identifier_pairs(patient) and identifier_pairs(before):
        return False
    return any(name in patient and patient[name] == before.get(name) for name in ("name", "birthDate"))


def _is_surely_another(course: Course, row: Row, subject: Subject) -> bool:
    """A revoke often says little of the patient; only one that names somebody else is not meant for this referral."""
    patient = course.patient(subject)
    if patient is None or row["patient_id"] is None or not (subject.stored or identifier_pairs(patient)):
        return False
    return _is_another(course, row, subject, patient)


def cancel(course: Course, entry: Entry, subject: Subject, referral_id: str) -> Answer:
    """A revoke or entered-in-error of a known referral, by the sender's wish; the same again is a replay."""
    draft = course.draft
    row, task = referral_with_task(course.connection, referral_id)
    wanted = entry.resource["status"]
    if row["status"] == wanted:
        return replace(current_answer(row, Became.REPLAYED, task["id"]), issues=())
    if _is_surely_another(course, row, subject):
        return failed(FaultKind.BUSINESS_RULE, _subject_changed())
    moving = Moving(task, read_resource(task["content"]), position_of(task))
    after = position_on_cancel(moving.position)
    if after is None:
        return failed(FaultKind.CONFLICT, _final(task))
    answer = _revoked(draft, entry, row, task["id"])
    if after.status == "cancelled":
        _step(draft, moving, "cancel", {Takes.REASON: WITHDRAWN})
    else:
        _step(draft, moving, "set-business-status", {Takes.BUSINESS_STATUS: WISH})
    if wanted == "entered-in-error":
        moving.columns |= {"born": "", "masked": 1}
    write(draft, moving, sender(draft))
    return answer


def _revoked(draft: Draft, entry: Entry, row: Row, task_id: str) -> Answer:
    stamp = Stamp.following(row, draft.incoming.instant)
    before = orjson.loads(row["content"])
    tags = [tag for tag in before["meta"].get("tag", []) if tag not in entry.resource.get("meta", {}).get("tag", [])]
    resource = entry.resource if entry.resource["status"] == "revoked" else _masked(before)
    sent = served(resource, stamp, draft.rewriter(entry), tags=tags if resource is entry.resource else ())
    text = dump(sent).decode()
    values = {
        "last_updated": stamp.last_updated,
        "content": text,
        "status": entry.resource["status"],
        "received_id": draft.received_id,
        "path": entry.path,
        "awaiting": None,
        "content_hash": canonical_hash(draft.envelope, entry),
    }
    draft.replacements.append(Replacement(tables.service_request, row["id"], row["version"], "ServiceRequest", values))
    draft.patients.update({row["patient_id"]} - {None})
    draft.add_tokens("ServiceRequest", row["id"], referral_tokens(sent) | draft.refers(sent))
    return Answer(Became.UPDATED, (), "ServiceRequest", row["id"], stamp.version, stamp.last_updated, text, task_id)


def _masked(resource: Resource) -> Resource:
    """What remains readable of a referral that was entered in error: that it was one, and nothing of the patient."""
    kept = ("resourceType", "id", "meta", "identifier", "intent")
    return {
        **{name: resource[name] for name in kept if name in resource},
        "status": "entered-in-error",
        "subject": {"display": "masked: entered in error"},
    }


def _final(task: Row) -> Issue:
    words = f"The referral's Task is {task['status']} and can no longer be changed; send a new referral."
    return error("conflict", "task-final", words, "ServiceRequest")
