"""The statement for one page of a search: what matches, in what order, from which place on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, false, func, literal, or_, select, tuple_, union_all

from referral_service.fhir.search import PRIVATE, Cursor, SearchQuery
from referral_service.referral import Queue
from referral_service.store import tables
from referral_service.store.search.columns import MATCHERS, SORTS, TABLES, queues, statuses
from referral_service.store.search.matching import Scope
from referral_service.store.sight import Condition, in_sight
from referral_service.worklist import MOVES

_LINKS = ("patient_id", "referral_id")
_WORKLIST = frozenset({"status", "owner"})
_LAST_CHANGE = frozenset({"_lastUpdated", "modified"})
_NARROW = frozenset(
    {"_id", "identifier", "focus", "patient", "subject", "patient.identifier", "focus:ServiceRequest.identifier"}
)
"""Parameters that few rows pass, and that lead to their ids."""
Key = tuple[ColumnElement[str], bool]
"""What is sorted by, and whether it falls."""


def count_statement(scope: Scope, query: SearchQuery) -> Select[int]:
    return select(func.count()).select_from(TABLES[query.kind]).where(*_conditions(scope, query))


def page_statement(scope: Scope, query: SearchQuery, after: Cursor | None, limit: int) -> Select[Any]:
    """Rows of ``id``, ``content``, the ids that lead to other resources, and ``key_0 …`` that they are sorted by.

    Of a worklist, each status in each queue is a range of one index that is in order already; reading only the head
    of every range keeps the answer as quick with many rows as with few.
    """
    ranges = _ranges(scope, query)
    if ranges is None:
        return _head(query, _conditions(scope, query), after, limit)
    task = tables.task
    rest = replace(query, criteria=tuple(one for one in query.criteria if one.name not in _WORKLIST))
    shared = [in_sight(task, scope.sight, by_index=False), *_criteria(scope, rest)]
    heads = [
        _head(query, [*shared, task.c.status == status, task.c.queue == queue], after, limit)
        for status, queue in ranges
    ]
    if len(heads) < 2:
        return heads[0] if heads else _head(query, [false()], after, limit)
    rows = union_all(*(select(head.subquery()) for head in heads)).subquery()
    falls = query.sort[-1].descending
    return select(rows).order_by(*(_ordered(column, falls) for column in (rows.c.key_0, rows.c.id))).limit(limit)


def _conditions(scope: Scope, query: SearchQuery) -> list[Condition]:
    table = TABLES[query.kind]
    wanted = [in_sight(table, scope.sight, by_index=not _is_narrow(query))]
    if table is tables.resource:
        wanted.append(table.c.type == query.kind)
    return [*wanted, *_criteria(scope, query)]


def _criteria(scope: Scope, query: SearchQuery) -> list[Condition]:
    """Every one of them has to hold (https://hl7.org/fhir/R4/search.html#combining)."""
    return [MATCHERS[query.kind][one.name].condition(scope, one) for one in query.criteria]


def _is_narrow(query: SearchQuery) -> bool:
    """Whether rows are better found by what is asked for than by walking all of the client's in order."""
    names = {one.name for one in query.criteria if one.missing is None and one.modifier != "not"}
    return bool(names & (_NARROW | _WORKLIST)) if query.kind == "Task" else bool(names & _NARROW)


def _head(query: SearchQuery, conditions: Sequence[Condition], after: Cursor | None, limit: int) -> Select[Any]:
    table, keys = TABLES[query.kind], _keys(query)
    links = [table.c[name] for name in _LINKS if name in table.c]
    labelled = [column.label(f"key_{number}") for number, (column, _) in enumerate(keys[:-1])]
    rows = select(table.c.id, table.c.content, *links, *labelled).where(*conditions)
    if after is not None:
        rows = rows.where(_behind(keys, [*(value or "" for value in after.values), after.id]))
    return rows.order_by(*(_ordered(column, falls) for column, falls in keys)).limit(limit)


def _keys(query: SearchQuery) -> list[Key]:
    """What is asked for, and the id last, for without it rows of the same rank would have no order among them."""
    keys = [(SORTS[query.kind][key.name], key.descending) for key in query.sort]
    return [*keys, (TABLES[query.kind].c.id, query.sort[-1].descending)]


def _ordered(column: ColumnElement[Any], falls: bool) -> ColumnElement[Any]:
    return column.desc() if falls else column.asc()


def _behind(keys: Sequence[Key], values: Sequence[str]) -> Condition:
    """What comes after a place; one comparison of tuples, which an index serves, when all keys go the same way."""
    if len({falls for _, falls in keys}) == 1:
        here, there = tuple_(*(column for column, _ in keys)), tuple_(*(literal(value) for value in values))
        return here < there if keys[0][1] else here > there
    later: Condition = false()
    for (column, falls), value in reversed(list(zip(keys, values, strict=True))):
        beyond = column < value if falls else column > value
        later = or_(beyond, and_(column == value, later))
    return later


def _ranges(scope: Scope, query: SearchQuery) -> list[tuple[str, str]] | None:
    """The statuses and queues of a search by these in the order of change; None where a shorter way leads on."""
    names = {one.name for one in query.criteria}
    is_by_change = len(query.sort) == 1 and query.sort[0].name in _LAST_CHANGE
    if query.kind != "Task" or not is_by_change or not names & _WORKLIST or names & _NARROW:
        return None
    wanted_statuses = [statuses(one) for one in query.criteria if one.name == "status"]
    wanted_queues = [queues(scope, one) for one in query.criteria if one.name == "owner"]
    passing = set(MOVES).intersection(*wanted_statuses)
    every = {queue.value for queue in Queue}.intersection(*wanted_queues)
    return [(status, queue) for status in sorted(passing) for queue in sorted(every)]


def place_of(query: SearchQuery, row: Any) -> Cursor:
    """The place of a row in the order, as a cursor holds it: without what belongs to a patient."""
    values = (None if key.name in PRIVATE else str(row[f"key_{number}"]) for number, key in enumerate(query.sort))
    return Cursor(tuple(values), row["id"])


def completed(connection: Connection, scope: Scope, query: SearchQuery) -> Cursor | None:
    """The cursor of the query with what it leaves out looked up again by its id."""
    after = query.after
    if after is None or None not in after.values:
        return after
    table = TABLES[query.kind]
    columns = [column.label(f"key_{number}") for number, (column, _) in enumerate(_keys(query)[:-1])]
    own = (table.c.id == after.id, in_sight(table, scope.sight, by_index=False))
    found = connection.execute(select(*columns).where(*own)).first()
    present = tuple(found) if found is not None else ("",) * len(columns)
    return Cursor(tuple(new if old is None else old for old, new in zip(after.values, present, strict=True)), after.id)
