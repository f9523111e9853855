"""The audit trail in the database: rows that are added, sealed in a chain of hashes, and searched."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import Connection, Select, Table, bindparam, func, select, text, update

from referral_service.fhir.audit import Event, audit_event, entities_of
from referral_service.store import tables
from referral_service.store.engine import instant
from referral_service.store.writes import Rows, bounded, insert_all

Row = Mapping[str, Any]
BATCH = 500
START = "0" * 64
"""What stands before the first hash of the chain."""

_HASHED = ("id", "at", "actor", "actor_kind", "network", "request_id", "action", "outcome", "content")
_GUARDED = ("audit_event", "audit_entity", "audit_seal", "audit_anchor")
_LEADER = 0x5EA1
"""The key of the advisory lock that whoever seals on PostgreSQL holds."""


def rows_of(event: Event) -> Rows:
    """One event as rows, for :func:`insert_all` together with what the access wrote."""
    access = event.access
    row = {
        "id": event.id,
        "at": event.at,
        "actor": access.who.id[:128],
        "actor_kind": access.who.kind,
        "network": access.who.network[:64],
        "request_id": bounded(access.request_id),
        "action": event.action,
        "outcome": event.outcome,
        "content": orjson.dumps(audit_event(event)).decode(),
    }
    named = [{"event_id": event.id, "reference": one, "at": event.at} for one in entities_of(event)]
    return {tables.audit_event: [row], tables.audit_entity: named}


def add(connection: Connection, events: Iterable[Event], *, is_all: bool = False) -> None:
    """``is_all`` as of :func:`insert_all`."""
    rows: Rows = {tables.audit_event: [], tables.audit_entity: []}
    for event in events:
        for table, new in rows_of(event).items():
            rows[table] += new
    insert_all(connection, rows, is_all=is_all)


def missing(connection: Connection, events: Sequence[Event]) -> list[Event]:
    """Those of some events that do not stand in the trail yet."""
    event = tables.audit_event
    query = select(event.c.id).where(event.c.id.in_([one.id for one in events]))
    there = set(connection.execute(query).scalars())
    return [one for one in events if one.id not in there]


def seal(connection: Connection, at: datetime) -> int:
    """Seals the oldest events that are not sealed yet, at most :data:`BATCH`; how many there were.

    Only one does so at a time: on PostgreSQL who gets the lock, on SQLite whoever writes. Everybody else seals none.
    """
    if connection.dialect.name == "postgresql":
        lock = select(func.pg_try_advisory_xact_lock(_LEADER))
        if not connection.execute(lock).scalar_one():
            return 0
    event = tables.audit_event
    query = select(event).where(event.c.sequence.is_(None)).order_by(event.c.at, event.c.id).limit(BATCH)
    rows = connection.execute(query).mappings().all()
    if not rows:
        return 0
    last = last_seal(connection)
    sequence, before = (last["last"], last["hash"]) if last else (0, START)
    first, links = sequence + 1, []
    for row in rows:
        sequence += 1
        before = link(before, sequence, dict(row))
        links.append({"of": row["id"], "number": sequence, "link": before})
    change = update(event).where(event.c.id == bindparam("of"), event.c.sequence.is_(None))
    connection.execute(change.values(sequence=bindparam("number"), hash=bindparam("link")), links)
    number = last["batch"] + 1 if last else 1
    batch = {"batch": number, "first": first, "last": sequence, "sealed_at": instant(at)}
    connection.execute(tables.audit_seal.insert(), {**batch, "hash": seal_hash(before, batch)})
    return len(rows)


def link(before: str, sequence: int, row: Row) -> str:
    """The hash of an event and of all that came before it: SHA-256 over a JSON array, hexadecimal."""
    return hashlib.sha256(orjson.dumps([before, sequence, *(row[name] for name in _HASHED)])).hexdigest()


def seal_hash(before: str, batch: Row) -> str:
    """The hash of a seal and of all events until its last, which the next event follows."""
    told = (batch[name] for name in ("batch", "first", "last", "sealed_at"))
    return hashlib.sha256(orjson.dumps([before, *told])).hexdigest()


def last_seal(connection: Connection) -> Row | None:
    return _newest(connection, tables.audit_seal)


def anchor(connection: Connection) -> Row | None:
    """Where the kept part of the trail begins; None while nothing of it was removed."""
    return _newest(connection, tables.audit_anchor)


def _newest(connection: Connection, table: Table) -> Row | None:
    found = connection.execute(select(table).order_by(table.c.batch.desc()).limit(1)).mappings().one_or_none()
    return dict(found) if found is not None else None


def anchors(connection: Connection) -> list[Row]:
    """Every anchor, in the order of the chain."""
    return [dict(row) for row in connection.execute(select(tables.audit_anchor).order_by(text("batch"))).mappings()]


def tells_of(connection: Connection, event_id: str) -> str | None:
    """What an event says beside whom and what it touched (``outcomeDesc``); None when it is not here."""
    event = tables.audit_event
    content = connection.execute(select(event.c.content).where(event.c.id == event_id)).scalar()
    return str(orjson.loads(content).get("outcomeDesc", "")) if content is not None else None


def oldest_unsealed(connection: Connection) -> str | None:
    event = tables.audit_event
    query = select(event.c.at).where(event.c.sequence.is_(None)).order_by(event.c.at, event.c.id).limit(1)
    found: str | None = connection.execute(query).scalar()
    return found


def unsealed(connection: Connection) -> int:
    event = tables.audit_event
    query = select(func.count()).select_from(event).where(event.c.sequence.is_(None))
    return int(connection.execute(query).scalar_one())


def seals(connection: Connection) -> list[Row]:
    """Every seal that is kept, in the order of the chain."""
    seal_ = tables.audit_seal
    begin = anchor(connection)
    query = select(seal_).where(seal_.c.batch > (begin["batch"] if begin else 0)).order_by(seal_.c.batch)
    return [dict(row) for row in connection.execute(query).mappings()]


def sealed_after(connection: Connection, sequence: int, limit: int) -> list[Row]:
    """Events with a place in the chain, in its order, each with the references that it is found by."""
    event = tables.audit_event
    query = select(event).where(event.c.sequence > sequence).order_by(event.c.sequence).limit(limit)
    return _with_references(connection, query)


def unsealed_events(connection: Connection, after: tuple[str, str], limit: int) -> list[Row]:
    """Events without a place in the chain, by time, each with the references that it is found by."""
    event = tables.audit_event
    return _with_references(connection, _page(select(event).where(event.c.sequence.is_(None)), event, after, limit))


def _page(query: Select[Any], event: Any, after: tuple[str, str], limit: int) -> Select[Any]:
    place = (event.c.at > after[0]) | ((event.c.at == after[0]) & (event.c.id > after[1]))
    return query.where(place).order_by(event.c.at, event.c.id).limit(limit)


def _with_references(connection: Connection, query: Select[Any]) -> list[Row]:
    rows = [dict(row) for row in connection.execute(query).mappings()]
    named = references(connection, [row["id"] for row in rows])
    return [{**row, "references": named.get(row["id"], [])} for row in rows]


def references(connection: Connection, ids: Sequence[str]) -> dict[str, list[tuple[str, str]]]:
    """The rows that events are found by: reference and time, by event."""
    entity = tables.audit_entity
    found: dict[str, list[tuple[str, str]]] = {}
    for row in connection.execute(select(entity).where(entity.c.event_id.in_(ids))) if ids else ():
        found.setdefault(row.event_id, []).append((row.reference, row.at))
    return found


def orphans(connection: Connection, limit: int) -> list[str]:
    """References to events that are not here."""
    entity, event = tables.audit_entity, tables.audit_event
    known = select(event.c.id).where(event.c.id == entity.c.event_id).exists()
    return list(connection.execute(select(entity.c.event_id).where(~known).limit(limit)).scalars())


def untold(connection: Connection, limit: int, after: str = "") -> list[Row]:
    """Requests that were taken in hand ``after`` an instant and of which no event tells, although both are written in
    one transaction."""
    received, event = tables.received, tables.audit_event
    told = select(event.c.id).where(event.c.at == received.c.at, event.c.request_id == received.c.request_id).exists()
    query = select(received.c.id, received.c.at).where(received.c.at > after, ~told)
    query = query.order_by(received.c.at).limit(limit)
    return [dict(row) for row in connection.execute(query).mappings()]


def missing_guards(connection: Connection) -> list[str]:
    """The triggers of migration 0002 that are not there, or are switched off."""
    if connection.dialect.name == "postgresql":
        kinds = ("changed", "removed", "emptied")
        query = "SELECT tgname FROM pg_trigger WHERE tgenabled IN ('O', 'A')"
    else:
        kinds, query = ("changed", "removed", "added"), "SELECT name FROM sqlite_master WHERE type = 'trigger'"
    standing = set(connection.execute(text(query)).scalars())
    wanted = dict.fromkeys((*(f"{table}_{kind}" for table in _GUARDED for kind in kinds), "audit_anchor_added"))
    return [name for name in wanted if name not in standing]


def patients_of(connection: Connection, referral_ids: Iterable[str]) -> set[str]:
    """Whose referrals these are, by the ids of the patients as far as they are here."""
    request = tables.service_request
    query = select(request.c.patient_id).where(request.c.id.in_(list(referral_ids)), request.c.patient_id.is_not(None))
    return set(connection.execute(query).scalars())
