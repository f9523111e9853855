"""One referral of a request: read, decided, and written with its Task."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from referral_service.decide import decide
from referral_service.fhir import writer
from referral_service.fhir.bundle import Entry, Envelope, Resource, identifiers
from referral_service.fhir.canonical import canonical_hash, digest, facts_json
from referral_service.fhir.parse import dump, parse
from referral_service.fhir.reader import placer_identifier, read_patient, read_referral
from referral_service.fhir.writer import (
    AI_ASSISTED,
    Stamp,
    TaskFacts,
    decision_parameters,
    decision_tags,
    outcome,
    provenance,
)
from referral_service.intake.draft import Draft, identifier_tokens
from referral_service.intake.site import Answer, Became, Site, new_id
from referral_service.intake.subject import Subject, identifier_pairs
from referral_service.issues import Issue
from referral_service.referral import Decision, DecisionInput, Flag
from referral_service.store import tables
from referral_service.store.lookups import Known
from referral_service.store.writes import bounded
from referral_service.worklist import due_on


@dataclass(frozen=True, slots=True)
class Decided:
    """A referral with the decision made on it, before anything is written."""

    entry: Entry
    subject: Subject
    given: DecisionInput
    decision: Decision
    content_hash: str
    placer: str | None


def decide_entry(
    site: Site,
    envelope: Envelope,
    entry: Entry,
    subject: Subject,
    patient: Resource | None,
    received_on: date,
    *,
    open_elsewhere: bool,
    already_taken: bool = False,
) -> Decided:
    """Pure: the same referral, patient and day give the same decision at every door."""
    given = DecisionInput(
        referral=read_referral(envelope, entry),
        patient=read_patient(patient) if patient is not None else None,
        received_on=received_on,
        open_elsewhere=open_elsewhere,
        already_taken=already_taken,
    )
    return Decided(
        entry=entry,
        subject=subject,
        given=given,
        decision=decide(given, site.vocabulary, site.policy),
        content_hash=canonical_hash(envelope, entry),
        placer=placer_identifier(entry.resource),
    )


def located(issues: Iterable[Issue], entry: Entry) -> tuple[Issue, ...]:
    """What a decision says of a ServiceRequest, said of the entry that it came in."""
    return tuple(
        replace(issue, expression=entry.path + issue.expression.removeprefix("ServiceRequest"))
        if issue.expression.startswith("ServiceRequest")
        else issue
        for issue in issues
    )


def patient_of(subject: Subject, stored_patients: dict[str, str]) -> Resource | None:
    """The Patient resource itself, from the request or from the store."""
    if subject.entry is not None:
        return subject.entry.resource
    if subject.stored is None or subject.stored.partition("/")[2] not in stored_patients:
        return None
    value: Any = parse(stored_patients[subject.stored.partition("/")[2]].encode()).value
    return dict(value)


def has_open_referral(subject: Subject, patient: Resource | None, known: Known) -> bool:
    """Whether this client has an open referral already for a patient with one of these identifiers."""
    if patient is None:
        return False
    ids = {one for pair in identifier_pairs(patient) for one in known.patients.get(pair, [])}
    if subject.stored:
        ids.add(subject.stored.partition("/")[2])
    return bool(ids & known.with_open_referral)


def write_new(
    draft: Draft, decided: Decided, position: int, remarks: tuple[Issue, ...], follows: str | None = None
) -> Answer:
    """Adds the rows of a routed or held referral: the resource, its Task, Provenance, ledger row and first change.

    ``follows`` is the finished referral whose placer identifier this one carries again.
    """
    at = draft.incoming.instant
    referral_id = draft.assigned[id(decided.entry.resource)].partition("/")[2]
    stamp = Stamp(referral_id, 1, at)
    resource, text = served_referral(draft, decided, stamp)
    task_stamp = Stamp(draft.tasks[referral_id], 1, at)
    task = new_task(draft, decided, resource, task_stamp)
    _add_referral(draft, decided, stamp, resource, text)
    _add_task(draft, decided, task_stamp, task, referral_id)
    add_provenance(draft, referral_id, task_stamp.id, decided.decision, "CREATE", follows)
    issues = (*located(decided.decision.issues, decided.entry), *remarks)
    add_ledger(draft, position, decided.decision.disposition, issues, referral_id, decided.placer, decided.decision)
    if decided.placer and follows is None:
        add_key(draft, "placer", decided.placer, decided.content_hash, referral_id)
    return Answer(Became.CREATED, issues, "ServiceRequest", referral_id, 1, at, text, task_stamp.id)


def served_referral(
    draft: Draft, decided: Decided, stamp: Stamp, replaced: Sequence[Resource] = ()
) -> tuple[Resource, str]:
    """``replaced`` are the tags of the decision before this one, which a sender may have read and sent back."""
    tags = decision_tags(decided.decision, draft.site.code_versions)
    security = [] if _has_label(decided.entry.resource) else [AI_ASSISTED]
    return draft.served_text(decided.entry, stamp, tags=tags, security=security, replaced=replaced)


def _has_label(resource: Resource) -> bool:
    return any(
        label.get("code") == AI_ASSISTED["code"] and label.get("system") == AI_ASSISTED["system"]
        for label in resource.get("meta", {}).get("security", [])
    )


def new_task(draft: Draft, decided: Decided, resource: Resource, stamp: Stamp) -> Resource:
    site, decision = draft.site, decided.decision
    due = due_on(decided.given.received_on, decision.assessed_priority, site.policy)
    facts = TaskFacts(
        referral_id=resource["id"],
        subject=task_subject(draft, decided, resource),
        requester=_without_fragment(resource.get("requester")),
        placer=_placer_identifier(decided.entry.resource),
        received_at=draft.incoming.instant,
        due=due.isoformat(),
    )
    return writer.task(facts, stamp, decision, site.policy.notice, site.code_versions)


def task_subject(draft: Draft, decided: Decided, resource: Resource) -> Resource | None:
    """Who the Task is for: the stored Patient, else the subject as the sender named it."""
    patient = patient_reference(draft, decided)
    return {"reference": patient} if patient else _without_fragment(resource["subject"])


def patient_reference(draft: Draft, decided: Decided) -> str | None:
    if decided.subject.entry is not None:
        return draft.assigned.get(id(decided.subject.entry.resource))
    return decided.subject.stored


def _without_fragment(reference: Resource | None) -> Resource | None:
    """A reference that can stand in another resource: one to a contained resource keeps only its words."""
    if reference is None or not str(reference.get("reference", "")).startswith("#"):
        return reference
    return {name: value for name, value in reference.items() if name != "reference"} or None


def _placer_identifier(resource: Resource) -> Resource | None:
    wanted = placer_identifier(resource)
    own = (one for one in identifiers(resource) if f"{one.get('system', '')}|{one['value']}" == wanted)
    identifier = next(own, None)
    if identifier is None:
        return None
    kind = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "PLAC"}]}
    return {"type": kind, **{name: identifier[name] for name in ("system", "value") if name in identifier}}


def referral_columns(draft: Draft, decided: Decided, resource: Resource, text: str) -> dict[str, Any]:
    """The columns of ``service_request`` that follow from what was sent and decided."""
    given = facts_json(decided.given)
    patient = patient_reference(draft, decided)
    parameters = decision_parameters([decided.decision], draft.site.code_versions)
    return {
        "last_updated": draft.incoming.instant,
        "content": text,
        "status": resource["status"],
        "intent": resource["intent"],
        "priority": decided.given.referral.priority,
        "authored_on": _to_the_nanosecond(resource.get("authoredOn")),
        "requester": _bounded(resource.get("requester", {}).get("reference")),
        "subject": _bounded(resource["subject"].get("reference")),
        "patient_id": patient.partition("/")[2] if patient else None,
        "content_hash": decided.content_hash,
        "awaiting": _bounded(next(iter(decided.subject.awaiting), None)),
        "disposition": decided.decision.disposition,
        "decision": dump(parameters).decode(),
        "decision_input": given.decode(),
        "input_hash": digest(given),
    }


def _to_the_nanosecond(moment: str | None) -> str | None:
    """FHIR sets no limit to the digits of a second; a column does."""
    return re.sub(r"(\.\d{9})\d+", r"\1", moment) if moment else None


def referral_tokens(resource: Resource, awaiting: tuple[str, ...] = ()) -> dict[str, list[tuple[str, str]]]:
    """What a ServiceRequest is searched by, and the names of the Patient that it waits for."""
    codings = resource.get("code", {}).get("coding", [])
    tags = resource["meta"].get("tag", [])
    return {
        "identifier": identifier_tokens(resource),
        "code": [(one.get("system", ""), one["code"]) for one in codings if "code" in one],
        "_awaits": [("", name) for name in awaiting],
        "_tag": [(one.get("system", ""), one["code"]) for one in tags if "code" in one],
    }


def task_columns(draft: Draft, decided: Decided, task: Resource) -> dict[str, Any]:
    """The columns of ``task`` that follow from a decision."""
    decision = decided.decision
    patient = patient_reference(draft, decided)
    return {
        "last_updated": task["meta"]["lastUpdated"],
        "content": dump(task).decode(),
        "patient_id": patient.partition("/")[2] if patient else None,
        "requester": _bounded(task.get("requester", {}).get("reference")),
        "priority_rank": decision.assessed_priority.rank,
        "red_flag": int(Flag.RED_FLAG in decision.flags),
        "due": task["restriction"]["period"]["end"],
        "code": decision.code.cm.code if decision.code else None,
        "flags": f",{','.join(decision.flags)},",
    }


def _add_referral(draft: Draft, decided: Decided, stamp: Stamp, resource: Resource, text: str) -> None:
    draft.add(
        tables.service_request,
        id=stamp.id,
        version=1,
        received_id=draft.received_id,
        received_on=decided.given.received_on.isoformat(),
        path=decided.entry.path,
        **referral_columns(draft, decided, resource, text),
    )
    draft.add_tokens("ServiceRequest", stamp.id, referral_tokens(resource, decided.subject.awaiting))


def _add_task(draft: Draft, decided: Decided, stamp: Stamp, task: Resource, referral_id: str) -> None:
    queue = decided.decision.queue
    columns = task_columns(draft, decided, task)
    draft.add(
        tables.task,
        id=stamp.id,
        version=1,
        referral_id=referral_id,
        queue=queue,
        status="requested",
        authored_on=draft.incoming.instant,
        by_hand=0,
        **columns,
    )
    add_change(draft, stamp, status="requested", queue=queue)


def add_change(draft: Draft, stamp: Stamp, **facts: Any) -> None:
    """One immutable row a version of a Task: its timeline, and what its sender is told from."""
    draft.add(
        tables.status_change,
        task_id=stamp.id,
        version=stamp.version,
        at=stamp.last_updated,
        **{"actor": "referral-service", **facts},
    )


def add_provenance(
    draft: Draft, referral_id: str, task_id: str, decision: Decision, activity: str, follows: str | None = None
) -> None:
    stamp = Stamp(new_id(), 1, draft.incoming.instant)
    targets = [f"ServiceRequest/{referral_id}", f"Task/{task_id}"]
    written = provenance(stamp, targets, decision.policy, draft.site.package_version, activity, follows)
    text = dump(written).decode()
    columns = {"id": stamp.id, "type": "Provenance", "version": 1, "last_updated": stamp.last_updated}
    draft.add(tables.resource, **columns, content=text, content_hash="", birth_date=None)


def add_ledger(
    draft: Draft,
    position: int,
    state: str,
    issues: tuple[Issue, ...],
    referral_id: str | None,
    placer: str | None,
    decision: Decision | None = None,
) -> None:
    red_flag = any(issue.rule == "red-flag" for issue in issues)
    if decision is not None:
        red_flag = red_flag or Flag.RED_FLAG in decision.flags
    draft.add(
        tables.ledger,
        received_id=draft.received_id,
        position=position,
        at=draft.incoming.instant,
        state=state,
        referral_id=referral_id,
        placer=_bounded(placer),
        red_flag=int(red_flag),
        outcome=dump(outcome(issues)).decode(),
    )


def add_key(draft: Draft, kind: str, value: str, content_hash: str, referral_id: str | None) -> None:
    draft.add(
        tables.request_key,
        kind=kind,
        value=bounded(value),
        content_hash=content_hash,
        received_id=draft.received_id,
        referral_id=referral_id,
    )


def _bounded(value: str | None) -> str | None:
    return bounded(value) if value is not None else None
