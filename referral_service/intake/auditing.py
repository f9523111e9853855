"""What a request wrote, as one event of the audit trail that is written in the same transaction."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from referral_service.fhir.audit import DENIED, GRANTED, Access, Event, Who
from referral_service.intake.site import new_id
from referral_service.store import audit, tables
from referral_service.store.engine import Connection, when_durable
from referral_service.worklist import machine

if TYPE_CHECKING:
    from referral_service.intake.draft import Draft

_AUTHORED_BESIDE = frozenset({"Provenance"})


def add_event(draft: Draft, connection: Connection) -> None:
    """Adds the rows of the event to those of the request. Whoever is told 2xx has left one that is as durable."""
    access = draft.incoming.access or _own(draft)
    references = dict.fromkeys((*draft.answered, *_written(draft)))
    event = Event(
        id=new_id(),
        at=draft.incoming.instant,
        access=access,
        action=_action(draft, access),
        references=[*references],
        patients=[*dict.fromkeys(_patients(draft))],
        outcome=DENIED if draft.fault else GRANTED,
        reason=draft.fault or "",
    )
    for table, rows in audit.rows_of(event).items():
        draft.rows.setdefault(table, []).extend(rows)
    when_durable(connection, access.has_become_durable)


def _own(draft: Draft) -> Access:
    """What the service does by itself, as when a referral is decided again once its patient arrives."""
    itself = machine()
    who = Who(itself.id, itself.name, "machine", itself.id)
    return Access(who, draft.incoming.request_id, "U", "update", draft.site.host)


def _action(draft: Draft, access: Access) -> str:
    new = (row for row in draft.rows.get(tables.resource, ()) if row["type"] not in _AUTHORED_BESIDE)
    if tables.service_request in draft.rows or any(new):
        return "C"
    return "U" if draft.replacements else access.action


def _written(draft: Draft) -> Iterator[str]:
    """A Task goes with its referral; it stands by itself when it is what was moved."""
    moved = "Task" if draft.incoming.door == "task" else "ServiceRequest"
    for row in draft.rows.get(tables.service_request, ()):
        yield f"ServiceRequest/{row['id']}"
    for row in draft.rows.get(tables.resource, ()):
        if row["type"] not in _AUTHORED_BESIDE:
            yield f"{row['type']}/{row['id']}"
    for change in draft.replacements:
        if change.kind == moved or change.kind not in ("Task", "ServiceRequest"):
            yield f"{change.kind}/{change.id}"


def _patients(draft: Draft) -> Iterator[str]:
    yield from draft.patients
    for row in draft.rows.get(tables.service_request, ()):
        if row["patient_id"]:
            yield row["patient_id"]
    for row in draft.rows.get(tables.token, ()):
        if row["param"] == "_about":
            yield row["value"]
    for row in draft.rows.get(tables.resource, ()):
        if row["type"] == "Patient":
            yield row["id"]
    for change in draft.replacements:
        patient = change.id if change.kind == "Patient" else change.values.get("patient_id")
        if patient:
            yield patient
