"""Writing: all new rows of a request in one go, and changes by compare-and-set."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from itertools import count
from typing import Any

import orjson
from sqlalchemy import Column, Connection, Integer, LargeBinary, Table, delete, exists, insert, select, update
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError

from referral_service.referral import Priority
from referral_service.store import direct, prepared, tables
from referral_service.store.alerts import close_with_hold
from referral_service.worklist import FINAL

Row = Mapping[str, Any]
MAX_KEY = 200


class Overtaken(Exception):
    """Another transaction was quicker; whoever reads again finds what it wrote."""


class KeyTaken(Overtaken):
    """It took the same key."""


Rows = dict[Table, list[dict[str, Any]]]
"""New rows by table."""
_FEW = 32
"""There is a statement for each number of rows, and SQLite keeps the latest of them ready."""

_PARENTS_FIRST = tuple(tables.metadata.sorted_tables)
"""The order in which new rows are written; SQLAlchemy would sort the tables anew each time that it is asked."""


def insert_all(connection: Connection, rows: Rows, *, is_all: bool = False) -> None:
    """Inserts everything: on PostgreSQL by one statement, on SQLite by one a table.

    ``is_all`` says that the transaction writes nothing else, neither before nor after: on PostgreSQL the statement can
    then be the transaction, which saves the trips to begin and to commit one. Raises :class:`KeyTaken` when a key is
    taken.
    """
    filled = {table: _in_order(table, rows[table]) for table in _PARENTS_FIRST if rows.get(table)}
    with overtaking(connection):
        if connection.dialect.name == "postgresql":
            _insert_at_once(connection, filled, is_all=is_all)
        else:
            for table, ordered in filled.items():
                _insert(connection, table, ordered)


@contextmanager
def overtaking(connection: Connection) -> Iterator[None]:
    """Says in our own words what a database says when two write at once; what it says when it is away, in SQLAlchemy's.

    What goes straight to the driver raises its errors, everything else SQLAlchemy's, which wrap them.
    """
    driver: Any = connection.dialect.loaded_dbapi
    try:
        yield
    except (DBAPIError, driver.Error) as problem:
        own: Any = problem.orig if isinstance(problem, DBAPIError) else problem
        if isinstance(problem, IntegrityError | driver.IntegrityError):
            raise KeyTaken from problem
        if getattr(own, "sqlstate", "") in _LOST_RACES:
            raise Overtaken from problem
        if isinstance(problem, driver.OperationalError):
            raise OperationalError(None, None, problem) from problem
        raise


_LOST_RACES = frozenset({"40001", "40P01"})
"""serialization_failure and deadlock_detected (https://www.postgresql.org/docs/current/errcodes-appendix.html)."""


def _in_order(table: Table, rows: Sequence[Row]) -> Sequence[Row]:
    """One order for all writers, so that two with keys in common wait for each other in turn and never in a circle."""
    keys = _keys(table)
    ordered = sorted(rows, key=lambda row: [row.get(name, 0) for name in keys]) if len(rows) > 1 else rows
    return [{**row, **_for_the_list(row)} for row in ordered] if table is tables.task else ordered


@cache
def _keys(table: Table) -> tuple[str, ...]:
    return tuple(column.name for column in table.primary_key)


def _insert(connection: Connection, table: Table, rows: Sequence[Row]) -> None:
    """A few rows by one statement: after each step of one a thread has to wait until the others let it go on."""
    names, cursor = _columns(table), direct.cursor(connection)
    if len(rows) <= _FEW:
        cursor.execute(_statement(table, len(rows)), [row.get(name) for row in rows for name in names])
    else:
        cursor.executemany(_statement(table, 1), [[row.get(name) for name in names] for row in rows])


def _insert_at_once(connection: Connection, filled: Mapping[Table, Sequence[Row]], *, is_all: bool) -> None:
    """All constraints are looked at when the statement has ended, so no row has to wait for the one it refers to.

    Nor is it said in which order PostgreSQL fills the tables. Two requests that take the same keys in two tables in
    opposite orders are a deadlock, which PostgreSQL ends within a second, and the one that lost reads again.
    """
    statement = _one_statement(tuple((table, len(new) == 1) for table, new in filled.items()))
    values: list[Any] = []
    for table, new in filled.items():
        if len(new) == 1:
            values += map(new[0].get, _columns(table))
        else:
            values.append(orjson.dumps(new, default=bytes.hex).decode())
    if is_all and prepared.is_idle(connection):
        prepared.run(connection, statement, values)
    else:
        direct.cursor(connection).execute(statement, values)


@cache
def _one_statement(shape: tuple[tuple[Table, bool], ...]) -> str:
    """``shape`` says of each table whether one row goes into it; its values are then parameters.

    Several are one parameter, a JSON array in which what is not named is NULL: or there would be a statement, and a
    plan of it, for each number of rows.
    """
    quoted, number = direct.DIALECTS["postgresql"].identifier_preparer.quote, count(1)
    parts = []
    for table, is_one in shape:
        columns = [table.columns[name] for name in _columns(table)]
        names = ", ".join(quoted(one.name) for one in columns)
        if is_one:
            rows = f"VALUES ({', '.join(f'${next(number)}' for _ in columns)})"
        else:
            read = ", ".join(_read(one, quoted(one.name)) for one in columns)
            told = ", ".join(f"{quoted(one.name)} {_as_told(one)}" for one in columns)
            rows = f"SELECT {read} FROM json_to_recordset(${next(number)}::json) AS given({told})"  # noqa: S608
        parts.append(f"into_{table.name} AS (INSERT INTO {quoted(table.name)} ({names}) {rows})")
    return f"WITH {', '.join(parts)} SELECT"


def _as_told(column: Column[Any]) -> str:
    return "bigint" if isinstance(column.type, Integer) else "text"


def _read(column: Column[Any], name: str) -> str:
    return f"decode({name}, 'hex')" if isinstance(column.type, LargeBinary) else name


@cache
def _columns(table: Table) -> tuple[str, ...]:
    """What an insert fills: all but a number that the database gives."""
    return tuple(column.name for column in table.columns if column is not table.autoincrement_column)


@cache
def _statement(table: Table, rows: int) -> str:
    quoted = direct.DIALECTS["sqlite"].identifier_preparer.quote
    names = _columns(table)
    row = f"({', '.join('?' * len(names))})"
    columns = ", ".join(map(quoted, names))
    return f"INSERT INTO {quoted(table.name)} ({columns}) VALUES {', '.join([row] * rows)}"  # noqa: S608


def replace_version(
    connection: Connection, table: Table, identity: str, expected_version: int, values: Row, kind: str
) -> bool:
    """Moves the current row to ``history`` and writes the next version; False when another was quicker."""
    current = (
        connection.execute(select(table).where(table.c.id == identity, table.c.version == expected_version))
        .mappings()
        .one_or_none()
    )
    if current is None:
        return False
    derived = _for_the_list({**current, **values}) if table is tables.task else {}
    changed = connection.execute(
        update(table)
        .where(table.c.id == identity, table.c.version == expected_version)
        .values({**values, **derived, "version": expected_version + 1})
    )
    if changed.rowcount != 1:
        return False
    shared = {name: current[name] for name in ("id", "version", "client", "last_updated", "content")}
    kept = {name: current.get(name) for name in ("decision", "machine_decision", "decision_input", "received_id")}
    connection.execute(insert(tables.history).values({**shared, **kept, "type": kind}))
    if table is tables.task and current["status"] == "on-hold" and values.get("status", "on-hold") != "on-hold":
        close_with_hold(connection, current["referral_id"], values["last_updated"])
    return True


def _for_the_list(task: Row) -> dict[str, int]:
    """What the list is ordered by and follows from the rest of a Task; the database holds the same in a CHECK.

    Columns that the database works out itself would do, but SQLite does not read those from an index alone.
    """
    slower = len(Priority) - 1 - task["priority_rank"]
    return {"closed": int(task["status"] in FINAL), "lane": slower if task["red_flag"] else slower + len(Priority)}


def bounded(key: str) -> str:
    """A key that fits every index: itself, or its digest when it is long."""
    return key if len(key) <= MAX_KEY else f"sha256:{hashlib.sha256(key.encode()).hexdigest()}"


def follow_patient(connection: Connection, patient_id: str, born: str) -> None:
    """Lets the list know the birth date as its sender corrected it; one that a human has made sure of stays.

    Of a referral entered in error it knows none.
    """
    task, correction = tables.task, tables.correction
    is_sure = exists().where(correction.c.task_id == task.c.id, correction.c.kind == "birth-date")
    changed = (task.c.patient_id == patient_id, task.c.masked == 0, task.c.born != born, ~is_sure)
    connection.execute(update(task).where(*changed).values(born=born))


def forget_tokens(connection: Connection, owners: Sequence[str]) -> None:
    """What replaced resources were found by; their new tokens are inserted with the other rows."""
    if owners:
        connection.execute(delete(tables.token).where(tables.token.c.owner.in_(owners)))


def move_ledger(connection: Connection, referral_id: str, state: str, told: Row) -> None:
    """A later decision moves the state and words of a referral's row; the row itself is never added again."""
    connection.execute(
        update(tables.ledger).where(tables.ledger.c.referral_id == referral_id).values(state=state, **told)
    )


def move_ledger_state(connection: Connection, referral_id: str, state: str) -> None:
    """A human's decision moves the state and leaves the machine's words."""
    connection.execute(update(tables.ledger).where(tables.ledger.c.referral_id == referral_id).values(state=state))


def take_ledger(
    connection: Connection, received_id: str, position: int, state: str, referral_id: str | None, notice: str
) -> None:
    """What was refused or rejected is taken in by a human: its row moves, the machine's words stay after a ``notice``.

    Raises :class:`Overtaken` when somebody else has taken it in by now.
    """
    row = tables.ledger
    own = (row.c.received_id == received_id, row.c.position == position, row.c.referral_id.is_(None))
    before = connection.execute(select(row.c.outcome).where(*own)).scalar()
    outcome = orjson.loads(before or notice)
    outcome["issue"] = [*orjson.loads(notice)["issue"], *outcome["issue"]]
    moved = {"taken_from": row.c.state, "state": state, "referral_id": referral_id}
    changed = connection.execute(update(row).where(*own).values(**moved, outcome=orjson.dumps(outcome).decode()))
    if changed.rowcount != 1:
        raise Overtaken


def remember_answers(connection: Connection, received_id: str, answers: str) -> None:
    """What the entries of a request have become since; see ``received.answers``."""
    connection.execute(update(tables.received).where(tables.received.c.id == received_id).values(answers=answers))


def point_key(connection: Connection, client: str, kind: str, value: str, finished: str, new: Row) -> None:
    """Lets a key that was used by the ``finished`` referral speak of the new one.

    Raises :class:`Overtaken` when it speaks of another by now.
    """
    key = tables.request_key
    own = (key.c.client == client, key.c.kind == kind, key.c.value == bounded(value))
    changed = connection.execute(update(key).where(*own, key.c.referral_id == finished).values(**new))
    if changed.rowcount != 1:
        raise Overtaken
