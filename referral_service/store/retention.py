"""What is removed when the policy's days are over: looked for first, then removed in small batches.

Looking writes nothing and holds nobody up. Removing takes what was found by its keys and only while it still meets the
same conditions, so that what somebody has changed meanwhile stays.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Table, and_, delete, exists, func, or_, select, tuple_, update

from referral_service.referral import Disposition
from referral_service.store import audit, leases, tables
from referral_service.store.engine import instant
from referral_service.store.tables.deliveries import DEAD, DELIVERED, DROPPED, SUPERSEDED, WAITING
from referral_service.store.writes import insert_all
from referral_service.worklist import FINAL

LIMIT = 200
NAME = "retention"
Found = Sequence[Row[Any]]
_NOT_TAKEN = (Disposition.REFUSED, Disposition.REJECTED)


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of what may go, by the conditions that it meets when everything until an instant may."""

    table: Table
    conditions: Callable[[str], list[ColumnElement[bool]]]

    def find(self, connection: Connection, until: str, after: tuple[Any, ...] | None = None) -> Found:
        """Keys in their order, at most :data:`LIMIT`, those ``after`` one that was found before."""
        keys = list(self.table.primary_key)
        query = select(*keys).where(*self.conditions(until)).order_by(*keys).limit(LIMIT)
        return connection.execute(query if after is None else query.where(tuple_(*keys) > after)).all()

    def remove(self, connection: Connection, found: Found, until: str) -> int:
        return connection.execute(delete(self.table).where(*self._still(found, until))).rowcount

    def _still(self, found: Found, until: str) -> list[ColumnElement[bool]]:
        keys = tuple_(*self.table.primary_key)
        return [keys.in_([tuple(key) for key in found]), *self.conditions(until)]


class Texts(Kind):
    """Texts received: their rows stay, and with them the ledger's."""

    def remove(self, connection: Connection, found: Found, until: str) -> int:
        return connection.execute(update(self.table).where(*self._still(found, until)).values(body=None)).rowcount


class Versions(Kind):
    """Old versions, and the texts of updates that led to nothing but such."""

    def remove(self, connection: Connection, found: Found, until: str) -> int:
        old, received = tables.history, tables.received
        still = self._still(found, until)
        requests = set(connection.execute(select(old.c.received_id).where(*still)).scalars()) - {None}
        removed = super().remove(connection, found, until)
        used = [
            exists().where(table.c.received_id == received.c.id)
            for table in (tables.service_request, tables.history, tables.ledger)
        ]
        gone = (received.c.id.in_(requests), received.c.result == "update", ~or_(*used))
        connection.execute(update(received).where(*gone).values(body=None))
        return removed


def _texts(until: str) -> list[ColumnElement[bool]]:
    """Of what was refused or rejected, or in conflict; not when something else of the same request was taken."""
    received, row = tables.received, tables.ledger
    taken = or_(row.c.referral_id.is_not(None), row.c.taken_from.is_not(None), row.c.state.not_in(_NOT_TAKEN))
    was_judged = received.c.id.in_(select(row.c.received_id).where(row.c.state.in_(_NOT_TAKEN), row.c.at <= until))
    return [
        received.c.body.is_not(None),
        received.c.at <= until,
        or_(was_judged, received.c.result == "conflict"),
        ~exists().where(row.c.received_id == received.c.id, taken),
    ]


def _versions(until: str) -> list[ColumnElement[bool]]:
    """Of referrals that have ended, and of patients and their records all of whose referrals have.

    Of a Task those after its last open version stay, from which its end can be taken back.
    """
    old, task, change = tables.history, tables.task, tables.status_change
    has_ended = (task.c.closed == 1, task.c.last_updated <= until)
    reopened = select(func.max(change.c.version)).where(change.c.task_id == old.c.id, change.c.status.not_in(FINAL))
    about = or_(
        and_(old.c.type == "ServiceRequest", exists().where(task.c.referral_id == old.c.id, *has_ended)),
        and_(
            old.c.type == "Task",
            exists().where(task.c.id == old.c.id, *has_ended),
            old.c.version < reopened.scalar_subquery(),
        ),
        and_(old.c.type == "Patient", *_all_ended(old.c.id, has_ended)),
        and_(old.c.type.not_in(("ServiceRequest", "Task", "Patient")), _is_about_ended(has_ended)),
    )
    return [old.c.last_updated <= until, about, ~_is_to_be_told()]


def _all_ended(patient: Any, has_ended: tuple[ColumnElement[bool], ...]) -> list[ColumnElement[bool]]:
    theirs = tables.task.c.patient_id == patient
    return [exists().where(theirs), ~exists().where(theirs, ~and_(*has_ended))]


def _is_about_ended(has_ended: tuple[ColumnElement[bool], ...]) -> ColumnElement[bool]:
    token = tables.token
    named = (token.c.owner == tables.history.c.id, token.c.param == "_about")
    return exists().where(*named, *_all_ended(token.c.value, has_ended))


