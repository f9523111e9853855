"""The outbox and what became of it: changes noted with what they change, numbered by one leader, delivered one by one.

Of one referral a receiver is told in order: a delivery waits while an earlier one of its referral is open.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, delete, exists, func, insert, or_, select, update

from referral_service.store import leases, tables
from referral_service.store.engine import instant
from referral_service.store.lookups import table_of
from referral_service.store.tables.deliveries import DEAD, DELIVERED, DROPPED, SUBSCRIPTION, SUPERSEDED, WAITING

__all__ = ["DEAD", "DELIVERED", "DROPPED", "SUBSCRIPTION", "SUPERSEDED", "WAITING"]

Row = Mapping[str, Any]
BATCH = 100
GIVE_UP = timedelta(hours=72)
_LEADER = 0xDE11
"""The key of the advisory lock that whoever numbers events on PostgreSQL holds."""


@dataclass(frozen=True, slots=True)
class Receiver:
    """``kind`` is ``subscription`` or the way in which a client is told; ``id`` that of the one or the other."""

    kind: str
    id: str
    client: str


def note(connection: Connection, changes: Sequence[Row]) -> None:
    """New versions, in the transaction that makes them; whoever works elsewhere is woken once it is committed."""
    if changes:
        connection.execute(insert(tables.outbox), [dict(change) for change in changes])
        leases.ring(connection)


def is_anything_noted(connection: Connection) -> bool:
    return connection.execute(select(tables.outbox.c.number).limit(1)).first() is not None


def lead(connection: Connection) -> bool:
    """Whether this transaction may number events: one at a time, on SQLite whoever writes."""
    if connection.dialect.name != "postgresql":
        return True
    return bool(connection.execute(select(func.pg_try_advisory_xact_lock(_LEADER))).scalar_one())


def noted(connection: Connection) -> list[Row]:
    """The oldest changes that nobody was told of yet, each with its referral and the queue that it stands in now."""
    outbox, task = tables.outbox, tables.task
    query = (
        select(outbox, task.c.referral_id, task.c.queue)
        .join(task, or_(task.c.id == outbox.c.resource_id, task.c.referral_id == outbox.c.resource_id))
        .order_by(outbox.c.number)
        .limit(BATCH)
    )
    return [dict(row) for row in connection.execute(query).mappings()]


def make(connection: Connection, change: Row, receivers: Iterable[Receiver], at: datetime) -> None:
    """A delivery of one change to each receiver, under its next number, instead of the row of the outbox."""
    about = {name: change[name] for name in ("type", "resource_id", "version", "referral_id", "at")}
    for one in receivers:
        row = {
            **about,
            "kind": one.kind,
            "receiver": one.id,
            "client": one.client,
            "number": last_number(connection, one.kind, one.id) + 1,
            "state": WAITING,
            "failures": 0,
            "give_up": instant(at + GIVE_UP),
            "due": instant(at),
            "attempts": 0,
        }
        connection.execute(insert(tables.delivery).values(row))
    connection.execute(delete(tables.outbox).where(tables.outbox.c.number == change["number"]))


def last_number(connection: Connection, kind: str, receiver: str) -> int:
    """How many events there have been for a receiver."""
    row = tables.delivery
    query = select(func.max(row.c.number)).where(row.c.kind == kind, row.c.receiver == receiver)
    return int(connection.execute(query).scalar() or 0)


def content_of(connection: Connection, kind: str, identity: str, version: int) -> tuple[Row, str]:
    """A referral or Task as it stands now, and its text at a version, or as it is now when that is no longer kept."""
    table, history = table_of(kind), tables.history
    row = dict(connection.execute(select(table).where(table.c.id == identity)).mappings().one())
    if row["version"] == version:
        return row, str(row["content"])
    query = select(history.c.content).where(history.c.id == identity, history.c.version == version)
    return row, str(connection.execute(query).scalar() or row["content"])


def referral_at(connection: Connection, referral_id: str, at: str) -> str:
    """The text of a referral as it stood at an instant; once it was entered in error, as it stands now."""
    request, history = tables.service_request, tables.history
    row = connection.execute(select(request).where(request.c.id == referral_id)).mappings().one()
    if row["last_updated"] <= at or row["status"] == "entered-in-error":
        return str(row["content"])
    mine = (history.c.id == referral_id, history.c.last_updated <= at)
    query = select(history.c.content).where(*mine).order_by(history.c.version.desc()).limit(1)
    return str(connection.execute(query).scalar() or row["content"])


def first_request(connection: Connection, referral_id: str) -> bytes:
    """The text in which a referral came."""
    row, received = tables.ledger, tables.received
    query = select(received.c.body).join(row, row.c.received_id == received.c.id)
    return bytes(connection.execute(query.where(row.c.referral_id == referral_id)).scalar() or b"")


def queue_of(connection: Connection, referral_id: str) -> str:
    """The queue in which a referral stands now."""
    query = select(tables.task.c.queue).where(tables.task.c.referral_id == referral_id)
    return str(connection.execute(query).scalar_one())


def patients_of(connection: Connection, referral_ids: Iterable[str]) -> set[str]:
    """Whose referrals these are, as far as their patients are here."""
    task = tables.task
    query = select(task.c.patient_id).where(task.c.referral_id.in_(list(referral_ids)), task.c.patient_id.is_not(None))
    return set(connection.execute(query).scalars())


def claim(connection: Connection, at: datetime) -> Row | None:
    """Takes the delivery in hand that has been due for longest; see :mod:`referral_service.store.leases`."""
    return leases.claim(connection, tables.delivery, at, _is_first())


def next_due(connection: Connection) -> str | None:
    return leases.next_due(connection, tables.delivery, _is_first())


def _is_first() -> ColumnElement[bool]:
    """No earlier change of the same referral is still to be told to the same receiver."""
    row, earlier = tables.delivery, tables.delivery.alias()
    return ~exists().where(_same_story(row, earlier), earlier.c.number < row.c.number, earlier.c.due.is_not(None))


def _same_story(row: Any, other: Any) -> ColumnElement[bool]:
    return and_(*(row.c[name] == other.c[name] for name in ("kind", "receiver", "referral_id")))


def is_overtaken(connection: Connection, row: Row) -> bool:
    """Whether a later change of the same referral has been delivered, as can be once one was given up."""
    later = (*_story(row), tables.delivery.c.number > row["number"], tables.delivery.c.state == DELIVERED)
    return bool(connection.execute(select(exists().where(*later))).scalar())


def _story(row: Row) -> list[ColumnElement[bool]]:
    return [tables.delivery.c[name] == row[name] for name in ("kind", "receiver", "referral_id")]


def end(connection: Connection, row: Row, state: str, at: datetime, fault: str | None = None) -> bool:
    """Nothing is left to do for a delivery; False when another worker took it meanwhile, or when it was dropped: unless
    it was delivered all the same.

    What was given up before of the same referral is superseded by what is delivered.
    """
    open_only = [] if state == DELIVERED else [tables.delivery.c.due.is_not(None)]
    told = {"state": state, "fault": fault, "ended_at": instant(at)}
    is_held = leases.finish(connection, tables.delivery, row, *open_only, **told)
    if is_held and state == DELIVERED:
        given_up = (*_story(row), tables.delivery.c.number < row["number"], tables.delivery.c.state == DEAD)
        connection.execute(update(tables.delivery).where(*given_up).values(state=SUPERSEDED))
    return is_held


def put_off(connection: Connection, row: Row, until: datetime, **values: Any) -> bool:
    return leases.postpone(connection, tables.delivery, row, until, **values)


def hold(connection: Connection, row: Row, until: datetime) -> None:
    """Whatever else the same receiver is to be told waits until then, too."""
    held = (tables.delivery.c.kind == row["kind"], tables.delivery.c.receiver == row["receiver"])
    sooner = (tables.delivery.c.due < instant(until), tables.delivery.c.number != row["number"])
    connection.execute(update(tables.delivery).where(*held, *sooner).values(due=instant(until)))


def release(connection: Connection, kind: str, receiver: str, at: datetime) -> None:
    """Whatever a receiver is still to be told is due now."""
    mine = (tables.delivery.c.kind == kind, tables.delivery.c.receiver == receiver, tables.delivery.c.due.is_not(None))
    connection.execute(update(tables.delivery).where(*mine).values(due=instant(at)))
    leases.ring(connection)


def drop(connection: Connection, kind: str, receiver: str, at: datetime) -> None:
    """A receiver wants to be told nothing further."""
    mine = (tables.delivery.c.kind == kind, tables.delivery.c.receiver == receiver, tables.delivery.c.due.is_not(None))
    ended = {"due": None, "state": DROPPED, "ended_at": instant(at)}
    connection.execute(update(tables.delivery).where(*mine).values(ended))


def replay(connection: Connection, key: tuple[str, str, int], at: datetime) -> Row | None:
    """What was given up, or failed and waits, is due now; None when there is nothing of that kind to be told."""
    row = tables.delivery
    mine = (row.c.kind == key[0], row.c.receiver == key[1], row.c.number == key[2])
    query = select(row).where(*mine, row.c.state.in_((WAITING, DEAD))).with_for_update()
    found = connection.execute(query).mappings().one_or_none()
    if found is None:
        return None
    again = {"state": WAITING, "due": instant(at), "give_up": instant(at + GIVE_UP), "ended_at": None}
    connection.execute(update(row).where(*mine).values(again))
    leases.ring(connection)
    return dict(found)


def open_ones(connection: Connection, after: tuple[str, str, str, int] | None, limit: int) -> list[Row]:
    """What is not delivered, the oldest change first: waiting, failed and given up. ``after`` is the last row shown."""
    row = tables.delivery
    order = (row.c.at, row.c.kind, row.c.receiver, row.c.number)
    query = _with_receivers().where(row.c.state.in_((WAITING, DEAD))).order_by(*order).limit(limit)
    if after is not None:
        query = query.where(_follows(order, after))
    return [dict(one) for one in connection.execute(query).mappings()]


def _follows(order: Sequence[Any], place: Sequence[Any]) -> ColumnElement[bool]:
    ways, same = [], list[ColumnElement[bool]]()
    for column, value in zip(order, place, strict=True):
        ways.append(and_(*same, column > value))
        same.append(column == value)
    return or_(*ways)


def of_referral(connection: Connection, referral_id: str) -> list[Row]:
    """All that anybody was, or is to be, told of one referral, the newest change first."""
    row = tables.delivery
    query = _with_receivers().where(row.c.referral_id == referral_id).order_by(row.c.at.desc(), row.c.number.desc())
    return [dict(one) for one in connection.execute(query).mappings()]


def _with_receivers() -> Any:
    row, client = tables.delivery, tables.client
    return select(row, client.c.name.label("client_name")).outerjoin(client, client.c.id == row.c.client)


def counts(connection: Connection) -> dict[str, int]:
    """How many deliveries wait and were given up."""
    row = tables.delivery
    query = select(row.c.state, func.count()).where(row.c.state.in_((WAITING, DEAD))).group_by(row.c.state)
    return {state: int(number) for state, number in connection.execute(query)}


def events(connection: Connection, subscription_id: str, first: int, last: int, limit: int) -> list[Row]:
    """The events of a Subscription from one number to another, both included."""
    row = tables.delivery
    mine = (row.c.kind == SUBSCRIPTION, row.c.receiver == subscription_id, row.c.number.between(first, last))
    query = select(row).where(*mine).order_by(row.c.number).limit(limit)
    return [dict(one) for one in connection.execute(query).mappings()]
