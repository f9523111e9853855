"""A human's word over the machine's: the queue, the code, the birth date; and what follows for referral and Task."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from typing import Any

import orjson

from referral_service.coding.concepts import Vocabulary
from referral_service.fhir import writer
from referral_service.fhir.bundle import Resource
from referral_service.fhir.canonical import digest, facts_json
from referral_service.fhir.parse import dump
from referral_service.fhir.writer import Stamp
from referral_service.intake.applying import Moving, enter, pauses, read_resource
from referral_service.intake.course import begin
from referral_service.intake.deciding import Decided, decide_entry
from referral_service.intake.draft import Draft, Replacement
from referral_service.intake.evidence import records_of
from referral_service.intake.reading import read
from referral_service.intake.rows import (
    add_provenance_by_hand,
    decision_columns,
    referral_tokens,
    served_decision,
)
from referral_service.intake.site import Site
from referral_service.intake.subject import find_subject
from referral_service.referral import Decision, Queue
from referral_service.store import lookups, systems, tables, tasks
from referral_service.store.engine import Connection
from referral_service.worklist import Actor, Takes, due_on
from referral_service.worklist.corrections import ByHand, corrected

Row = Mapping[str, Any]
Corrections = dict[str, Row]
CORRECTING = frozenset({"re-route", "correct-code", "confirm-birth-date"})
_KINDS = {"queue": Takes.QUEUE, "code": Takes.CODE, "birth-date": Takes.BIRTH_DATE}


def is_in_human_hands(task: Moving) -> bool:
    """Whether a human has chosen the queue or taken the Task up; the machine then leaves it where it is."""
    return bool(task.row["by_hand"]) or task.position.status != "requested"


def birth_date_of(corrections: Corrections) -> str | None:
    return str(corrections["birth-date"]["value"]) if "birth-date" in corrections else None


def by_hand(corrections: Corrections, queue: Queue | None, vocabulary: Vocabulary) -> ByHand:
    """What humans have decided: the code, and the queue where the Task is in human hands."""
    code = corrections.get("code")
    return ByHand(vocabulary.pairs[code["value"]] if code else None, queue)


def decided_by_hand(decided: Decided, corrections: Corrections, queue: Queue | None, site: Site) -> Decided:
    """A decision of the machine with what humans have decided before standing over it."""
    served = corrected(decided.decision, by_hand(corrections, queue, site.vocabulary), site.policy)
    if not corrections and served == decided.decision:
        return decided
    rows = tuple(corrections[kind] for kind in sorted(corrections))
    return replace(decided, decision=served, machine=decided.decision, corrections=rows)


def correct(connection: Connection, draft: Draft, task: Moving, referral: Row, actor: Actor) -> None:
    """Writes what the Task's moves say over the machine, and lets referral and Task follow."""
    site = draft.site
    corrections = tasks.corrections(connection, referral["id"]) | _add_corrections(draft, task, referral, actor)
    codes = {step.code for step in task.steps}
    machine, given = _machine(connection, draft, referral, corrections, codes)
    queue = _queue_by_hand(task, machine, corrections, codes, site)
    served = corrected(machine, by_hand(corrections, queue, site.vocabulary), site.policy)
    if "re-route" in codes:
        task.columns["by_hand"] = 1
    if "birth-date" in corrections:
        task.columns["born"] = corrections["birth-date"]["value"]
    _follow(task, served, site, date.fromisoformat(referral["received_on"]))
    _rewrite(connection, draft, referral, served, machine, corrections, given)
    reasons = [step.fields[Takes.COMMENT] for step in task.steps if step.code in CORRECTING]
    add_provenance_by_hand(draft, referral["id"], task.row["id"], actor, "; ".join(reasons))


def _add_corrections(draft: Draft, task: Moving, referral: Row, actor: Actor) -> Corrections:
    found: Corrections = {}
    for step in task.steps:
        for kind, takes in _KINDS.items():
            if step.code in CORRECTING and step.fields.get(takes):
                found[kind] = {
                    "task_id": task.row["id"],
                    "version": task.row["version"] + 1,
                    "kind": kind,
                    "referral_id": referral["id"],
                    "at": draft.incoming.instant,
                    "actor": actor.id,
                    "actor_name": actor.name,
                    "before": _before(kind, task, referral),
                    "value": step.fields[takes],
                    "reason": step.fields[Takes.COMMENT],
                }
    for row in found.values():
        draft.add(tables.correction, **row)
    return found


def _before(kind: str, task: Moving, referral: Row) -> str | None:
    if kind == "queue":
        return str(task.row["queue"])
    if kind == "code":
        return str(task.row["code"]) if task.row["code"] else None
    patient = orjson.loads(referral["decision_input"])["patient"]
    return patient["birth_date"] if patient else None