def _is_to_be_told() -> ColumnElement[bool]:
    """Somebody has yet to be told of it, or may be told again."""
    old, row, noted = tables.history, tables.delivery, tables.outbox
    waits = exists().where(row.c.resource_id == old.c.id, row.c.state.in_((WAITING, DEAD)))
    return or_(waits, exists().where(noted.c.resource_id == old.c.id))


def _deliveries(until: str) -> list[ColumnElement[bool]]:
    """The last of a receiver stays, by which the next is numbered; so does what was given up, and what follows that."""
    row, other = tables.delivery, tables.delivery.alias()
    same = (other.c.kind == row.c.kind, other.c.receiver == row.c.receiver)
    is_open = (other.c.referral_id == row.c.referral_id, other.c.state.in_((WAITING, DEAD)))
    return [
        row.c.state.in_((DELIVERED, SUPERSEDED, DROPPED)),
        row.c.ended_at <= until,
        exists().where(*same, other.c.number > row.c.number),
        ~exists().where(*same, *is_open),
    ]


def _keys(until: str) -> list[ColumnElement[bool]]:
    """Not those of a referral that is open; placer identifiers go on naming theirs."""
    key, received, row, task = tables.request_key, tables.received, tables.ledger, tables.task
    came = exists().where(received.c.id == key.c.received_id, received.c.at <= until)
    of_request = (row.c.received_id == key.c.received_id, task.c.referral_id == row.c.referral_id)
    return [
        key.c.kind.in_(("idempotency", "message")),
        came,
        ~exists().where(*of_request, task.c.closed == 0),
        ~exists().where(task.c.referral_id == key.c.referral_id, task.c.closed == 0),
    ]


def _sessions(until: str) -> list[ColumnElement[bool]]:
    return [tables.session.c.ends_at <= until]


TEXTS = Texts(tables.received, _texts)
VERSIONS = Versions(tables.history, _versions)
DELIVERIES = Kind(tables.delivery, _deliveries)
KEYS = Kind(tables.request_key, _keys)
SESSIONS = Kind(tables.session, _sessions)


def claim(connection: Connection, at: datetime) -> leases.Row | None:
    """The chore in hand, when it is due and nobody else has it.

    Raises :class:`~referral_service.store.writes.Overtaken` when another begins with it for the first time.
    """
    table = tables.chore
    if connection.execute(select(table.c.name).where(table.c.name == NAME)).first() is None:
        insert_all(connection, {table: [{"name": NAME, "due": instant(at), "attempts": 0}]})
    return leases.claim(connection, table, at, table.c.name == NAME)


def next_due(connection: Connection) -> str | None:
    """None when it was never begun with."""
    return leases.next_due(connection, tables.chore, tables.chore.c.name == NAME)


def removable(connection: Connection, until: str) -> leases.Row | None:
    """The last seal of what may be removed of the audit trail: sealed until then, not the last, not removed yet."""
    seal = tables.audit_seal
    last, anchor = audit.last_seal(connection), audit.anchor(connection)
    if last is None:
        return None
    old = (seal.c.sealed_at <= until, seal.c.batch < last["batch"], seal.c.batch > (anchor["batch"] if anchor else 0))
    query = select(seal).where(*old).order_by(seal.c.batch.desc()).limit(1)
    found = connection.execute(query).mappings().one_or_none()
    return dict(found) if found is not None else None


def drop_anchor(connection: Connection, seal: leases.Row, event_id: str, at: datetime) -> None:
    """From now on the trail follows this seal, and what it seals may be removed."""
    event = tables.audit_event
    newest = connection.execute(select(func.max(event.c.at)).where(event.c.sequence <= seal["last"])).scalar_one()
    named = {name: seal[name] for name in ("batch", "last", "hash")}
    row = {**named, "until": newest, "removed_at": instant(at), "event_id": event_id}
    connection.execute(tables.audit_anchor.insert(), row)


def remove_before_anchor(connection: Connection) -> int:
    """Some events that the anchor lets go with what they are found by, and in the end their seals; how many events."""
    anchor = audit.anchor(connection)
    if anchor is None:
        return 0
    event, entity, seal = tables.audit_event, tables.audit_entity, tables.audit_seal
    query = select(event.c.id).where(event.c.sequence <= anchor["last"]).order_by(event.c.sequence).limit(LIMIT)
    ids = list(connection.execute(query).scalars())
    if ids:
        connection.execute(delete(entity).where(entity.c.event_id.in_(ids)))
        connection.execute(delete(event).where(event.c.id.in_(ids)))
    else:
        connection.execute(delete(seal).where(seal.c.batch <= anchor["batch"]))
    return len(ids)


def is_any_before_anchor(connection: Connection) -> bool:
    anchor, seal = audit.anchor(connection), tables.audit_seal
    if anchor is None:
        return False
    return connection.execute(select(seal.c.batch).where(seal.c.batch <= anchor["batch"]).limit(1)).first() is not None
