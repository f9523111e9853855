"""The rows that a referral, its Task and its place in the ledger are written as."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

from referral_service.decide import taken_in
from referral_service.fhir.bundle import Resource
from referral_service.fhir.canonical import digest, facts_json
from referral_service.fhir.names import referenced_name, words
from referral_service.fhir.parse import dump
from referral_service.fhir.writer import (
    Stamp,
    correction_parameter,
    decision_parameters,
    outcome,
    provenance,
    provenance_by_hand,
)
from referral_service.intake.alerts import raise_of_not_taken, raise_of_referral
from referral_service.intake.deciding import Decided
from referral_service.intake.draft import Draft, identifier_tokens, number_tokens
from referral_service.intake.site import new_id
from referral_service.issues import Issue
from referral_service.referral import Decision, Flag
from referral_service.store import tables
from referral_service.store.sight import REFERS
from referral_service.store.writes import bounded
from referral_service.worklist import Actor


def patient_reference(draft: Draft, decided: Decided) -> str | None:
    if decided.subject.entry is not None:
        return draft.assigned.get(id(decided.subject.entry.resource))
    return decided.subject.stored


def referral_columns(draft: Draft, decided: Decided, resource: Resource, text: str) -> dict[str, Any]:
    """The columns of ``service_request`` that follow from what was sent and decided."""
    given = facts_json(decided.given)
    patient = patient_reference(draft, decided)
    return {
        "last_updated": resource["meta"]["lastUpdated"],
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
        "decision_input": given.decode(),
        "input_hash": digest(given),
        **served_decision(decided.decision, decided.machine, decided.corrections, draft.site.code_versions),
    }


def served_decision(
    decision: Decision, machine: Decision | None, corrections: Sequence[Mapping[str, Any]], versions: Mapping[str, str]
) -> dict[str, Any]:
    """The columns of ``service_request`` that hold a decision, with the ``machine``'s own when humans corrected it."""
    parameters = decision_parameters([decision], versions)
    parameters["parameter"] += [correction_parameter(row) for row in corrections]
    own = dump(decision_parameters([machine], versions)).decode() if machine is not None else None
    return {
        "disposition": decision.disposition,
        "decision": dump(parameters).decode(),
        "machine_decision": own,
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
        "_word": [("", word) for word in words(resource["subject"].get("display", ""))],
        "_number": number_tokens(resource),
    }


def task_columns(draft: Draft, decided: Decided, task: Resource) -> dict[str, Any]:
    """The columns of ``task`` that follow from what was sent and decided."""
    patient = patient_reference(draft, decided)
    sender = _sender(draft, decided)
    return {
        "patient_id": patient.partition("/")[2] if patient else None,
        "requester": _bounded(task.get("requester", {}).get("reference")),
        "born": (decided.given.patient.birth_date if decided.given.patient else None) or "",
        "masked": 0,
        "sender": sender,
        "sender_code": sha256(sender.encode()).hexdigest()[:12],
        **decision_columns(decided.decision),
    }


def decision_columns(decision: Decision) -> dict[str, Any]:
    """The columns of ``task`` that follow from a decision alone."""
    return {
        "priority_rank": decision.assessed_priority.rank,
        "red_flag": int(Flag.RED_FLAG in decision.flags),
        "code": decision.code.cm.code if decision.code else None,
        "flags": f",{','.join(decision.flags)},",
    }


def _sender(draft: Draft, decided: Decided) -> str:
    """Who asks for the referral, by name as far as it is known by now; the client when nobody is named."""

    def find(one: Mapping[str, Any]) -> Mapping[str, Any] | None:
        reference = dict(one)
        own = draft.envelope.resolve(reference, decided.entry)
        if own is not None:
            return own.resource
        stored = draft.reference_of(reference, decided.entry)
        return draft.stored_resource(stored) if stored else None

    return (referenced_name(decided.entry.resource.get("requester"), find) or draft.incoming.client)[:200]


def add_change(draft: Draft, stamp: Stamp, step: int, **facts: Any) -> None:
    """One immutable row a step to a version of a Task, counted from 1: its timeline, what its sender is told from."""
    draft.add(
        tables.status_change,
        task_id=stamp.id,
        version=stamp.version,
        step=step,
        at=stamp.last_updated,
        **facts,
    )


def add_provenance(
    draft: Draft, referral_id: str, task_id: str, decision: Decision, activity: str, follows: str | None = None
) -> None:
    """Who decided, and by which policy."""
    stamp = Stamp(new_id(), 1, draft.incoming.instant)
    targets = [f"ServiceRequest/{referral_id}", f"Task/{task_id}"]
    package = draft.site.package_version
    _add_authored(draft, stamp, referral_id, provenance(stamp, targets, decision.policy, package, activity, follows))


def add_provenance_by_hand(draft: Draft, referral_id: str, task_id: str, actor: Actor, reason: str) -> None:
    """Which human has corrected the decision, and why."""
    stamp = Stamp(new_id(), 1, draft.incoming.instant)
    targets = [f"ServiceRequest/{referral_id}", f"Task/{task_id}"]
    _add_authored(draft, stamp, referral_id, provenance_by_hand(stamp, targets, actor.id, actor.name, reason))


def _add_authored(draft: Draft, stamp: Stamp, referral_id: str, written: Resource) -> None:
    text = dump(written).decode()
    columns = {"id": stamp.id, "type": "Provenance", "version": 1, "last_updated": stamp.last_updated}
    draft.add(tables.resource, **columns, content=text, content_hash="", birth_date=None)
    draft.add_tokens("Provenance", stamp.id, {REFERS: [("", referral_id)]})


def told(issues: tuple[Issue, ...]) -> dict[str, str]:
    """What a referral's row in the ledger says of it: the outcome, and its rules to be searched and counted by."""
    rules = dict.fromkeys(issue.rule for issue in issues)
    return {"outcome": dump(outcome(issues)).decode(), "rules": f",{','.join(rules)},"}


def add_ledger(
    draft: Draft,
    position: int,
    state: str,
    issues: tuple[Issue, ...],
    referral_id: str | None,
    placer: str | None,
    decision: Decision | None = None,
) -> None:
    """The row that counts a referral, and the alert that its words may call for.

    One that is taken in has its row already, and that is moved once there is a referral.
    """
    if draft.incoming.taking is not None:
        if referral_id is not None and decision is not None:
            draft.taken = (state, referral_id, told((taken_in(),))["outcome"])
            raise_of_referral(draft, referral_id, decision)
        return
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
        **told(issues),
    )
    if referral_id is not None and decision is not None:
        raise_of_referral(draft, referral_id, decision)
    elif red_flag:
        raise_of_not_taken(draft)


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
