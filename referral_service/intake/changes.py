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
from referral_service.fhir.writer import Stamp, decided_task, owner, served
from referral_service.intake.course import Course
from referral_service.intake.deciding import Decided, decide_entry, located
from referral_service.intake.draft import Draft, Replacement
from referral_service.intake.evidence import records_of
from referral_service.intake.referrals import served_referral, task_subject
from referral_service.intake.rows import (
    add_change,
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
from referral_service.referral import Disposition, Queue
from referral_service.store import lookups, tables
from referral_service.store.engine import Connection
from referral_service.store.lookups import referral_with_task
from referral_service.store.writes import bounded, move_ledger
from referral_service.worklist import FINAL, Position, due_on, position_on_cancel

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
    decided = decide_again(course, row, entry, subject, patient)
    if decided.decision.disposition is Disposition.REJECTED:
        return failed(FaultKind.BUSINESS_RULE, *decided.decision.issues)
    course.assign_patient(entry, subject, f"Patient/{row['patient_id']}" if row["patient_id"] else None)
    key = draft.known.keys.get(("placer", decided.placer or ""))
    if key is not None and key.referral_id != referral_id:
        return failed(FaultKind.CONFLICT, _placer_of_another(key.referral_id))
    if decided.placer and key is None:
        add_key(draft, "placer", decided.placer, decided.content_hash, referral_id)
    answer = write_again(course.connection, draft, decided, row, task)
    return replace(answer, issues=(*answer.issues, *course.remarks_of(entry)))


def _subject_changed() -> Issue:
    words = "The subject of a referral never changes; send a new referral for another patient."
    return error("business-rule", "subject-changed", words, "ServiceRequest.subject")


def _placer_of_another(referral_id: str | None) -> Issue:
    words = f"This placer identifier is the one of another referral: see ServiceRequest/{referral_id}."
    return error("conflict", "other-content", words, "ServiceRequest.identifier")


def decide_again(
    course: Course, row: Row, entry: Entry, subject: Subject, patient: Resource | None, *, taken_in: bool = False
) -> Decided:
    """The same decision function, on the day of first receipt, as one that stands in a queue already."""
    before = orjson.loads(row["decision_input"])
    return decide_entry(
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
    )


def write_again(connection: Connection, draft: Draft, decided: Decided, row: Row, task: Row) -> Answer:
    """A changed decision is a new version of the referral; its Task follows, but never over a human's decision."""
    stamp = Stamp(row["id"], row["version"] + 1, draft.incoming.instant)
    resource, text = served_referral(draft, decided, stamp, _own_tags(row))
    values = referral_columns(draft, decided, resource, text)
    values |= {"received_id": draft.received_id, "path": decided.entry.path}
    draft.replacements.append(Replacement(tables.service_request, row["id"], row["version"], "ServiceRequest", values))
    draft.add_tokens("ServiceRequest", row["id"], referral_tokens(resource, decided.awaiting))
    _task_follows(draft, decided, resource, task)
    add_provenance(draft, row["id"], task["id"], decided.decision, "UPDATE")
    issues = located(decided.decision.issues, decided.entry)
    if not is_in_human_hands(task):
        move_ledger(connection, row["id"], decided.decision.disposition, told(issues))
    return Answer(
        Became.UPDATED,
        issues,
        "ServiceRequest",
        row["id"],
        stamp.version,
        stamp.last_updated,
        text,
        task["id"],
    )


def _own_tags(row: Row) -> list[Resource]:
    """The tags that stand on a stored referral: whoever reads it and sends it back sends them along."""
    listed: list[Resource] = orjson.loads(row["content"])["meta"].get("tag", [])
    ours = {writer.own_system(name) for name in ("queue", "certainty", "flag")}
    codes = writer.decided_codings(row["decision"])
    return [tag for tag in listed if tag.get("system") in ours or tag in codes]


def is_in_human_hands(task: Row) -> bool:
    """Whether a human has chosen the queue or taken the Task up; the machine then leaves it where it is."""
    return bool(task["by_hand"]) or task["status"] != "requested"


def _task_follows(draft: Draft, decided: Decided, resource: Resource, task: Row) -> None:
    site, decision = draft.site, decided.decision
    queue = Queue(task["queue"]) if is_in_human_hands(task) or decision.queue is None else decision.queue
    stamp = Stamp(task["id"], task["version"] + 1, draft.incoming.instant)
    written = decided_task(orjson.loads(task["content"]), decision, site.policy.notice, site.code_versions)
    subject = task_subject(draft, decided, resource)
    due = due_on(decided.given.received_on, decision.assessed_priority, site.policy).isoformat()
    written |= {"owner": owner(queue), "restriction": {"period": {"end": due}}, **({"for": subject} if subject else {})}
    restamp(written, stamp)
    values = task_columns(draft, decided, writer.typed(written)) | {"queue": queue}
    draft.replacements.append(Replacement(tables.task, task["id"], task["version"], "Task", values))
    add_change(draft, stamp, status=task["status"], business_status=task["business_status"], queue=queue)


def restamp(task: Resource, stamp: Stamp) -> None:
    """A new version of a Task carries the time of its change twice, as FHIR asks."""
    task["meta"] = {**task["meta"], "versionId": str(stamp.version), "lastUpdated": stamp.last_updated}
    task["lastModified"] = stamp.last_updated


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
    position = Position(task["status"], Queue(task["queue"]), task["held_from"], assignee=task["assignee"])
    after = position_on_cancel(position)
    if after is None:
        return failed(FaultKind.CONFLICT, _final(task))
    answer = _revoked(draft, entry, row, task["id"])
    _cancel_task(draft, task, after)
    return answer


def _revoked(draft: Draft, entry: Entry, row: Row, task_id: str) -> Answer:
    stamp = Stamp(row["id"], row["version"] + 1, draft.incoming.instant)
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
    draft.add_tokens("ServiceRequest", row["id"], referral_tokens(sent))
    return Answer(Became.UPDATED, (), "ServiceRequest", row["id"], stamp.version, stamp.last_updated, text, task_id)


def _masked(resource: Resource) -> Resource:
    """What remains readable of a referral that was entered in error: that it was one, and nothing of the patient."""
    kept = ("resourceType", "id", "meta", "identifier", "intent")
    return {
        **{name: resource[name] for name in kept if name in resource},
        "status": "entered-in-error",
        "subject": {"display": "masked: entered in error"},
    }


def _cancel_task(draft: Draft, task: Row, after: Position) -> None:
    stamp = Stamp(task["id"], task["version"] + 1, draft.incoming.instant)
    written = orjson.loads(task["content"])
    restamp(written, stamp)
    written["status"] = after.status
    reason: Resource | None = None
    if after.status == "cancelled":
        reason = {"coding": [{"system": writer.own_system("status-reason"), "code": "withdrawn-by-sender"}]}
        written["statusReason"] = reason
    if after.business_status:
        coding = {"system": writer.own_system("business-status"), "code": after.business_status}
        written["businessStatus"] = {"coding": [coding]}
    values = {
        "last_updated": stamp.last_updated,
        "content": dump(writer.typed(written)).decode(),
        "status": after.status,
        "business_status": after.business_status or task["business_status"],
        "held_from": after.held_from,
    }
    draft.replacements.append(Replacement(tables.task, task["id"], task["version"], "Task", values))
    add_change(
        draft,
        stamp,
        status=after.status,
        business_status=after.business_status,
        queue=task["queue"],
        reason=dump(reason).decode() if reason else None,
        actor=draft.incoming.client,
    )


def _final(task: Row) -> Issue:
    words = f"The referral's Task is {task['status']} and can no longer be changed; send a new referral."
    return error("conflict", "task-final", words, "ServiceRequest")
