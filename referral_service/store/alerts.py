"""Alerts: raised with the referral or on a day, told to the contacts in turn, open until somebody acknowledges them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, exists, func, or_, select, update

from referral_service.referral import Queue
from referral_service.store import tables
from referral_service.store.engine import instant

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Place:
    """Where an alert stands in the list: by when it was raised."""

    at: str
    id: str


@dataclass(frozen=True, slots=True)
class Open:
    """How many alerts are open, since when the oldest is, and when the oldest message that waits should have gone."""

    count: int = 0
    oldest: str | None = None
    waiting_since: str | None = None


def kinds_raised(connection: Connection, referral_id: str) -> set[str]:
    """The kinds of alert that a referral has raised before."""
    alert = tables.alert
    return set(connection.execute(select(alert.c.kind).where(alert.c.referral_id == referral_id)).scalars())


def summary(connection: Connection, queues: tuple[Queue, ...]) -> Open:
    """What every page says of the alerts that nobody has acknowledged; one query."""
    alert, notice = tables.alert, tables.notice
    due = select(func.min(notice.c.due)).where(notice.c.due.is_not(None)).scalar_subquery()
    query = select(func.count(), func.min(alert.c.at), due).where(alert.c.acknowledged_at.is_(None), *_of(queues))
    return Open(*connection.execute(query).one())


def one(connection: Connection, alert_id: str) -> Row | None:
    """An alert with the queue that its referral stands in now (``queue`` is None when it was not taken)."""
    found = connection.execute(_alerts().where(tables.alert.c.id == alert_id)).mappings().one_or_none()
    return dict(found) if found is not None else None


def open_alerts(connection: Connection, queues: tuple[Queue, ...], after: Place | None, limit: int) -> list[Row]:
    """Alerts that nobody has acknowledged, the oldest first, each with its ``notices``."""
    alert = tables.alert
    query = _alerts().where(alert.c.acknowledged_at.is_(None), *_of(queues)).order_by(alert.c.at, alert.c.id)
    if after is not None:
        query = query.where(or_(alert.c.at > after.at, and_(alert.c.at == after.at, alert.c.id > after.id)))
    return _with_notices(connection, query.limit(limit))


def latest_acknowledged(connection: Connection, queues: tuple[Queue, ...], limit: int) -> list[Row]:
    """The alerts acknowledged last, the newest first, each with its ``notices``."""
    alert = tables.alert
    query = _alerts().where(alert.c.acknowledged_at.is_not(None), *_of(queues))
    return _with_notices(connection, query.order_by(alert.c.acknowledged_at.desc(), alert.c.id).limit(limit))


def of_referral(connection: Connection, referral_id: str) -> list[Row]:
    """Every alert of one referral, with its ``notices``."""
    alert = tables.alert
    return _with_notices(connection, _alerts().where(alert.c.referral_id == referral_id).order_by(alert.c.at))


def of_request(connection: Connection, received_id: str) -> list[Row]:
    """Every alert of what was not taken of one request, with its ``notices``."""
    alert = tables.alert
    mine = _alerts().where(alert.c.received_id == received_id, alert.c.referral_id.is_(None))
    return _with_notices(connection, mine.order_by(alert.c.at))


def acknowledge(connection: Connection, alert_id: str, who: str, at: datetime) -> bool:
    """Nobody further is told. False when there is no such alert, or somebody was quicker: the first one stands."""
    alert, notice = tables.alert, tables.notice
    is_open = (alert.c.id == alert_id, alert.c.acknowledged_at.is_(None))
    values = {"acknowledged_at": instant(at), "acknowledged_by": who}
    if connection.execute(update(alert).where(*is_open).values(values)).rowcount != 1:
        return False
    connection.execute(update(notice).where(notice.c.alert_id == alert_id).values(due=None))
    return True


def _of(queues: tuple[Queue, ...]) -> list[ColumnElement[bool]]:
    """Alerts of what stands in these queues, and of what was not taken and stands in none."""
    if set(queues) == set(Queue):
        return []
    alert, task = tables.alert, tables.task.alias()
    theirs = exists().where(task.c.referral_id == alert.c.referral_id, task.c.queue.in_(queues))
    return [or_(alert.c.referral_id.is_(None), theirs)]


def kinds_of_hold(connection: Connection, referral_id: str, hold: int) -> set[str]:
    """The kinds of alert that were raised of one hold of a referral's Task."""
    alert = tables.alert
    mine = (alert.c.referral_id == referral_id, alert.c.hold == hold)
    return set(connection.execute(select(alert.c.kind).where(*mine)).scalars())


def close_with_hold(connection: Connection, referral_id: str, at: str) -> None:
    """What was raised because a Task stood on hold is closed with the hold, and nobody further is told."""
    alert, notice = tables.alert, tables.notice
    mine = (alert.c.referral_id == referral_id, alert.c.hold > 0)
    connection.execute(update(alert).where(*mine, alert.c.acknowledged_at.is_(None)).values(acknowledged_at=at))
    told_of = select(alert.c.id).where(*mine)
    connection.execute(update(notice).where(notice.c.alert_id.in_(told_of)).values(due=None))


def _alerts() -> Select[Any]:
    alert, task = tables.alert, tables.task
    return select(alert, task.c.queue).outerjoin(task, task.c.referral_id == alert.c.referral_id)


def _with_notices(connection: Connection, query: Select[Any]) -> list[Row]:
    rows = [dict(row) for row in connection.execute(query).mappings()]
    notices = _notices(connection, [row["id"] for row in rows])
    return [{**row, "notices": [one for one in notices if one["alert_id"] == row["id"]]} for row in rows]


def _notices(connection: Connection, ids: Iterable[str]) -> list[Row]:
    notice = tables.notice
    query = select(notice).where(notice.c.alert_id.in_(list(ids))).order_by(notice.c.alert_id, notice.c.step)
    return [dict(row) for row in connection.execute(query).mappings()]
