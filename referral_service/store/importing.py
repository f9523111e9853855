"""What was exported is read into an empty database of either engine: all of it, or nothing.

The lines are those of :mod:`referral_service.store.exporting`. They are written as they are read, in one transaction
that ends well only when the last line agrees with what came.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from typing import Any

import orjson
from sqlalchemy import Connection, Table, bindparam, func, insert, select, text, update
from sqlalchemy.exc import DataError, IntegrityError

from referral_service.store import tables
from referral_service.store.engine import Store, Unfit
from referral_service.store.exporting import FORMAT, binary_columns, in_order
from referral_service.store.migrations import head

_ROWS, _BYTES = 200, 8 * 1024 * 1024
"""How much is written at once: so many rows, or fewer when their lines are long."""
_PLACES = ("sequence", "hash")
"""What an audit event gets once it is sealed, and cannot be inserted with."""

Line = Mapping[str, Any]


class ImportRefused(Unfit):
    """Nothing was imported; the message says why."""


def import_all(store: Store, lines: Iterable[bytes]) -> Mapping[str, int]:
    """Reads every line into a database that is up to date and empty; gives the number of rows by table.

    Raises :class:`ImportRefused`.
    """
    try:
        with store.writing() as connection:
            _be_alone(connection)
            _be_empty(connection)
            counts = _take(connection, iter(lines))
            _set_sequences(connection)
        return counts
    except (IntegrityError, DataError) as problem:
        raise ImportRefused("a row does not fit into its table") from problem


def _be_alone(connection: Connection) -> None:
    """Nobody else writes until this has ended; on SQLite that is so anyway."""
    if connection.dialect.name == "postgresql":
        names = ", ".join(table.name for table in in_order())
        connection.execute(text(f"LOCK TABLE {names} IN EXCLUSIVE MODE"))


def _be_empty(connection: Connection) -> None:
    for table in in_order():
        if connection.execute(select(table).limit(1)).first() is not None:
            raise ImportRefused(f"the database is not empty: there are rows in {table.name}")


def _take(connection: Connection, lines: Iterator[bytes]) -> Mapping[str, int]:
    reading = _Reading(lines)
    _check_head(next(reading, {}))
    counts = {str(table.name): 0 for table in in_order()}
    for name, rows in groupby(reading.rows(), key=lambda line: line["table"]):
        table = tables.metadata.tables[name]
        for some in _portions(rows):
            _insert(connection, table, [_values(table, one["row"]) for one in some])
            counts[name] += len(some)
    if reading.end is None:
        raise ImportRefused("the last line is missing: the file was cut off")
    if reading.end["sha256"] != reading.digest or reading.end["counts"] != counts:
        raise ImportRefused("what came is not what the last line tells of: the file was changed")
    return counts


class _Reading(Iterator[Line]):
    """Lines as objects, with the digest of all before the last."""

    def __init__(self, lines: Iterator[bytes]) -> None:
        self._lines, self._number, self._hash = lines, 0, hashlib.sha256()
        self.end: Line | None = None

    @property
    def digest(self) -> str:
        return self._hash.hexdigest()

    def __next__(self) -> Line:
        raw = next(self._lines)
        self._number += 1
        line = self._object(raw)
        if line.get("type") == "end":
            self.end = line
            if next(self._lines, None) is not None:
                raise ImportRefused("there are lines after the last")
            if not isinstance(line.get("counts"), dict) or "sha256" not in line:
                raise ImportRefused("the last line tells of nothing")
        else:
            self._hash.update(raw)
        return line

    def rows(self) -> Iterator[Line]:
        known = {table.name for table in in_order()}
        for line in self:
            if line.get("type") == "end":
                return
            if line.get("type") != "row" or line.get("table") not in known or not isinstance(line.get("row"), dict):
                raise ImportRefused(f"line {self._number} is no row of a table that there is")
            yield {**line, "size": self.size}

    def _object(self, raw: bytes) -> Line:
        self.size = len(raw)
        try:
            line = orjson.loads(raw)
        except orjson.JSONDecodeError as problem:
            raise ImportRefused(f"line {self._number} is no JSON: the file was cut off or changed") from problem
        if not isinstance(line, dict):
            raise ImportRefused(f"line {self._number} is no object")
        return line


def _check_head(line: Line) -> None:
    if line.get("type") != "referral-service" or line.get("format") != FORMAT:
        raise ImportRefused(f"the first line is not that of an export in format {FORMAT}")
    if line.get("revision") != head():
        raise ImportRefused(
            f"it was exported at version {line.get('revision')} of the database, this program needs {head()}: "
            "import it with the program that exported it, then upgrade"
        )


def _portions(rows: Iterator[Line]) -> Iterator[list[Line]]:
    portion, size = list[Line](), 0
    for row in rows:
        portion.append(row)
        size += row["size"]
        if len(portion) == _ROWS or size >= _BYTES:
            yield portion
            portion, size = [], 0
    if portion:
        yield portion


def _values(table: Table, row: Mapping[str, Any]) -> dict[str, Any]:
    if row.keys() != set(table.columns.keys()):
        raise ImportRefused(f"a row of {table.name} has other columns than the table")
    binary = binary_columns(table)
    try:
        return {
            name: base64.b64decode(value, validate=True) if name in binary and value is not None else value
            for name, value in row.items()
        }
    except (binascii.Error, TypeError, ValueError) as problem:
        raise ImportRefused(f"a row of {table.name} holds bytes that are no base64") from problem


def _insert(connection: Connection, table: Table, rows: list[dict[str, Any]]) -> None:
    if table is not tables.audit_event:
        connection.execute(insert(table), rows)
        return
    # The trail takes an event without its place, and then the place, whoever writes.
    connection.execute(insert(table), [{**row, **dict.fromkeys(_PLACES)} for row in rows])
    sealed = [{"of": row["id"], **{f"new_{name}": row[name] for name in _PLACES}} for row in rows if row["hash"]]
    if sealed:
        places: dict[str, Any] = {name: bindparam(f"new_{name}") for name in _PLACES}
        connection.execute(update(table).where(table.c.id == bindparam("of")).values(places), sealed)


def _set_sequences(connection: Connection) -> None:
    """Numbers that PostgreSQL gives by itself go on after those that came; SQLite looks at the rows."""
    if connection.dialect.name == "postgresql":
        number = tables.outbox.c.number
        last = connection.execute(select(func.max(number))).scalar()
        if last is not None:
            sequence = func.pg_get_serial_sequence("outbox", "number")
            connection.execute(select(func.setval(sequence, last)))
