"""Who has asked to be told: Subscriptions, and how they stand."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, case, delete, func, insert, select, update

from referral_service.store import deliveries, leases, tables
from referral_service.store.engine import instant
from referral_service.store.tables.deliveries import SUBSCRIPTION

Row = Mapping[str, Any]
ERROR_AFTER = 5
"""So many failures in a row are told as status error; nothing else changes by it."""


def add(connection: Connection, row: Row) -> None:
    connection.execute(insert(tables.subscription).values(**row))
    leases.ring(connection)


def count(connection: Connection, client: str) -> int:
    """How many a client has, having waited for others of the same client that are being added."""
    own = tables.client
    connection.execute(select(own.c.id).where(own.c.id == client).with_for_update())
    query = select(func.count()).select_from(tables.subscription).where(tables.subscription.c.client == client)
    return int(connection.execute(query).scalar_one())


def one(connection: Connection, client: str, identity: str, *, to_change: bool = False) -> Row | None:
    """A Subscription of this client; that of another is none."""
    table = tables.subscription
    query = select(table).where(table.c.id == identity, table.c.client == client)
    found = connection.execute(query.with_for_update() if to_change else query).mappings().one_or_none()
    return dict(found) if found is not None else None


def of_client(connection: Connection, client: str, **equal: tuple[str, ...]) -> list[Row]:
    """Those of a client, the oldest first; ``equal`` are the values of which each column must have one."""
    table = tables.subscription
    query = select(table).where(table.c.client == client, *(table.c[name].in_(some) for name, some in equal.items()))
    return [dict(row) for row in connection.execute(query.order_by(table.c.last_updated, table.c.id)).mappings()]


def change(connection: Connection, row: Row, at: datetime, values: Row) -> None:
    """The next version, by its client; whatever a worker has in hand of it counts no more."""
    table = tables.subscription
    moved = {**values, "version": row["version"] + 1, "attempts": row["attempts"] + 1, "last_updated": instant(at)}
    connection.execute(update(table).where(table.c.id == row["id"]).values(moved))
    if values["status"] == "off":
        deliveries.drop(connection, SUBSCRIPTION, row["id"], at)
    leases.ring(connection)


def remove(connection: Connection, identity: str, at: datetime) -> None:
    """Its events stay, told or not."""
    connection.execute(delete(tables.subscription).where(tables.subscription.c.id == identity))
    deliveries.drop(connection, SUBSCRIPTION, identity, at)


def by_id(connection: Connection, identity: str) -> Row | None:
    """One with its client as it is registered: its columns begin with ``client_``, and are None when there is none."""
    query = _with_clients().where(tables.subscription.c.id == identity)
    found = connection.execute(query).mappings().one_or_none()
    return dict(found) if found is not None else None


def that_count(connection: Connection, at: datetime) -> list[Row]:
    """Those whose events are numbered, each with its client."""
    table = tables.subscription
    is_over = table.c.ends.is_not(None) & (table.c.ends <= instant(at))
    query = _with_clients().where(table.c.counts == 1, ~is_over).order_by(table.c.id)
    return [dict(row) for row in connection.execute(query).mappings()]


def _with_clients() -> Any:
    table, client = tables.subscription, tables.client
    own = [client.c[name].label(f"client_{name}") for name in client.c.keys() if name != "id"]  # noqa: SIM118
    return select(table, client.c.id.label("client_id"), *own).outerjoin(client, client.c.id == table.c.client)


def claim(connection: Connection, at: datetime) -> Row | None:
    """Takes one in hand that is due for a handshake, a heartbeat or its end."""
    row = leases.claim(connection, tables.subscription, at)
    return by_id(connection, row["id"]) if row is not None else None


def next_due(connection: Connection) -> str | None:
    return leases.next_due(connection, tables.subscription)


def settle(connection: Connection, row: Row, until: datetime | None, at: datetime, **values: Any) -> bool:
    """What became of one in hand, and when it is due again; False when another worker, or its client, was quicker."""
    if values.get("status", row["status"]) != row["status"]:
        values |= {"version": tables.subscription.c.version + 1, "last_updated": instant(at)}
    if until is None:
        return leases.finish(connection, tables.subscription, row, **values)
    return leases.postpone(connection, tables.subscription, row, until, **values)


def heard(connection: Connection, identity: str, at: datetime) -> None:
    """It took what was sent: what has failed before is over."""
    _restate(connection, identity, at, "error", "active", failures=0, fault=None, heard_at=instant(at))


def not_heard(connection: Connection, identity: str, at: datetime, fault: str, *, is_final: bool = False) -> None:
    """It did not. After :data:`ERROR_AFTER` times in a row, or once something was given up, its status says so."""
    table = tables.subscription
    is_enough = [] if is_final else [table.c.failures + 1 >= ERROR_AFTER]
    counted = {"failures": table.c.failures + 1, "fault": fault}
    _restate(connection, identity, at, "active", "error", *is_enough, **counted)


def leave_alone(connection: Connection, client: str, until: datetime) -> None:
    """Nothing is sent to any receiver of a client until then."""
    for table in (tables.subscription, tables.delivery):
        theirs = (table.c.client == client, table.c.due < instant(until))
        connection.execute(update(table).where(*theirs).values(due=instant(until)))


def _restate(
    connection: Connection,
    identity: str,
    at: datetime,
    before: str,
    after: str,
    *only: ColumnElement[bool],
    **more: Any,
) -> None:
    """Moves the status where it is ``before``, which is a new version; sets the rest in any case."""
    table = tables.subscription
    moves = (table.c.status == before) & (table.c.verified == 1)
    for condition in only:
        moves &= condition
    values = {
        "status": case((moves, after), else_=table.c.status),
        "version": case((moves, table.c.version + 1), else_=table.c.version),
        "last_updated": case((moves, instant(at)), else_=table.c.last_updated),
    }
    connection.execute(update(table).where(table.c.id == identity).values(**values, **more))