def _machine(
    connection: Connection, draft: Draft, referral: Row, corrections: Corrections, codes: set[str]
) -> tuple[Decision, dict[str, Any]]:
    """The machine's decision: as it stands, or made again where the birth date has become another."""
    if "confirm-birth-date" not in codes:
        return writer.read_decision(referral["machine_decision"] or referral["decision"]), {}
    decided = _decided_again(connection, draft, referral, birth_date_of(corrections))
    given = facts_json(decided.given)
    return decided.decision, {"decision_input": given.decode(), "input_hash": digest(given)}


def _decided_again(connection: Connection, draft: Draft, referral: Row, birth_date: str | None) -> Decided:
    """The text received, decided on the day of first receipt with the birth date made sure of."""
    site, body = draft.site, lookups.received_text(connection, referral["received_id"])
    system = systems.placer_system(connection, draft.incoming.client)
    course = begin(connection, site, replace(draft.incoming, body=body, placer_system=system), read(body))
    entry = next(one for one in course.envelope.referrals() if one.path == referral["path"])
    subject = find_subject(course.envelope, entry, course.known, site.public_url)
    patient, before = course.patient(subject), orjson.loads(referral["decision_input"])
    return decide_entry(
        site,
        course.envelope,
        entry,
        subject,
        patient,
        records_of(course, entry, subject, patient),
        date.fromisoformat(referral["received_on"]),
        open_elsewhere=before["open_elsewhere"],
        already_taken=True,
        taken_in=before["taken_in"],
        birth_date=birth_date,
        placer_system=system,
    )


def _queue_by_hand(
    task: Moving, machine: Decision, corrections: Corrections, codes: set[str], site: Site
) -> Queue | None:
    """Where the Task stays whatever the machine says; None when it follows.

    It follows a birth date unless a human chose the queue, and a code only out of review, which asked for it.
    """
    here = task.position.queue
    if "re-route" in codes or task.row["by_hand"]:
        return here
    if "confirm-birth-date" in codes:
        served = corrected(machine, by_hand(corrections, None, site.vocabulary), site.policy)
        return here if served.queue is Queue.REVIEW and task.position.status != "requested" else None
    return None if here is Queue.REVIEW else here


def _follow(task: Moving, served: Decision, site: Site, received_on: date) -> None:
    """The Task with all that follows from the decision."""
    assert served.queue is not None
    enter(task, served.queue)
    _let_steps_follow(task)
    task.content = writer.decided_task(task.content, served, site.policy.notice, site.code_versions)
    due = due_on(received_on, served.assessed_priority, site.policy, pauses(task.content))
    task.content["restriction"] = {"period": {"end": due.isoformat()}}
    task.columns |= decision_columns(served)


def _let_steps_follow(task: Moving) -> None:
    """What follows from a correction is told with it, not with the steps after."""
    here, last = task.position, max(place for place, step in enumerate(task.steps) if step.code in CORRECTING)
    later = [replace(step, before=here, after=here) for step in task.steps[last + 1 :]]
    task.steps[last:] = [replace(task.steps[last], after=here), *later]


def _rewrite(
    connection: Connection,
    draft: Draft,
    referral: Row,
    served: Decision,
    machine: Decision,
    corrections: Corrections,
    given: dict[str, Any],
) -> None:
    """A new version of the referral: its tags and the decision served follow, the machine's is kept beside."""
    stamp = Stamp.following(referral, draft.incoming.instant)
    versions = draft.site.code_versions
    resource = writer.served(
        read_resource(referral["content"]),
        stamp,
        lambda _: None,
        tags=writer.decision_tags(served, versions),
        replaced=own_tags(referral),
    )
    rows = [corrections[kind] for kind in sorted(corrections)]
    values = {
        "last_updated": stamp.last_updated,
        "content": dump(resource).decode(),
        **served_decision(served, machine, rows, versions),
        **given,
    }
    replaced = Replacement(tables.service_request, referral["id"], referral["version"], "ServiceRequest", values)
    draft.replacements.append(replaced)
    kept = tasks.tokens_of(connection, referral["id"])
    draft.add_tokens("ServiceRequest", referral["id"], kept | {"_tag": referral_tokens(resource)["_tag"]})


def own_tags(row: Row) -> list[Resource]:
    """The tags that stand on a stored referral: whoever reads it and sends it back sends them along."""
    listed: list[Resource] = orjson.loads(row["content"])["meta"].get("tag", [])
    ours = {writer.own_system(name) for name in ("queue", "certainty", "flag")}
    codes = writer.decided_codings(row["decision"])
    return [tag for tag in listed if tag.get("system") in ours or tag in codes]
