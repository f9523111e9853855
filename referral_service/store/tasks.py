"""What moves and corrections need of a Task: the row that is held, its changes, and what humans have corrected."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, select

from referral_service.store import tables
from referral_service.store.worklist import timeline
from referral_service.worklist import FINAL

Row = Mapping[str, Any]


def task(connection: Connection, task_id: str) -> Row | None:
    """The current row of a Task, whosever referral it is."""
    row = connection.execute(select(tables.task).where(tables.task.c.id == task_id)).mappings().one_or_none()
    return dict(row) if row is not None else None


def last_change(connection: Connection, task_id: str) -> Row:
    """Who made the current version of a Task, and what it was."""
    change = tables.status_change
    query = select(change).where(change.c.task_id == task_id).order_by(change.c.version.desc(), change.c.step.desc())
    return dict(connection.execute(query.limit(1)).mappings().one())


def before_end(connection: Connection, task_id: str) -> tuple[str, str | None]:
    """The content of a Task before it ended, and what it was held from, should it have been on hold."""
    rows = list({row["version"]: row for row in timeline(connection, task_id)}.values())  # the last step of each
    ended = next(place for place in reversed(range(len(rows))) if rows[place]["status"] not in FINAL)
    last, held_from = rows[ended], None
    if last["status"] == "on-hold":
        earlier = (row["status"] for row in reversed(rows[:ended]))
        held_from = next(status for status in earlier if status != "on-hold" and status not in FINAL)
    history = tables.history
    query = select(history.c.content).where(history.c.id == task_id, history.c.version == last["version"])
    return str(connection.execute(query).scalar_one()), held_from


def corrections(connection: Connection, referral_id: str) -> dict[str, Row]:
    """The newest correction of each kind that humans have made of a referral's decision."""
    table = tables.correction
    query = select(table).where(table.c.referral_id == referral_id).order_by(table.c.version)
    return {row["kind"]: dict(row) for row in connection.execute(query).mappings()}


def tokens_of(connection: Connection, owner: str) -> dict[str, list[tuple[str, str]]]:
    """What a resource is found by."""
    table, found = tables.token, dict[str, list[tuple[str, str]]]()
    query = select(table.c.param, table.c.system, table.c.value).where(table.c.owner == owner)
    for param, system, value in connection.execute(query):
        found.setdefault(param, []).append((system, value))
    return found
