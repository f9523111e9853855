"""Statements that every request needs, straight to the driver: composed once, then run as text.

SQLAlchemy writes them and knows both engines; running a statement through it takes longer than the database needs for
it. What goes wrong is said as everywhere (:func:`referral_service.store.writes.overtaking`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from sqlalchemy import Connection, Select
from sqlalchemy.dialects.postgresql import psycopg
from sqlalchemy.dialects.sqlite import pysqlite
from sqlalchemy.engine import Dialect
from sqlalchemy.sql.expression import ClauseElement

from referral_service.store import prepared

DIALECTS: Mapping[str, Dialect] = {
    "sqlite": pysqlite.dialect(),
    # Numbered parameters are what PostgreSQL itself takes, so the driver has nothing to rewrite.
    "postgresql": psycopg.dialect(paramstyle="numeric_dollar"),  # type: ignore[no-untyped-call]
}
LONGEST_LIST = 40
"""Of longer lists so many lengths come that no statement would ever be used twice."""
_SHAPES = 512


class Slot(NamedTuple):
    """Where a value stands in a statement: a name, or one place of a list, or of a tuple in a list."""

    name: str
    place: int = -1
    part: int = -1


class Text(NamedTuple):
    """A statement as the driver takes it, and what stands at each of its parameters: a slot or a constant."""

    sql: str
    parameters: tuple[Any, ...]


def cursor(connection: Connection) -> Any:
    """The driver's own; on PostgreSQL one that takes numbered parameters and sends the text as it is."""
    if connection.dialect.name != "postgresql":
        return connection.connection.cursor()
    driver: Any = connection.dialect.loaded_dbapi
    return driver.RawCursor(connection.connection.driver_connection)


class Question:
    """A SELECT that is asked often, with named parameters, some of them lists. Ask within ``overtaking``.

    On PostgreSQL it begins no transaction, and where none has begun it is asked by itself.
    """

    def __init__(self, statement: ClauseElement) -> None:
        self._statement = statement
        self._text = lru_cache(_SHAPES)(self._composed)

    def rows(self, connection: Connection, values: Mapping[str, Any]) -> Iterable[Any]:
        lists = [(name, len(one), _width(one)) for name, one in values.items() if isinstance(one, list)]
        if any(length > LONGEST_LIST for _, length, _ in lists):
            return connection.execute(self._statement, values)  # type: ignore[call-overload, no-any-return]
        sql, parameters = self._text(connection.dialect.name, tuple(values), tuple(lists))
        return _rows(connection, sql, [_value(one, values) for one in parameters])

    def _composed(self, dialect: str, names: Sequence[str], lists: Sequence[tuple[str, int, int]]) -> Text:
        slots: dict[str, Any] = {name: Slot(name) for name in names}
        for name, length, width in lists:
            slots[name] = [_slot(name, place, width) for place in range(length)]
        return _text(self._statement, dialect, slots)


class Standing(NamedTuple):
    """A SELECT with all of its values, as somebody asks it again and again."""

    text: Text
    columns: tuple[str, ...]

    @classmethod
    def of(cls, statement: Select[Any], connection: Connection) -> Standing:
        names = tuple(column.name for column in statement.selected_columns)
        return cls(_text(statement, connection.dialect.name, {}), names)

    def rows(self, connection: Connection) -> list[dict[str, Any]]:
        """By the names of their columns. Ask within ``overtaking``."""
        found = _rows(connection, self.text.sql, list(self.text.parameters))
        return [dict(zip(self.columns, row, strict=True)) for row in found]


def _text(statement: ClauseElement, dialect: str, values: Mapping[str, Any]) -> Text:
    compiled = statement.compile(dialect=DIALECTS[dialect])
    state = compiled.construct_expanded_state(values)  # type: ignore[attr-defined]
    return Text(state.statement, tuple(state.positional_parameters))


def _rows(connection: Connection, sql: str, values: list[Any]) -> list[Any]:
    if connection.dialect.name == "postgresql" and prepared.is_idle(connection):
        return prepared.rows(connection, sql, values)
    asked = cursor(connection)
    asked.execute(sql, values)
    rows: list[Any] = asked.fetchall()
    return rows


def _width(listed: Sequence[Any]) -> int:
    return len(listed[0]) if listed and isinstance(listed[0], tuple) else 0


def _slot(name: str, place: int, width: int) -> Any:
    return tuple(Slot(name, place, part) for part in range(width)) if width else Slot(name, place)


def _value(parameter: Any, values: Mapping[str, Any]) -> Any:
    if not isinstance(parameter, Slot):
        return parameter
    found = values[parameter.name]
    if parameter.place >= 0:
        found = found[parameter.place]
    return found[parameter.part] if parameter.part >= 0 else found
