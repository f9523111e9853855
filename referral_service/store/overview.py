"""What leads look at: how many wait, what came and was decided by week, how long it took, and what senders leave out.

Everything is counted by the database; what comes back is as small as the answer, not as the store.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Select, and_, case, func, literal, or_, select

from referral_service.referral import Disposition, Flag
from referral_service.store import tables

Row = Mapping[str, Any]
_ALL_IN_ONE = (f"INDEXED BY {tables.LIST_FILTERS}", "sqlite")
"""That index holds all that is counted; SQLite would open every row for want of statistics."""

NOT_TAKEN = (Disposition.REFUSED, Disposition.REJECTED)
DECIDED = ("accepted", "rejected", "in-progress", "completed", "failed")
"""Statuses that a Task has once a person has decided on it; a cancel is the sender's."""


def waiting(connection: Connection, today: str) -> list[Row]:
    """Open referrals by queue and code: how many wait, are overdue on a day and have a red flag, and the oldest."""
    task = tables.task
    query = (
        select(
            task.c.queue,
            task.c.code,
            func.count().label("waiting"),
            func.sum(case((task.c.due < today, 1), else_=0)).label("overdue"),
            func.sum(case((task.c.flags.contains(f",{Flag.RED_FLAG},"), 1), else_=0)).label("red_flags"),
            func.min(task.c.authored_on).label("oldest"),
        )
        .where(task.c.closed == 0)
        .with_hint(task, *_ALL_IN_ONE)
        .group_by(task.c.queue, task.c.code)
        .order_by(task.c.queue, func.count().desc(), task.c.code)
    )
    return _rows(connection, query)


def received_at_rank(connection: Connection, queue: str, rank: int) -> str | None:
    """First receipt of the open referral that stands at a rank (from 1) of its queue, the shortest wait first."""
    task = tables.task
    query = select(task.c.authored_on).where(task.c.closed == 0, task.c.queue == queue)
    by_wait = (f"INDEXED BY {tables.list_index('waiting')}", "sqlite")
    newest_first = query.with_hint(task, *by_wait).order_by(task.c.authored_on.desc())
    found: str | None = connection.execute(newest_first.offset(rank - 1).limit(1)).scalar()
    return found


def received(connection: Connection, since: str) -> list[Row]:
    """What was received since an instant, by sender and what was said of it; ``rules`` are as in the ledger."""
    row = tables.ledger
    keys = (row.c.client, row.c.state, row.c.rules, row.c.taken_from)
    return _rows(connection, select(*keys, func.count().label("number")).where(row.c.at >= since).group_by(*keys))


def received_by_week(connection: Connection, starts: Sequence[str], held_rule: str) -> list[Row]:
    """How many were received, were held (by their rules, or taken in by hand) and not taken in each week.

    The weeks begin at ``starts``, rising instants; ``week`` counts from 0, and the last is open at its end.
    """
    row = tables.ledger
    is_held = or_(row.c.rules.contains(f",{held_rule},"), row.c.taken_from.is_not(None))
    week = _week(row.c.at, starts, 0).label("week")
    query = select(
        week,
        func.count().label("received"),
        func.sum(case((is_held, 1), else_=0)).label("held"),
        func.sum(case((row.c.state.in_(NOT_TAKEN), 1), else_=0)).label("not_taken"),
    )
    return _rows(connection, query.where(row.c.at >= starts[0]).group_by(week))


def _week(at: Any, starts: Sequence[str], first: int) -> Any:
    """The number of the week that an instant lies in, found by halves."""
    if len(starts) == 1:
        return literal(first)
    half = len(starts) // 2
    return case((at < starts[half], _week(at, starts[:half], first)), else_=_week(at, starts[half:], first + half))


def decided(connection: Connection, since: str) -> list[Row]:
    """Referrals whose first decision by a person fell after an instant: queue, first receipt and that decision."""
    task, change = tables.task, tables.status_change
    first = (
        select(change.c.task_id, func.min(change.c.at).label("decided"))
        .where(change.c.status.in_(DECIDED))
        .group_by(change.c.task_id)
        .having(func.min(change.c.at) >= since)
        .subquery()
    )
    query = select(task.c.queue, task.c.authored_on, first.c.decided).join(first, first.c.task_id == task.c.id)
    return _rows(connection, query)


def corrected(connection: Connection, since: str) -> list[Row]:
    """What the machine chose and a human corrected since an instant: ``kind`` (code or queue), both, and how often.

    Of several corrections of one referral the first tells what the machine had chosen, the last what stands.
    """
    row = tables.correction
    ends = (
        select(row.c.task_id, row.c.kind, func.min(row.c.version).label("first"), func.max(row.c.version).label("last"))
        .where(row.c.kind.in_(("code", "queue")))
        .group_by(row.c.task_id, row.c.kind)
        .subquery()
    )
    first, last = row.alias(), row.alias()

    def is_at(end: Any, version: Any) -> Any:
        return and_(end.c.task_id == ends.c.task_id, end.c.kind == ends.c.kind, end.c.version == version)

    query = (
        select(first.c.kind, first.c.before.label("machine"), last.c.value.label("human"), func.count().label("number"))
        .select_from(ends)
        .join(first, is_at(first, ends.c.first))
        .join(last, is_at(last, ends.c.last))
        .where(last.c.at >= since)
        .group_by(first.c.kind, first.c.before, last.c.value)
    )
    return _rows(connection, query)


def _rows(connection: Connection, query: Select[Any]) -> list[Row]:
    found: Iterable[Any] = connection.execute(query).mappings()
    return list(found)
