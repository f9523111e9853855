"""What became of everything received: one row a referral, and the sums that must always agree."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from sqlalchemy import Connection, func, select

from referral_service.referral import Disposition
from referral_service.store import tables
from referral_service.store.writes import bounded


def receipts(
    connection: Connection, client: str, *, request_id: str | None = None, placer: str | None = None
) -> list[Mapping[str, Any]]:
    """A client's requests under a request id, or the referrals under a placer identifier, oldest first.

    A request that only spoke of referrals which were here already tells what has become of those.
    """
    received, row, task = tables.received, tables.ledger, tables.task
    query = (
        select(
            received.c.request_id,
            received.c.at,
            received.c.result,
            received.c.answers,
            row.c.state,
            row.c.referral_id,
            row.c.outcome,
            task.c.id.label("task_id"),
        )
        .select_from(received.outerjoin(row, row.c.received_id == received.c.id))
        .outerjoin(task, task.c.referral_id == row.c.referral_id)
        .where(received.c.client == client)
        .order_by(received.c.at, received.c.id, row.c.position)
    )
    if request_id is not None:
        query = query.where(received.c.request_id == bounded(request_id))
    else:
        query = query.where(row.c.placer == bounded(placer or ""))
    rows = [dict(row) for row in connection.execute(query).mappings()]
    return [one for found in rows for one in ([found] if found["state"] else _spoken_of(connection, client, found))]


def held_row(connection: Connection, received_id: str, position: int) -> Mapping[str, Any] | None:
    """One row with the text received, kept from others until this transaction ends (SQLite has one writer anyway)."""
    row, received = tables.ledger, tables.received
    query = (
        select(row.c.client, row.c.at, row.c.state, row.c.referral_id, row.c.placer, received.c.body)
        .join(received, received.c.id == row.c.received_id)
        .where(row.c.received_id == received_id, row.c.position == position)
        .with_for_update(of=row)
    )
    found = connection.execute(query).mappings().one_or_none()
    return dict(found) if found is not None else None


def _spoken_of(connection: Connection, client: str, request: dict[str, Any]) -> list[Mapping[str, Any]]:
    row, task = tables.ledger, tables.task
    answers = orjson.loads(request["answers"] or "[]")
    ids = [one.partition("/")[2] for one in answers if isinstance(one, str) and one.startswith("ServiceRequest/")]
    query = (
        select(row.c.state, row.c.referral_id, row.c.outcome, task.c.id.label("task_id"))
        .select_from(row.join(task, task.c.referral_id == row.c.referral_id))
        .where(row.c.client == client, row.c.referral_id.in_(ids))
        .order_by(row.c.received_id, row.c.position)
    )
    return [{**request, **one} for one in connection.execute(query).mappings()] or [request]


def sums(connection: Connection) -> dict[str, int]:
    """How many referrals were received, and how many stand in each state; the states add up to ``received``."""
    row = tables.ledger
    query = select(row.c.state, func.count()).group_by(row.c.state)
    counted: dict[str, int] = {row[0]: row[1] for row in connection.execute(query)}
    states = {state.value: counted.get(state.value, 0) for state in Disposition}
    return {"received": sum(states.values()), **states}
