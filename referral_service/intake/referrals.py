"""One new referral, written with its Task."""

from __future__ import annotations

from collections.abc import Sequence

from referral_service.fhir import writer
from referral_service.fhir.bundle import Resource, identifiers
from referral_service.fhir.parse import dump
from referral_service.fhir.writer import (
    AI_ASSISTED,
    Stamp,
    TaskFacts,
    decision_tags,
)
from referral_service.intake.deciding import Decided, located
from referral_service.intake.draft import Draft
from referral_service.intake.rows import (
    add_change,
    add_key,
    add_ledger,
    add_provenance,
    patient_reference,
    referral_columns,
    referral_tokens,
    task_columns,
)
from referral_service.intake.site import Answer, Became, Incoming
from referral_service.issues import Issue
from referral_service.store import tables
from referral_service.store.engine import instant
from referral_service.worklist import due_on, machine


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
        placer=_placer_identifier(decided),
        received_at=instant(draft.incoming.first_received),
        due=due.isoformat(),
    )
    return writer.task(facts, stamp, decision, site.policy.notice, site.code_versions)


def task_subject(draft: Draft, decided: Decided, resource: Resource) -> Resource | None:
    """Who the Task is for: the stored Patient, else the subject as the sender named it."""
    patient = patient_reference(draft, decided)
    return {"reference": patient} if patient else _without_fragment(resource["subject"])


def _without_fragment(reference: Resource | None) -> Resource | None:
    """A reference that can stand in another resource: one to a contained resource keeps only its words."""
    if reference is None or not str(reference.get("reference", "")).startswith("#"):
        return reference
    return {name: value for name, value in reference.items() if name != "reference"} or None


def _placer_identifier(decided: Decided) -> Resource | None:
    listed = identifiers(decided.entry.resource)
    own = (one for one in listed if f"{one.get('system', '')}|{one['value']}" == decided.placer)
    identifier = next(own, None)
    if identifier is None:
        return None
    kind = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "PLAC"}]}
    return {"type": kind, **{name: identifier[name] for name in ("system", "value") if name in identifier}}


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
    draft.add_tokens("ServiceRequest", stamp.id, referral_tokens(resource, decided.awaiting) | draft.refers(resource))


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
        authored_on=instant(draft.incoming.first_received),
        last_updated=stamp.last_updated,
        content=dump(task).decode(),
        due=task["restriction"]["period"]["end"],
        by_hand=int(draft.incoming.taking is not None),
        **columns,
    )
    add_change(draft, stamp, 1, status="requested", queue=queue, **_beginning(draft.incoming))


def _beginning(incoming: Incoming) -> dict[str, str]:
    """Who brought a referral here: this service for who sent it, or who entered it by hand or took it in, and why."""
    who = incoming.by or machine()
    said = {"actor": who.id, "actor_name": who.name, "action": "create"}
    return said | ({"action": "take-in", "comment": incoming.taking.reason} if incoming.taking else {})
