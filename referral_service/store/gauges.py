"""What an operator wants to know of the database: a few questions, each answered from an index."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime, timedelta

from sqlalchemy import ColumnElement, Connection, Table, case, func, literal, select, text, union_all

from referral_service.referral import AlertKind, Disposition, Queue
from referral_service.store import tables
from referral_service.store.deliveries import DEAD, WAITING
from referral_service.store.engine import instant
from referral_service.worklist import FINAL, MOVES

Values = dict[tuple[str, ...], float]
Readings = Mapping[str, Mapping[tuple[str, ...], float]]
"""Name -> values of its labels -> value; counts, seconds, bytes and shares."""
DAY = timedelta(days=1)
_OPEN = tuple(status for status in MOVES if status not in FINAL)
_WORK: Mapping[str, Table] = {
    "alerts": tables.notice,
    "records": tables.ehr_fetch,
    "files": tables.ehr_file,
    "subscriptions": tables.subscription,
}
"""What workers take in hand, by what an operator calls it; deliveries are told of apart."""


def now_and_then(connection: Connection, at: datetime, today: date, channels: Iterable[str]) -> Readings:
    """What changes from one moment to the next. ``today`` is the day of the site, ``channels`` the ways of telling."""
    age = _ages(at)
    return {
        **_tasks(connection, age, today),
        **_received(connection, at),
        **_deliveries(connection, age, tuple(channels)),
        **_alerts(connection, age),
        **_audit(connection, age),
        **_work(connection, age),
        "database_bytes": {(): float(connection.execute(text(_SIZE[connection.dialect.name])).scalar_one())},
    }


def in_all(connection: Connection) -> Readings:
    """What was received since the beginning, counted whole; the dearest question, to be asked seldom.

    The rows of the ledger are counted by state and, apart from that, all of them; the two always agree.
    """
    row = tables.ledger
    counted = _none((state.value,) for state in Disposition)
    for state, number in connection.execute(select(row.c.state, func.count()).group_by(row.c.state)):
        counted[state,] = float(number)
    whole = {"ledger_received": row, "referrals_stored": tables.service_request, "tasks_stored": tables.task}
    return {"ledger": counted, **{name: {(): _count(connection, table)} for name, table in whole.items()}}


def oldest_undelivered(connection: Connection) -> str | None:
    """When the oldest change was made that somebody is still to be told of."""
    waiting = select(func.min(tables.delivery.c.at)).where(tables.delivery.c.state == WAITING)
    noted = select(func.min(tables.outbox.c.at))
    found = [connection.execute(query).scalar() for query in (waiting, noted)]
    return min((one for one in found if one is not None), default=None)


_SIZE = {
    "postgresql": "SELECT pg_database_size(current_database())",
    "sqlite": "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()",
}
_Age = Callable[[str | None], float]


def _ages(at: datetime) -> _Age:
    """Seconds since an instant, 0 when there is none or it is still to come."""

    def age(since: str | None) -> float:
        return max(0.0, (at - datetime.fromisoformat(since)).total_seconds()) if since else 0.0

    return age


def _none(places: Iterable[tuple[str, ...]]) -> Values:
    return dict.fromkeys(places, 0.0)


def _count(connection: Connection, table: Table, *only: ColumnElement[bool]) -> float:
    return float(connection.execute(select(func.count()).select_from(table).where(*only)).scalar_one())


def _tasks(connection: Connection, age: _Age, today: date) -> Readings:
    task = tables.task
    is_overdue = func.sum(case((task.c.due < today.isoformat(), 1), else_=0))
    query = select(task.c.queue, task.c.status, func.count(), func.min(task.c.authored_on), is_overdue)
    places = [(queue.value, status) for queue in Queue for status in _OPEN]
    depth, oldest = _none(places), _none(places)
    overdue = _none((queue.value,) for queue in Queue)
    for queue, status, number, since, late in connection.execute(
        query.where(task.c.closed == 0).group_by(task.c.queue, task.c.status)
    ):
        depth[queue, status], oldest[queue, status] = float(number), age(since)
        overdue[queue,] += float(late)
    return {"tasks_open": depth, "tasks_oldest_seconds": oldest, "tasks_overdue": overdue}


def _received(connection: Connection, at: datetime) -> Readings:
    """The share is left out when nothing was taken, and the time when nothing was ever received."""
    row = tables.ledger
    taken = (Disposition.REVIEW, Disposition.ROUTED)
    query = select(row.c.state, func.count()).where(row.c.at >= instant(at - DAY), row.c.state.in_(taken))
    counted: dict[str, int] = {one[0]: one[1] for one in connection.execute(query.group_by(row.c.state))}
    last = connection.execute(select(func.max(row.c.at))).scalar()
    share = counted.get(Disposition.REVIEW, 0) / sum(counted.values()) if counted else None
    when = datetime.fromisoformat(last).timestamp() if last else None
    found = {"review_share": share, "last_received_timestamp_seconds": when}
    return {name: {(): value} for name, value in found.items() if value is not None}


def _deliveries(connection: Connection, age: _Age, channels: tuple[str, ...]) -> Readings:
    row, outbox = tables.delivery, tables.outbox
    pending, oldest, dead = (_none((one,) for one in channels) for _ in range(3))
    query = select(row.c.kind, row.c.state, func.count(), func.min(row.c.at)).where(row.c.state.in_((WAITING, DEAD)))
    for kind, state, number, since in connection.execute(query.group_by(row.c.kind, row.c.state)):
        if state == DEAD:
            dead[kind,] = float(number)
        else:
            pending[kind,], oldest[kind,] = float(number), age(since)
    noted, first = connection.execute(select(func.count(), func.min(outbox.c.at))).one()
    return {
        "deliveries_pending": pending,
        "deliveries_oldest_seconds": oldest,
        "deliveries_dead": dead,
        "outbox_pending": {(): float(noted)},
        "outbox_oldest_seconds": {(): age(first)},
    }


def _alerts(connection: Connection, age: _Age) -> Readings:
    alert, notice = tables.alert, tables.notice
    query = select(alert.c.kind, func.count(), func.min(alert.c.at)).where(alert.c.acknowledged_at.is_(None))
    query = query.group_by(alert.c.kind)
    first = (notice.c.alert_id == alert.c.id, notice.c.step == 0, notice.c.due.is_not(None))
    untold = query.join(notice, first[0]).where(*first[1:])
    found: dict[str, Values] = {}
    for name, one in {"alerts_open": query, "alerts_untold": untold}.items():
        numbers, oldest = (_none((kind.value,) for kind in AlertKind) for _ in range(2))
        for kind, number, since in connection.execute(one):
            numbers[kind,], oldest[kind,] = float(number), age(since)
        found |= {name: numbers, f"{name}_oldest_seconds": oldest}
    return found


def _audit(connection: Connection, age: _Age) -> Readings:
    event = tables.audit_event
    query = select(func.count(), func.min(event.c.at)).where(event.c.sequence.is_(None))
    number, since = connection.execute(query).one()
    return {"audit_unsealed": {(): float(number)}, "audit_unsealed_oldest_seconds": {(): age(since)}}


def _work(connection: Connection, age: _Age) -> Readings:
    """One query for all kinds of work; what nobody has in hand although it is due tells that no worker runs."""
    kinds = [
        select(literal(name), func.count(), func.min(table.c.due)).where(table.c.due.is_not(None))
        for name, table in _WORK.items()
    ]
    rows = connection.execute(union_all(*kinds)).all()
    return {
        "work_waiting": {(name,): float(number) for name, number, _ in rows},
        "work_late_seconds": {(name,): age(due) for name, _, due in rows},
    }
