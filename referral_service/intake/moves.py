"""A Task moved by whoever works on it: read, changed and written by compare-and-set."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from referral_service.fhir import parse, writer
from referral_service.fhir.bundle import Envelope, Resource, literal
from referral_service.fhir.canonical import same
from referral_service.fhir.package import definitions
from referral_service.fhir.parse import dump
from referral_service.fhir.writer import Stamp
from referral_service.intake.changes import restamp
from referral_service.intake.draft import Draft, Replacement
from referral_service.intake.reading import read
from referral_service.intake.rows import add_change
from referral_service.intake.site import Answer, Became, Incoming, Site, failed
from referral_service.issues import FaultKind, Issue, error
from referral_service.referral import Disposition, Queue
from referral_service.store import lookups, tables
from referral_service.store.engine import Connection
from referral_service.store.lookups import Known
from referral_service.store.writes import Overtaken, move_ledger_state, overtaking
from referral_service.worklist import FINAL, NEEDS_REASON, Position, faults_of_move

CHANGEABLE = frozenset(
    {"status", "statusReason", "businessStatus", "owner", "note", "extension", "output", "meta", "lastModified"}
)
"""What a move may change of a Task; everything else was written by this service and stays."""

ASSIGNEE = f"{writer.CANONICAL}/StructureDefinition/assignee"


def put_task(site: Site, incoming: Incoming, task_id: str, expected_version: int) -> Answer:
    """``PUT /Task/{id}`` with ``If-Match``: the whole Task as it is to be."""
    reading = read(incoming.body, "Task")
    if reading.envelope is None:
        return failed(FaultKind.INVALID, *reading.faults)
    wanted: Resource = reading.payload
    try:
        return _put(site, incoming, task_id, expected_version, wanted)
    except Overtaken:
        return failed(FaultKind.PRECONDITION, _stale("newer"))


def _put(site: Site, incoming: Incoming, task_id: str, expected_version: int, wanted: Resource) -> Answer:
    with site.store.writing() as connection, overtaking(connection):
        row = lookups.current(connection, incoming.client, "Task", task_id)
        if row is None:
            return failed(FaultKind.NOT_FOUND, error("not-found", "not-found", "There is no such Task."))
        if row["version"] != expected_version:
            return failed(FaultKind.PRECONDITION, _stale(row["version"]))
        current: Any = parse.parse(row["content"].encode()).value
        wanted = _restarted(row, current, wanted)
        faults = _faults(row, current, wanted, task_id)
        if faults:
            return failed(FaultKind.BUSINESS_RULE, *faults)
        return _move(connection, site, incoming, row, current, wanted)


def _stale(version: object) -> Issue:
    words = f"The Task is at version {version}; read it again before changing it."
    return error("conflict", "stale-version", words)


def _restarted(row: Mapping[str, Any], current: Resource, wanted: Resource) -> Resource:
    """Re-routing returns a Task to ``requested``: one whose owner alone was changed starts again there."""
    queue = _queue(wanted)
    if queue is None or queue.value == row["queue"] or row["status"] in FINAL or wanted["status"] != row["status"]:
        return wanted
    fresh = {**wanted, "status": "requested"}
    if same(fresh.get("statusReason"), current.get("statusReason")):
        fresh.pop("statusReason", None)
    return fresh


def _faults(row: Mapping[str, Any], current: Resource, wanted: Resource, task_id: str) -> list[Issue]:
    names = (set(current) | set(wanted)) - CHANGEABLE
    found = [
        error(
            "business-rule", "task-fixed-element", "This element of a Task is not changed by its users.", f"Task.{name}"
        )
        for name in sorted(names)
        if not same(current.get(name), wanted.get(name))
    ]
    if wanted.get("id") != task_id:
        found.append(error("invalid", "id-mismatch", "The resource's id is not the one of the address.", "Task.id"))
    found += [fault for name, element in _OWN_CODES.items() for fault in _unknown_codes(wanted, element, name)]
    queue = _queue(wanted)
    if queue is None:
        words = "The owner of a Task is one of the queues: " + ", ".join(
            f"HealthcareService/{one.value}" for one in Queue
        )
        return [*found, error("business-rule", "task-owner", f"{words}.", "Task.owner")]
    return [*found, *faults_of_move(_position(row), _wanted_position(wanted, queue))]


_OWN_CODES = {"status-reason": "statusReason", "business-status": "businessStatus"}
"""Our CodeSystems by the element of a Task whose codes they are."""


def _unknown_codes(task: Resource, element: str, name: str) -> list[Issue]:
    known = {concept["code"] for concept in definitions()["CodeSystem"][name]["concept"]}
    own = [one for one in task.get(element, {}).get("coding", []) if one.get("system") == writer.own_system(name)]
    words = f"The code is none of our CodeSystem {name}: {', '.join(sorted(known))}."
    unknown = any(one.get("code") not in known for one in own)
    return [error("code-invalid", "code-not-in-value-set", words, f"Task.{element}")] if unknown else []


def _position(row: Mapping[str, Any]) -> Position:
    return Position(row["status"], Queue(row["queue"]), row["held_from"], row["status"] in NEEDS_REASON)


def _wanted_position(wanted: Resource, queue: Queue) -> Position:
    return Position(wanted["status"], queue, has_reason="statusReason" in wanted)


def _queue(task: Resource) -> Queue | None:
    parts = literal(task.get("owner", {}).get("reference"))
    known = {queue.value for queue in Queue}
    return Queue(parts.id) if parts and parts.type == "HealthcareService" and parts.id in known else None


def _move(
    connection: Connection,
    site: Site,
    incoming: Incoming,
    row: Mapping[str, Any],
    current: Resource,
    wanted: Resource,
) -> Answer:
    queue = _queue(wanted)
    assert queue is not None
    changed = {name: wanted[name] for name in CHANGEABLE - {"meta"} if name in wanted}
    written = {name: value for name, value in current.items() if name not in CHANGEABLE} | changed
    is_rerouted = queue.value != row["queue"]
    if is_rerouted:
        written["extension"] = [one for one in written.get("extension", []) if one.get("url") != ASSIGNEE]
        written = {name: value for name, value in written.items() if value != []}
    stamp = Stamp(row["id"], row["version"] + 1, incoming.instant)
    written["meta"] = current["meta"]
    restamp(written, stamp)
    text = dump(written).decode()
    draft = Draft(site, incoming, Envelope({"resourceType": "Task"}), Known())
    values = {
        "last_updated": stamp.last_updated,
        "content": text,
        "status": written["status"],
        "queue": queue,
        "held_from": _held_from(row, written["status"]),
        "business_status": _business_status(written),
        "assignee": _assignee(written),
        "by_hand": int(bool(row["by_hand"]) or is_rerouted),
    }
    draft.replacements.append(Replacement(tables.task, row["id"], row["version"], "Task", values))
    reason = dump(written["statusReason"]).decode() if "statusReason" in written else None
    facts = {"status": written["status"], "business_status": values["business_status"], "queue": queue}
    add_change(draft, stamp, actor=incoming.client, reason=reason, **facts)
    if is_rerouted:
        state = Disposition.REVIEW if queue is Queue.REVIEW else Disposition.ROUTED
        move_ledger_state(connection, row["referral_id"], state)
    draft.write(connection)
    return Answer(Became.UPDATED, (), "Task", row["id"], stamp.version, stamp.last_updated, text)


def _held_from(row: Mapping[str, Any], status: str) -> str | None:
    if status != "on-hold":
        return None
    return str(row["held_from"]) if row["status"] == "on-hold" else str(row["status"])


def _business_status(task: Resource) -> str | None:
    codes = [coding.get("code") for coding in task.get("businessStatus", {}).get("coding", [])]
    return next((code[:32] for code in codes if code), None)


def _assignee(task: Resource) -> str | None:
    for extension in task.get("extension", []):
        if extension.get("url") == ASSIGNEE:
            value = extension.get("valueReference", {}).get("display") or extension.get("valueString")
            return str(value)[:128] if value else None
    return None
