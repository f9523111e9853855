"""The database: SQLite in one file by default, PostgreSQL by URL, one code base.

Reads begin deferred and writes immediate, so that on SQLite a writer never finds out at commit that it lost; writers
of one process take turns at a lock (:mod:`referral_service.store.writers`) rather than at the database's busy handler,
which sleeps in ever longer steps.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache, partial
from pathlib import Path
from time import monotonic
from typing import Any

from sqlalchemy import URL, Connection, Engine, QueuePool, StaticPool, Table, create_engine, event, make_url
from sqlalchemy.engine import Dialect
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError, DBAPIError, InvalidatePoolError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.pool import ConnectionPoolEntry

from referral_service.store.writers import Writers

__all__ = [
    "Connection",
    "SchemaError",
    "Store",
    "Table",
    "Unfit",
    "file_of",
    "instant",
    "open_store",
    "sqlite_file",
    "when_durable",
]

log = logging.getLogger("referral_service")

BUSY_SECONDS = 10
SQLITE_STATEMENTS = 512
"""How many SQLite keeps ready in each connection."""
CONNECT_SECONDS, LOCK_SECONDS, STATEMENT_SECONDS = 5, 3, 20
"""How long PostgreSQL may take: to let us in; where somebody waits for the answer, also for a lock and a statement."""
POOL_SECONDS = 3
"""How long a thread waits for a connection that others have in use."""
PING_SECONDS = 0.2
_WATCHED = {"tcp_user_timeout": 10_000, "keepalives_idle": 10, "keepalives_interval": 3, "keepalives_count": 3}
"""A database that is no longer there and says nothing is given up after 10 to 20 seconds.

