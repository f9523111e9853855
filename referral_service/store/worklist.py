"""What the coordinators' pages read: the queues, and one referral with all that belongs to it.

Coordinators work for every client, so nothing here is narrowed to one; but what a client's resource points at is only
ever looked up among that client's own. Pages are cut by key, never by offset, so that rows which arrive or leave while
somebody reads neither repeat a line nor hide one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, case, false, func, or_, select, tuple_

from referral_service.referral import Priority
from referral_service.store import tables

Row = Mapping[str, Any]
Reader = Connection
"""An open connection, as those call it who only pass it on."""
_OF_TASK = (
    *("client", "queue", "status", "business_status", "priority_rank", "red_flag", "version", "last_updated"),
    *("authored_on", "due", "assignee", "flags", "patient_id", "lane", "born", "sender", "closed"),
)


@dataclass(frozen=True, slots=True)
class Count:
    """How many referrals of a queue are open, and how many of these carry a red flag."""

    open: int = 0
    red_flags: int = 0


def counts(connection: Connection) -> dict[str, Count]:
    """Open referrals by queue; a queue without any is left out."""
    task = tables.task
    is_red = case((task.c.lane < len(Priority), 1), else_=0)
    query = select(task.c.queue, func.count(), func.sum(is_red)).where(task.c.closed == 0).group_by(task.c.queue)
    query = query.with_hint(task, f"INDEXED BY {tables.list_index('urgency')}", "sqlite")
    return {queue: Count(number, int(red_flags)) for queue, number, red_flags in connection.execute(query)}


def closed(connection: Connection, queues: tuple[str, ...]) -> int:
    """How many referrals of some queues are closed."""
    task = tables.task
    query = select(func.count()).select_from(task).where(task.c.closed == 1, task.c.queue.in_(queues))
    return int(connection.execute(query).scalar_one())


def one_referral(connection: Connection, referral_id: str) -> Row | None:
    """One referral as :func:`with_task` gives it, with its decision, also when its Task is final; else None."""
    request = tables.service_request
    task = tables.task
    query = with_task().add_columns(
        *(request.c[name] for name in ("decision", "machine_decision", "decision_input", "received_id", "path")),
        request.c.last_updated.label("referral_updated"),
        task.c.appointment,
    )
    return next(iter(rows_of(connection, query.where(request.c.id == referral_id))), None)


def of_tasks(connection: Connection, task_ids: Iterable[str]) -> list[Row]:
    """The referrals of these Tasks, those that wait longest first."""
    task = tables.task
    query = with_task().where(task.c.id.in_(list(task_ids))).order_by(task.c.authored_on, task.c.id)
    return rows_of(connection, query)


def with_task() -> Select[Any]:
    """Referrals, each with its Task and the Patient as known (``patient`` is None when unknown)."""
    task, request, patient = tables.task, tables.service_request, tables.resource
    is_patient = and_(patient.c.id == task.c.patient_id, patient.c.client == task.c.client, patient.c.type == "Patient")
    return (
        select(
            task.c.id.label("task_id"),
            *(task.c[name] for name in _OF_TASK),
            task.c.content.label("task"),
            request.c.id.label("referral_id"),
            request.c.status.label("referral_status"),
            request.c.content.label("request"),
            patient.c.content.label("patient"),
        )
        .join(request, request.c.id == task.c.referral_id)
        .outerjoin(patient, is_patient)
    )


def rows_of(connection: Connection, query: Select[Any]) -> list[Row]:
    return [dict(row) for row in connection.execute(query).mappings()]


def follows(*keys: tuple[ColumnElement[Any], Any, bool]) -> ColumnElement[bool]:
    """What comes after a place in an order of several keys, each with whether it falls."""
    later: ColumnElement[bool] = false()
    for column, value, falls in reversed(keys):
        beyond = column < value if falls else column > value
        later = or_(beyond, and_(column == value, later))
    return later


def records(connection: Connection, wanted: Iterable[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """Texts of stored resources by (client, ``Type/id``): only those of the client that speaks of them."""
    pairs = {(client, reference.partition("/")[2]) for client, reference in wanted}
    if not pairs:
        return {}
    table = tables.resource
    query = select(table.c.client, table.c.type, table.c.id, table.c.content).where(
        tuple_(table.c.client, table.c.id).in_(sorted(pairs))
    )
    return {(row.client, f"{row.type}/{row.id}"): row.content for row in connection.execute(query)}


def related_persons(connection: Connection, client: str, patient_id: str) -> list[str]:
    """Texts of the RelatedPersons that a client has sent for one of its patients."""
    table, token = tables.resource, tables.token
    query = (
        select(table.c.content)
        .join(token, token.c.owner == table.c.id)
        .where(token.c.client == client, token.c.type == "RelatedPerson", token.c.param == "_about")
        .where(token.c.value == patient_id)
        .order_by(table.c.last_updated, table.c.id)
    )
    return list(connection.execute(query).scalars())


def of_same_patient(connection: Connection, client: str, patient_id: str, queues: Iterable[str]) -> list[Row]:
    """Open referrals that other clients sent for a patient with an identifier of this one, of some queues only.

    Clients are never told of one another's; a number without a system identifies nobody.
    """
    task, mine, theirs = tables.task, tables.token, tables.token.alias()
    same = (theirs.c.param == "identifier", theirs.c.value == mine.c.value, theirs.c.system == mine.c.system)
    patients = (
        select(theirs.c.owner)
        .join(mine, and_(*same))
        .where(mine.c.owner == patient_id, mine.c.param == "identifier", mine.c.system != "")
        .where(theirs.c.type == "Patient", theirs.c.client != client)
    )
    query = with_task().where(task.c.patient_id.in_(patients), task.c.closed == 0, task.c.queue.in_(list(queues)))
    return rows_of(connection, query.order_by(task.c.authored_on, task.c.id))


def timeline(connection: Connection, task_id: str) -> list[Row]:
    """Every change of one Task, oldest first."""
    change = tables.status_change
    query = select(change).where(change.c.task_id == task_id).order_by(change.c.version, change.c.step)
    return rows_of(connection, query)
