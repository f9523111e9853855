"""Work that outlives a process: rows that a worker takes in hand under a lease that ends by itself.

A table of such rows has two columns beside its own. ``due`` is when the row is to be taken in hand, None once nothing
is left to do. Taking it moves ``due`` to the end of the lease, so that a row whose worker has died is simply due again.
``attempts`` counts how often it was taken and is the fence: what a worker says of a row counts only while nobody else
has taken it since (https://martin.kleppmann.com/2016/02/08/how-to-do-distributed-locking.html).
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import lru_cache
from threading import Event, Lock, Timer
from typing import Any, Protocol

from sqlalchemy import ColumnElement, Connection, Engine, Table, func, select, update

from referral_service.store.engine import Store, instant, when_durable
from referral_service.store.writes import overtaking

LEASE = timedelta(seconds=60)
CHANNEL = "referral_outbox"
_SLICE = 1.0
_QUIET_SECONDS = 0.05

log = logging.getLogger("referral_service")

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
    """Wakes the workers of other processes once this transaction is committed; SQLite has none.

    Apart from the transaction: PostgreSQL commits those that notify one after the other, each with its wait for the
    disk. A ring that is lost with a process is made up for by the workers, who look by themselves every few seconds.
    """
    if connection.dialect.name == "postgresql":
        when_durable(connection, _bell_of(connection.engine).ring)


class _Bell:
    """Rings at once, and then at most every :data:`_QUIET_SECONDS`, whoever many want it rung."""

    def __init__(self, engine: Engine) -> None:
        self._engine, self._lock = engine, Lock()
        self._is_wanted, self._is_pausing = False, False

    def ring(self) -> None:
        with self._lock:
            if self._is_pausing:
                self._is_wanted = True
                return
            pause = Timer(_QUIET_SECONDS, self._after_pause)
            pause.daemon = True
            pause.start()
            self._is_pausing = True
        self._notify()

    def _after_pause(self) -> None:
        with self._lock:
            self._is_pausing, is_wanted, self._is_wanted = False, self._is_wanted, False
        if is_wanted and self._is_open():
            self.ring()

    def _is_open(self) -> bool:
        """A store that was closed during the pause has no connection left, and gets none that nobody would close."""
        pool: Any = self._engine.pool
        return bool(pool.checkedin() + pool.checkedout())

    def _notify(self) -> None:
        try:
            with self._engine.connect() as connection:
                connection.execution_options(isolation_level="AUTOCOMMIT")
                connection.execute(select(func.pg_notify(CHANNEL, "")))
        except Exception as problem:
            log.warning("bell_not_rung kind=%s", type(problem).__name__)


@lru_cache(4)
def _bell_of(engine: Engine) -> _Bell:
    return _Bell(engine)


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
