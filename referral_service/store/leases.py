"""Work that outlives a process: rows that a worker takes in hand under a lease that ends by itself.

A table of such rows has two columns beside its own. ``due`` is when the row is to be taken in hand, None once nothing
is left to do. Taking it moves ``due`` to the end of the lease, so that a row whose worker has died is simply due again.
``attempts`` counts how often it was taken and is the fence: what a worker says of a row counts only while nobody else
has taken it since (https://martin.kleppmann.com/2016/02/08/how-to-do-distributed-locking.html).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from threading import Event
from typing import Any, Protocol

from sqlalchemy import ColumnElement, Connection, Table, func, select, update

from referral_service.store.engine import Store, instant
from referral_service.store.writes import overtaking

LEASE = timedelta(seconds=60)
CHANNEL = "referral_outbox"
_SLICE = 1.0

Row = Mapping[str, Any]


def claim(
    connection: Connection, table: Table, at: datetime, *only: ColumnElement[bool], lease: timedelta = LEASE
) -> Row | None:
    """Takes the row that has been due for longest, with ``attempts`` as it is now; None when none is due.

    ``only`` are conditions that the row has to meet beside.

    Two workers never get the same one: on PostgreSQL the second passes over what the first has locked, on SQLite
    writers take turns.
    """
    query = select(table).where(table.c.due <= instant(at), *only).order_by(table.c.due).limit(1)
    found = connection.execute(query.with_for_update(of=table, skip_locked=True)).mappings().one_or_none()
    if found is None:
        return None
    row = dict(found)
    taken = {"due": instant(at + lease), "attempts": row["attempts"] + 1}
    connection.execute(update(table).where(*_key(table, row)).values(taken))
    return {**row, **taken}


def finish(connection: Connection, table: Table, row: Row, *only: ColumnElement[bool], **values: Any) -> bool:
    """Nothing is left to do for a claimed row; False when its lease had ended and another took it.

    ``only`` are conditions that the row has to meet beside.
    """
    held = (*_key(table, row), table.c.attempts == row["attempts"], *only)
    return connection.execute(update(table).where(*held).values(due=None, **values)).rowcount == 1


def postpone(connection: Connection, table: Table, row: Row, until: datetime, **values: Any) -> bool:
    """A claimed row is to be taken again later; False when another took it, or when it was called off meanwhile."""
    held = (*_key(table, row), table.c.attempts == row["attempts"], table.c.due.is_not(None))
    return connection.execute(update(table).where(*held).values(due=instant(until), **values)).rowcount == 1


def is_in_hand(connection: Connection, table: Table, row: Row) -> bool:
    """Whether a claimed row is still held by who claimed it; until this transaction ends it stays so."""
    held = (*_key(table, row), table.c.attempts == row["attempts"], table.c.due.is_not(None))
    return connection.execute(select(table.c.attempts).where(*held).with_for_update()).first() is not None


def next_due(connection: Connection, table: Table, *only: ColumnElement[bool]) -> str | None:
    """When the next row is due, also when that has passed."""
    due: str | None = connection.execute(select(func.min(table.c.due)).where(table.c.due.is_not(None), *only)).scalar()
    return due


def _key(table: Table, row: Row) -> list[ColumnElement[bool]]:
    return [column == row[column.name] for column in table.primary_key]


def ring(connection: Connection) -> None:
    """Wakes the workers of other processes once this transaction is committed; SQLite has none."""
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_notify(CHANNEL, "")))


class Bell(Protocol):
    def __call__(self, seconds: float) -> None:
        """Returns when somebody rings, when ``seconds`` have passed or when the worker is to stop."""


@contextmanager
def listening(store: Store, stopping: Event) -> Iterator[Bell]:
    """The bell of one worker. Where nobody can ring, it sounds every second.

    Raises one of :data:`~referral_service.store.engine.UNAVAILABLE` when the database goes away.
    """
    if not store.is_shared:

        def sleep(seconds: float) -> None:
            stopping.wait(min(seconds, _SLICE))

        yield sleep
        return
    with store.listening() as connection, overtaking(connection):
        connection.exec_driver_sql(f"LISTEN {CHANNEL}")
        driver: Any = connection.connection.driver_connection

        def hear(seconds: float) -> None:
            left = seconds
            while left > 0 and not stopping.is_set():
                if list(driver.notifies(timeout=min(left, _SLICE), stop_after=1)):
                    return
                left -= _SLICE

        yield hear