https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNECT-TCP-USER-TIMEOUT"""
_TOLD, _USED = "told when durable", "used at"
_QUIET: dict[str, Any] = {"hide_parameters": True}
"""No log and no exception of the database's shows the values of a statement, which are patients' data."""
UNUSABLE: tuple[type[Exception], ...] = (ArgumentError, DBAPIError, ValueError)
"""What is raised for an address that is none, or for what lies there and is no database of ours."""


class Unfit(RuntimeError):
    """Something about a database that whoever keeps it can mend; the message says what, with no value of any row."""


class SchemaError(Unfit):
    """The database is not at the version that this program was written for."""


UNAVAILABLE: tuple[type[Exception], ...] = (OperationalError, PoolTimeout, SchemaError)
"""What is raised while the database cannot be reached, no connection to it is free, or it is of another version."""


@dataclass(frozen=True, slots=True)
class Store:
    """An open database. Connections are passed to the functions of this package; the edge that opened one commits."""

    engine: Engine
    writers: Writers | None
    """Of an SQLite file; on PostgreSQL the database itself has them wait for each other."""

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """On PostgreSQL each statement by itself, which sees no less than in a transaction, and ends with no ROLLBACK:
        at one the driver forgets every statement that it has prepared."""
        with self.engine.connect() as connection:
            yield connection.execution_options(isolation_level="AUTOCOMMIT") if self.is_shared else connection

    @contextmanager
    def asking(self) -> Iterator[Connection]:
        """For questions alone (:class:`referral_service.store.direct.Question`), each by itself."""
        with self.engine.connect() as connection:
            yield connection

    @contextmanager
    def at_one_moment(self) -> Iterator[Connection]:
        """Reads that see the database as it was at the first of them, whatever is written meanwhile."""
        with self.engine.connect() as connection:
            if self.is_shared:  # SQLite reads like this by itself (https://www.sqlite.org/isolation.html).
                connection.execution_options(isolation_level="REPEATABLE READ")
            with connection.begin():
                connection.exec_driver_sql("SELECT 1")  # The moment is that of the first statement.
                yield connection

    @contextmanager
    def writing(self, *, is_quick: bool = False) -> Iterator[Connection]:
        """One transaction, durable when the block has ended; rolled back whole when the block raises.

        ``is_quick`` lets others who write at the same moment share the wait for the disk, where one has to wait.
        """
        told: list[Callable[[], None]] = []
        with self._transaction(is_quick) as connection:
            connection.info.pop(_TOLD, None)
            yield connection
            told = connection.info.pop(_TOLD, [])
        for tell in told:
            try:
                tell()
            except Exception as problem:  # what is written is written, whoever cannot be told of it
                log.error("not_told_when_durable kind=%s", type(problem).__name__)

    @contextmanager
    def _transaction(self, is_quick: bool) -> Iterator[Connection]:
        if self.writers is not None:
            with self.writers.writing(is_quick=is_quick) as connection:
                yield connection
        else:
            with self.engine.connect() as connection, connection.begin():
                yield connection

    @contextmanager
    def listening(self) -> Iterator[Connection]:
        """A connection whose every statement is its own transaction, as LISTEN of PostgreSQL needs it."""
        with self.engine.connect() as connection:
            yield connection.execution_options(isolation_level="AUTOCOMMIT")

    @property
    def is_shared(self) -> bool:
        """Whether several processes can work on it; an SQLite file belongs to one."""
        return self.engine.dialect.name == "postgresql"

    def connections(self) -> tuple[int, int]:
        """How many connections are in use, and how many can be; (0, 1) for a database in memory."""
        pool = self.engine.pool
        if not isinstance(pool, QueuePool):
            return 0, 1
        return pool.checkedout(), pool.size() + pool._max_overflow

    def close(self) -> None:
        if self.writers is not None:
            self.writers.close()
        self.engine.dispose()


def when_durable(connection: Connection, tell: Callable[[], None]) -> None:
    """Calls ``tell`` once the transaction of :meth:`Store.writing` is committed; never when it is rolled back."""
    connection.info.setdefault(_TOLD, []).append(tell)


@lru_cache(64)
def instant(at: datetime) -> str:
    """As points in time stand in the tables: a FHIR instant in UTC with milliseconds."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def open_store(url: str, *, pool_size: int = 8, is_waited_for: bool = False) -> Store:
    """Connects lazily to ``sqlite:///path`` or ``postgresql://…``. Raises ``ValueError`` for any other engine.

    With ``is_waited_for`` what takes too long on PostgreSQL fails as :data:`UNAVAILABLE`: no lock stops all threads.
    """
    parts = make_url(url)
    if parts.get_backend_name() == "sqlite":
        engine = _sqlite(parts, pool_size)
        event.listen(engine, "connect", _configure_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return Store(engine, Writers(engine))
    if parts.get_backend_name() == "postgresql":
        given = {"connect_timeout": CONNECT_SECONDS, **_WATCHED}
        driven = parts.set(drivername="postgresql+psycopg")
        engine = create_engine(
            driven, pool_size=pool_size, pool_use_lifo=True, pool_timeout=POOL_SECONDS, connect_args=given, **_QUIET
        )
        event.listen(engine, "checkin", _note_use)
        event.listen(engine, "checkout", partial(_ping_after_pause, engine.dialect))
        if is_waited_for:
            event.listen(engine, "connect", _bound_postgresql)
        return Store(engine, None)
    raise ValueError("the database is neither SQLite nor PostgreSQL")


def _note_use(_: DBAPIConnection, record: ConnectionPoolEntry) -> None:
    record.info[_USED] = monotonic()


def _ping_after_pause(dialect: Dialect, connection: DBAPIConnection, record: ConnectionPoolEntry, _: object) -> None:
    """A connection that has not been used for a moment may have been ended by the other side; then all are made anew.

    One that was used just now is not asked, for that would be a round trip more with every request.
    """
    if monotonic() - record.info.get(_USED, monotonic()) < PING_SECONDS:
        return
    try:
        dialect.do_ping(connection)
    except dialect.loaded_dbapi.Error as problem:
        raise InvalidatePoolError from problem


def _bound_postgresql(connection: DBAPIConnection, _: object) -> None:
    cursor = connection.cursor()
    cursor.execute(f"SET lock_timeout = '{LOCK_SECONDS}s'")
    cursor.execute(f"SET statement_timeout = '{STATEMENT_SECONDS}s'")
    cursor.close()
    connection.commit()


def sqlite_file(url: str) -> Path:
    """The file of an SQLite database. Raises ``ValueError`` for a database that has none."""
    parts = make_url(url)
    if parts.get_backend_name() != "sqlite" or parts.database in (None, "", ":memory:"):
        raise ValueError("the database is no file")
    return Path(str(parts.database))


def file_of(store: Store) -> Path | None:
    """The file that an SQLite database lies in; None where it has none."""
    url = store.engine.url
    is_file = url.get_backend_name() == "sqlite" and url.database not in (None, "", ":memory:")
    return Path(str(url.database)) if is_file else None


def _sqlite(url: URL, pool_size: int) -> Engine:
    if url.database in (None, "", ":memory:"):
        # A database in memory lives as long as its one connection, so there is only that one.
        return create_engine(url, poolclass=StaticPool, connect_args={"check_same_thread": False}, **_QUIET)
    return create_engine(
        url,
        pool_size=pool_size,
        connect_args={"timeout": BUSY_SECONDS, "cached_statements": SQLITE_STATEMENTS},
        **_QUIET,
    )


def _configure_sqlite(connection: DBAPIConnection, _: object) -> None:
    connection.isolation_level = None  # SQLAlchemy's documented way to have BEGIN said by the listener below
    cursor = connection.cursor()
    # temp_store: what one of those who share a commit would take back needs no file, for it never outlives the commit.
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "fullfsync=ON", "foreign_keys=ON", "temp_store=MEMORY"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN DEFERRED")
