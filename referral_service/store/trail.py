"""The audit trail as it is looked through: newest first, by who, when, what of whom, and how it ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Select, func, or_, select

from referral_service.fhir.search import DateValue
from referral_service.store import tables
from referral_service.store.search.dates import compared

Row = Mapping[str, Any]
MOST_ACTORS = 500
Choices = tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is looked for; of each there can be several that all have to hold, and each holds alternatives.

    ``references`` are ``Type/id`` that were touched. ``after`` is the last place (at, id) of the page before.
    """

    dates: tuple[tuple[DateValue, ...], ...] = ()
    actors: Choices = ()
    references: Choices = ()
    actions: Choices = ()
    outcomes: Choices = ()
    ids: Choices = ()
    after: tuple[str, str] | None = None


def find(connection: Connection, wanted: Wanted, limit: int) -> list[Row]:
    """Events, the newest first."""
    event = tables.audit_event
    query = _matching(select(event), wanted)
    if wanted.after is not None:
        at, identity = wanted.after
        query = query.where(or_(event.c.at < at, (event.c.at == at) & (event.c.id < identity)))
    query = query.order_by(event.c.at.desc(), event.c.id.desc()).limit(limit)
    return [dict(row) for row in connection.execute(query).mappings()]


def count(connection: Connection, wanted: Wanted) -> int:
    query = _matching(select(func.count()).select_from(tables.audit_event), wanted)
    return int(connection.execute(query).scalar_one())


def one(connection: Connection, identity: str) -> Row | None:
    return next(iter(find(connection, Wanted(ids=((identity,),)), 1)), None)


def _matching(query: Select[Any], wanted: Wanted) -> Select[Any]:
    event, entity = tables.audit_event, tables.audit_entity
    for periods in wanted.dates:
        query = query.where(or_(*(compared(period, event.c.at, event.c.at) for period in periods)))
    columns = ((event.c.actor, wanted.actors), (event.c.action, wanted.actions), (event.c.outcome, wanted.outcomes))
    for column, asked in (*columns, (event.c.id, wanted.ids)):
        for choice in asked:
            query = query.where(column.in_(choice))
    for choice in wanted.references:
        query = query.where(event.c.id.in_(select(entity.c.event_id).where(entity.c.reference.in_(choice))))
    return query


def actors(connection: Connection) -> list[str]:
    """Whoever has left an event, by id; at most :data:`MOST_ACTORS`."""
    event = tables.audit_event
    found: list[str] = []
    while len(found) < MOST_ACTORS:  # from one to the next by the index; DISTINCT would read every event
        query = select(func.min(event.c.actor))
        following = connection.execute(query.where(event.c.actor > found[-1]) if found else query).scalar()
        if following is None:
            break
        found.append(following)
    return found
