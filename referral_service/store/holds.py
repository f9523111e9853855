"""Tasks on hold, as the worker looks through them."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby
from typing import Any

from sqlalchemy import Connection, or_, select

from referral_service.store import tables

Row = Mapping[str, Any]


def on_hold(connection: Connection, task_id: str | None = None) -> dict[str, list[Row]]:
    """By the id of each Task on hold, or of one, the changes that put it there, oldest first."""
    task, change = tables.task, tables.status_change
    began = (change.c.status == "on-hold", or_(change.c.from_status.is_(None), change.c.from_status != "on-hold"))
    query = (
        select(*(change.c[name] for name in ("task_id", "version", "at", "action", "from_status", "status", "reason")))
        .join(task, task.c.id == change.c.task_id)
        .where(task.c.status == "on-hold", *began)
        .order_by(change.c.task_id, change.c.version)
    )
    if task_id is not None:
        query = query.where(task.c.id == task_id)
    rows = [dict(row) for row in connection.execute(query).mappings()]
    return {identity: list(own) for identity, own in groupby(rows, key=lambda row: str(row["task_id"]))}


def held(connection: Connection, task_id: str) -> Row | None:
    """A Task on hold with the request that its referral came in, kept as it is until the transaction ends; or None."""
    task, request = tables.task, tables.service_request
    query = (
        select(task.c.client, task.c.content, task.c.referral_id, request.c.received_id)
        .join(request, request.c.id == task.c.referral_id)
        .where(task.c.id == task_id, task.c.status == "on-hold")
        .with_for_update(of=task)
    )
    row = connection.execute(query).mappings().one_or_none()
    return dict(row) if row is not None else None


def raised(connection: Connection) -> set[tuple[str, int, str]]:
    """(Task, hold, kind) of every alert of a hold whose Task is on hold now."""
    task, alert = tables.task, tables.alert
    query = select(task.c.id, alert.c.hold, alert.c.kind).join(alert, alert.c.referral_id == task.c.referral_id)
    found = connection.execute(query.where(task.c.status == "on-hold", alert.c.hold > 0))
    return {(task_id, hold, kind) for task_id, hold, kind in found}
