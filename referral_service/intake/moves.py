"""A Task moved by whoever works on it: read, judged, changed and written by compare-and-set."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from referral_service.fhir.audit import Access
from referral_service.fhir.bundle import Envelope, Resource
from referral_service.fhir.parse import dump
from referral_service.fhir.writer import moves as written
from referral_service.intake import applying
from referral_service.intake.applying import BeforeEnd, Fields, Moving, Row, position_of, read_resource
from referral_service.intake.correcting import CORRECTING, correct
from referral_service.intake.draft import SUPPORTING, Draft
from referral_service.intake.patching import patched
from referral_service.intake.proposing import Proposal, propose, unreached
from referral_service.intake.reading import read, references
from referral_service.intake.site import Answer, Became, Incoming, Site, failed, type_and_id
from referral_service.issues import FaultKind, error
from referral_service.referral import Disposition, Queue
from referral_service.store import lookups, tasks
from referral_service.store.engine import Connection, instant
from referral_service.store.lookups import Known
from referral_service.store.sight import REFERS, Sight, referred, seen, sight_of
from referral_service.store.writes import Overtaken, move_ledger_state, overtaking
from referral_service.worklist import ENDED, Action, Actor, allowed, judge

Plan = Callable[[Moving], Proposal | Answer]
"""What somebody wants of a Task, once it is known how it stands."""


@dataclass(frozen=True, slots=True)
class Move:
    """Who moves which Task, at which version, and when (UTC); ``expected_version`` None takes it as it stands."""

    site: Site
    actor: Actor
    task_id: str
    expected_version: int | None
    at: datetime
    request_id: str
    access: Access | None = None


def act(
    site: Site,
    actor: Actor,
    task_id: str,
    expected_version: int | None,
    action_code: str,
    fields: Fields,
    at: datetime,
    request_id: str,
    access: Access | None = None,
) -> Answer:
    """One named move (``worklist.ACTIONS``) with what it takes (``worklist.Takes``); the Task as it then stands.

    A field that is empty, as forms send them, counts as not given. The answer's ``fault`` tells why nothing was
    changed: not found, forbidden, a stale version, or a rule of the table; its issues say what may be done now.
    """
    move = Move(site, actor, task_id, expected_version, at, request_id, access)
    given = {name: value.strip() for name, value in fields.items() if value.strip()}
    return _make(move, lambda _: Proposal([(action_code, given)]))


def put_task(move: Move, body: bytes) -> Answer:
    """``PUT /Task/{id}`` with ``If-Match``: the whole Task as it is to be."""
    reading = read(body, "Task")
    if reading.envelope is None:
        return failed(FaultKind.INVALID, *reading.faults)
    return _make(move, lambda task: propose(task, dict(reading.payload), move.actor))


def patch_task(move: Move, body: bytes) -> Answer:
    """``PATCH /Task/{id}`` with ``If-Match``: a JSON Patch of the Task as it stands (RFC 6902)."""

    def plan(task: Moving) -> Proposal | Answer:
        wanted = patched(task.content, body)
        return wanted if isinstance(wanted, Answer) else propose(task, wanted, move.actor)

    return _make(move, plan)


def actions_of(site: Site, actor: Actor, task_id: str) -> tuple[Moving, tuple[Action, ...]] | None:
    """How a Task stands and the moves that this actor may make now; None when there is no such Task for them."""
    with site.store.reading() as connection:
        found = _standing(connection, actor, task_id)
    return (found[0], allowed(found[0].position, actor)) if found else None


def _make(move: Move, plan: Plan) -> Answer:
    try:
        return _take(move, plan)
    except Overtaken:
        with move.site.store.reading() as connection:
            return _stale(connection, move.task_id)


def _take(move: Move, plan: Plan) -> Answer:
    with move.site.store.writing() as connection, overtaking(connection):
        found = _standing(connection, move.actor, move.task_id)
        if found is None:
            return failed(FaultKind.NOT_FOUND, error("not-found", "not-found", "There is no such Task."))
        task, referral = found
        if move.expected_version not in (None, task.row["version"]):
            return _stale(connection, move.task_id)
        proposal = plan(task)
        if isinstance(proposal, Answer):
            return proposal
        fault = _judged(move, task, proposal)
        if fault is not None:
            return fault
        if not proposal.steps:
            return _answer(Became.UNCHANGED, task.row)
        return _written(connection, move, task, referral, proposal.wanted)


def _standing(connection: Connection, actor: Actor, task_id: str) -> tuple[Moving, Row] | None:
    """How a Task stands, with its referral; None when there is none, or none for this actor."""
    row = tasks.task(connection, task_id)
    if row is None or not actor.sees(Queue(row["queue"]), row["client"]):
        return None
    referral = lookups.current(connection, row["client"], "ServiceRequest", row["referral_id"])
    assert referral is not None
    before: BeforeEnd | None = None
    if row["status"] in ENDED:
        content, held_from = tasks.before_end(connection, task_id)
        before = BeforeEnd(read_resource(content), held_from)
    position = position_of(row, referral["status"], before.content["status"] if before else None)
    return Moving(row, read_resource(row["content"]), position, before), referral


def _stale(connection: Connection, task_id: str) -> Answer:
    """Names who was quicker, what they did and when; nothing of the patient."""
    last = tasks.last_change(connection, task_id)
    words = (
        f"The Task is at version {last['version']}: {last['actor_name']} made it {last['status']} "
        f"({last['action']}) at {last['at']}. Read it again before changing it."
    )
    return failed(FaultKind.PRECONDITION, error("conflict", "stale-version", words))


def _judged(move: Move, task: Moving, proposal: Proposal) -> Answer | None:
    """Every step judged where the one before has led; the first that cannot be made ends it."""
    site, faults, kind = move.site, list(proposal.faults), FaultKind.BUSINESS_RULE
    codes = [code for code in site.vocabulary.pairs if code.startswith("G24")]
    today = move.at.astimezone(site.policy.zone).date()
    for code, fields in proposal.steps:
        verdict = judge(code, fields, task.position, move.actor, codes, today)
        if verdict is not None:
            kind = verdict[0]
            faults += verdict[1]
            break
        applying.apply(task, code, fields, move.actor, instant(move.at), today, site.policy)
    if faults:
        return failed(kind, *faults)
    task.content |= _as_sent(proposal, task)
    if proposal.assignee is not None:
        written.with_extension(task.content, written.ASSIGNEE, proposal.assignee)
    return None


def _as_sent(proposal: Proposal, task: Moving) -> Resource:
    """Elements that were sent whole stand as sent, a reason with its words."""
    elements = {name: sent for name, sent in proposal.as_sent.items() if _is_reached(name, sent, task)}
    if "statusReason" in elements:
        elements["statusReason"] = {"text": task.content["statusReason"]["text"], **elements["statusReason"]}
    return elements


_CODED = {"statusReason": "status-reason", "businessStatus": "business-status"}


def _is_reached(name: str, sent: Any, task: Moving) -> bool:
    """Whether the moves have led to the code that was sent."""
    system = _CODED.get(name)
    return system is None or written.own_code(sent, system) == written.own_code(task.content.get(name), system)


def _written(connection: Connection, move: Move, task: Moving, referral: Row, wanted: Resource | None) -> Answer:
    incoming = Incoming(task.row["client"], "task", move.request_id, b"", move.at, access=move.access)
    patients = {task.row["patient_id"]} - {None}
    draft = Draft(move.site, incoming, Envelope({"resourceType": "Task"}), Known(), patients=patients)
    if any(step.code in CORRECTING for step in task.steps):
        correct(connection, draft, task, referral, move.actor)
    faults = unreached(read_resource(task.row["content"]), wanted, task.content) if wanted else []
    if faults:
        return failed(FaultKind.BUSINESS_RULE, *faults)
    stamp = applying.write(draft, task, move.actor)
    _add_outputs(connection, draft, task, sight_of(move.actor))
    if task.position.queue != task.row["queue"]:
        state = Disposition.REVIEW if task.position.queue is Queue.REVIEW else Disposition.ROUTED
        move_ledger_state(connection, task.row["referral_id"], state)
    draft.write(connection)
    text = dump(task.content).decode()
    return Answer(Became.UPDATED, (), "Task", stamp.id, stamp.version, stamp.last_updated, text)


def _add_outputs(connection: Connection, draft: Draft, task: Moving, sight: Sight) -> None:
    """What the outputs refer to hangs on the referral from now on, as far as whoever added them sees it."""
    base = f"{draft.site.public_url}/fhir/"
    wanted = {one.removeprefix(base) for one in references(task.content.get("output", []))}
    if not wanted:
        return
    before = referred(connection, task.row["id"])
    found = [type_and_id(one) for one in sorted(wanted) if type_and_id(one)[0] in SUPPORTING - {"Patient"}]
    rows = [seen(connection, sight, kind, identity) for kind, identity in found]
    ids = [("", row["id"]) for row in rows if row is not None and row["id"] not in before]
    draft.add_tokens("Task", task.row["id"], {REFERS: ids})


def _answer(became: Became, row: Row) -> Answer:
    return Answer(became, (), "Task", row["id"], row["version"], row["last_updated"], row["content"])
