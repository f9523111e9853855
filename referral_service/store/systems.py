"""Registered systems, the tokens they hold and the assertions they used up."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Select, Table, bindparam, delete, insert, select, update

from referral_service.store import tables
from referral_service.store.direct import Question
from referral_service.store.engine import instant
from referral_service.store.writes import overtaking

Row = Mapping[str, Any]

KEPT_LONGER = timedelta(minutes=5)
"""How long rows outlive what they speak of, so that no clock of another process runs far enough behind to matter."""

_SWEPT_AT_ONCE = 1000


def register(connection: Connection, row: Row) -> bool:
    """Adds a client, or registers anew one that was revoked, whose records it then has again.

    False when there is one of that id that was not revoked.
    """
    client = tables.client
    known = connection.execute(_client(row["id"]).with_for_update()).mappings().one_or_none()
    if known is None:
        with overtaking(connection):
            connection.execute(insert(client).values(**row))
        return True
    if known["revoked_at"] is None:
        return False
    with overtaking(connection):
        connection.execute(update(client).where(client.c.id == row["id"]).values(**row, revoked_at=None))
    return True


def revoke(connection: Connection, client_id: str, at: datetime) -> bool:
    """Ends a client and its tokens. False when there is none of that id that was not revoked."""
    client, token = tables.client, tables.access_token
    is_in_use = (client.c.id == client_id, client.c.revoked_at.is_(None))
    if connection.execute(update(client).where(*is_in_use).values(revoked_at=instant(at))).rowcount != 1:
        return False
    connection.execute(delete(token).where(token.c.client == client_id))
    return True


def clients(connection: Connection) -> list[Row]:
    """Every client, the revoked ones too, by id."""
    query = select(tables.client).order_by(tables.client.c.id)
    return [dict(row) for row in connection.execute(query).mappings()]


def client_in_use(connection: Connection, client_id: str) -> Row | None:
    """The client of that id, unless it was revoked."""
    query = _client(client_id).where(tables.client.c.revoked_at.is_(None))
    found = connection.execute(query).mappings().one_or_none()
    return dict(found) if found is not None else None


def placer_system(connection: Connection, client_id: str) -> str | None:
    """The system of a client's placer identifiers that carry no type, if it has one; also of a client revoked since."""
    query = select(tables.client.c.placer_system).where(tables.client.c.id == client_id)
    found: str | None = connection.execute(query).scalar()
    return found


def client_by_issuer(connection: Connection, cds_issuer: str) -> Row | None:
    """The client that calls by CDS Hooks under that ``iss``, unless it was revoked."""
    client = tables.client
    query = select(client).where(client.c.cds_issuer == cds_issuer, client.c.revoked_at.is_(None))
    found = connection.execute(query).mappings().one_or_none()
    return dict(found) if found is not None else None


def is_as_it_was(connection: Connection, row: Row) -> bool:
    """Whether a client is registered as it was read before; it then stays so until this transaction ends."""
    found = connection.execute(_client(row["id"]).with_for_update(read=True)).mappings().one_or_none()
    return found is not None and dict(found) == row


def use_up(connection: Connection, issuer: str, jti: str, expires: datetime) -> None:
    """Raises :class:`~referral_service.store.writes.KeyTaken` when the issuer has used that ``jti`` before."""
    with overtaking(connection):
        connection.execute(
            insert(tables.assertion_jti).values(issuer=issuer, jti=jti, expires=instant(expires + KEPT_LONGER))
        )


def keep_token(connection: Connection, token_hash: str, client_id: str, scopes: str, expires: datetime) -> None:
    connection.execute(
        insert(tables.access_token).values(hash=token_hash, client=client_id, scopes=scopes, expires=instant(expires))
    )


_CLIENT, _TOKEN = tables.client, tables.access_token
_HOLDER = Question(
    select(_CLIENT, _TOKEN.c.scopes.label("token_scopes"))
    .join(_TOKEN, _TOKEN.c.client == _CLIENT.c.id)
    .where(_TOKEN.c.hash == bindparam("hash"), _TOKEN.c.expires > bindparam("at"), _CLIENT.c.revoked_at.is_(None))
)
_OF_HOLDER = (*(column.name for column in _CLIENT.columns), "token_scopes")


def holder(connection: Connection, token_hash: str, at: datetime) -> Row | None:
    """The client that holds a token, with ``token_scopes``; None when it is unknown, expired or of a revoked client."""
    with overtaking(connection):
        found = next(iter(_HOLDER.rows(connection, {"hash": token_hash, "at": instant(at)})), None)
    return dict(zip(_OF_HOLDER, found, strict=True)) if found is not None else None


def sweep(connection: Connection, at: datetime) -> None:
    """Removes tokens and assertions that have expired, some at a time; what another process removes is passed over."""
    for table in (tables.access_token, tables.assertion_jti):
        _sweep(connection, table, instant(at))


def _sweep(connection: Connection, table: Table, at: str) -> None:
    keys = list(table.primary_key)
    expired = select(*keys).where(table.c.expires <= at).limit(_SWEPT_AT_ONCE).with_for_update(skip_locked=True)
    for row in connection.execute(expired).all():
        connection.execute(delete(table).where(*(key == value for key, value in zip(keys, row, strict=True))))


def _client(client_id: str) -> Select[Any]:
    return select(tables.client).where(tables.client.c.id == client_id)
