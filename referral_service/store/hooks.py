"""What a referrer is told beside the decision, and what became of what they were told."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, func, insert, select

from referral_service.store import tables
from referral_service.store.overview import received_at_rank

Row = Mapping[str, Any]

_SHOWN_AT_MOST = 3


@dataclass(frozen=True, slots=True)
class Waiting:
    """How many wait in a queue, and when the one in the middle of them was received."""

    number: int
    median_received: str


def waiting_in(connection: Connection, queue: str) -> Waiting | None:
    """None when nobody waits there."""
    task = tables.task
    number = connection.execute(select(func.count()).where(task.c.closed == 0, task.c.queue == queue)).scalar_one()
    received = received_at_rank(connection, queue, (number + 1) // 2) if number else None
    return Waiting(number, received) if received is not None else None


def open_referrals(connection: Connection, client: str, patients: Iterable[str]) -> list[Row]:
    """A client's open referrals of a patient, the newest first: ``referral_id``, ``patient_id``, ``status``, ``queue``,
    ``authored_on``."""
    task = tables.task
    columns = (task.c.referral_id, task.c.patient_id, task.c.status, task.c.queue, task.c.authored_on)
    query = (
        select(*columns)
        .where(task.c.client == client, task.c.patient_id.in_(list(patients)), task.c.closed == 0, task.c.masked == 0)
        .order_by(task.c.authored_on.desc(), task.c.id)
        .limit(_SHOWN_AT_MOST)
    )
    return [dict(row) for row in connection.execute(query).mappings()]


def referral_here(connection: Connection, client: str, referral_id: str) -> Row | None:
    """The same of one referral, whether it is open or not, with ``closed``."""
    task = tables.task
    columns = (task.c.referral_id, task.c.patient_id, task.c.status, task.c.queue, task.c.authored_on, task.c.closed)
    query = select(*columns).where(task.c.client == client, task.c.referral_id == referral_id, task.c.masked == 0)
    found = connection.execute(query).mappings().one_or_none()
    return dict(found) if found is not None else None


def keep_feedback(connection: Connection, rows: Sequence[Row]) -> None:
    if rows:
        connection.execute(insert(tables.card_feedback), [dict(row) for row in rows])
