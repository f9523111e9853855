"""Statements that a connection to PostgreSQL keeps prepared, run through libpq itself.

For what every request asks and writes: a driver that adapts any type and can be interrupted anywhere takes several
times as long for it as the database does. Each statement is a transaction of its own, durable once it has returned.

https://www.psycopg.org/psycopg3/docs/api/pq.html, https://www.postgresql.org/docs/current/libpq-exec.html
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from sqlalchemy import Connection

_KEPT = "prepared"
_WORTH_IT = 3
"""The use at which a statement is prepared: many come once and never again."""
_MOST = 120
"""Each costs the database memory in each connection."""
_FORGOTTEN = b"26000"
"""invalid_sql_statement_name: the driver has had all statements of the connection forgotten, as it does at a
ROLLBACK."""
_IDLE, _COMMAND_OK, _TUPLES_OK = 0, 1, 2
_SQLSTATE = 67
"""As libpq numbers them (libpq-fe.h): PGTransactionStatusType, ExecStatusType and PG_DIAG_SQLSTATE."""
_TEXT, _BINARY = 0, 1


def is_idle(connection: Connection) -> bool:
    """Whether no transaction has begun on PostgreSQL yet; the driver begins one with its first statement."""
    driver: Any = connection.connection.driver_connection
    return bool(driver.pgconn.transaction_status == _IDLE)


def rows(connection: Connection, sql: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
    """Of a SELECT with numbered parameters, by itself. Columns are texts or whole numbers. Raises the driver's errors.

    What is none of these raises ``KeyError``.
    """
    result = run(connection, sql, values)
    loaders = [_LOADERS[result.ftype(column)] for column in range(result.nfields)]
    return [
        tuple(
            None if (value := result.get_value(row, column)) is None else load(value)
            for column, load in enumerate(loaders)
        )
        for row in range(result.ntuples)
    ]


def run(connection: Connection, sql: str, values: Sequence[Any]) -> Any:
    """One statement with numbered parameters, committed when it has returned. Raises the driver's errors.

    Values are texts, bytes, whole numbers and None. The result is as libpq has it.
    """
    driver: Any = connection.connection.driver_connection
    kept: _Statements = connection.info.setdefault(_KEPT, _Statements())
    given = [value if value is None else value.encode() if value.__class__ is str else _dump(value) for value in values]
    formats = [_TEXT if isinstance(value, int) else _BINARY for value in values]
    result = kept.run(driver.pgconn, sql, given, formats)
    if result.status not in (_COMMAND_OK, _TUPLES_OK):
        raise _problem(connection, result)
    return result


@dataclass(slots=True)
class _Statements:
    """Of one connection."""

    names: dict[str, bytes] = field(default_factory=dict)
    uses: dict[str, int] = field(default_factory=dict)
    numbers: Any = field(default_factory=count)

    def run(self, libpq: Any, sql: str, given: Sequence[bytes | None], formats: Sequence[int]) -> Any:
        name = self.names.get(sql)
        if name is None:
            name = self._prepared(libpq, sql)
        if name is None:
            return libpq.exec_params(sql.encode(), given, None, formats)
        result = libpq.exec_prepared(name, given, formats)
        if result.error_field(_SQLSTATE) == _FORGOTTEN:
            self.names.clear()
            result = libpq.exec_params(sql.encode(), given, None, formats)
        return result

    def _prepared(self, libpq: Any, sql: str) -> bytes | None:
        """The name of a statement that has become worth its place; None for others, and when it cannot be prepared."""
        if len(self.uses) > _MOST * 10:
            self.uses.clear()
        self.uses[sql] = self.uses.get(sql, 0) + 1
        if self.uses[sql] < _WORTH_IT:
            return None
        if len(self.names) >= _MOST:
            oldest = next(iter(self.names))
            libpq.exec_(b"DEALLOCATE " + self.names.pop(oldest))
        name = b"own_%d" % next(self.numbers)
        if libpq.prepare(name, sql.encode()).status != _COMMAND_OK:
            return None
        self.names[sql] = name
        return name


def _dump(value: Any) -> bytes:
    """Text goes as bytes with a length and no end, so that PostgreSQL itself refuses a NUL in it."""
    if isinstance(value, bytes):
        return value
    return value.encode() if isinstance(value, str) else b"%d" % value


def _problem(connection: Connection, result: Any) -> Exception:
    """As the driver would raise it, without the values that PostgreSQL's own words may quote."""
    driver: Any = connection.dialect.loaded_dbapi
    state = (result.error_field(_SQLSTATE) or b"").decode()
    if not state:
        problem: Exception = driver.OperationalError("the connection is lost")
        return problem
    try:
        kind = driver.errors.lookup(state)
    except KeyError:
        kind = driver.DatabaseError
    raised: Exception = kind(f"PostgreSQL says {state}")
    return raised


_LOADERS: Mapping[int, Callable[[bytes], Any]] = {
    **dict.fromkeys((20, 21, 23), int),
    **dict.fromkeys((19, 25, 705, 1043), bytes.decode),
}
"""By the numbers of PostgreSQL's types: int8, int2 and int4; name, text, unknown and varchar."""
