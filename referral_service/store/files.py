"""Attachments that lie at their senders' EHRs, and the Binaries that they became here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert, select, tuple_, update

from referral_service.store import leases, tables
from referral_service.store.engine import instant
from referral_service.store.fetches import KEPT_ASKING
from referral_service.store.lookups import table_of
from referral_service.store.sight import REFERS
from referral_service.store.writes import bounded

Row = Mapping[str, Any]


def of_owners(connection: Connection, owners: Iterable[str]) -> dict[tuple[str, str], Row]:
    """By the id of the record that names them and the address that stands in it."""
    file, ids = tables.ehr_file, sorted(set(owners))
    if not ids:
        return {}
    rows = connection.execute(select(file).where(file.c.owner.in_(ids))).mappings()
    return {(row["owner"], row["address"]): dict(row) for row in rows}


def binary_of(connection: Connection, owner: str, address: str) -> str | None:
    """The id of the Binary that an address in a record leads to, once it was fetched."""
    file = tables.ehr_file
    found: str | None = connection.execute(
        select(file.c.binary_id).where(file.c.owner == owner, file.c.name == bounded(address))
    ).scalar()
    return found


def fetched_before(connection: Connection, client: str, full_url: str) -> str | None:
    """The id of the Binary that was fetched for another record which names the same file."""
    file = tables.ehr_file
    same = (file.c.client == client, file.c.full_url == full_url, file.c.binary_id.is_not(None))
    found: str | None = connection.execute(select(file.c.binary_id).where(*same).limit(1)).scalar()
    return found


def holder(connection: Connection, row: Row) -> str | None:
    """The text of the record that names a file, as it is now."""
    table = table_of(row["type"])
    query = select(table.c.content).where(table.c.id == row["owner"], table.c.client == row["client"])
    content: str | None = connection.execute(query).scalar()
    return content


def revive(connection: Connection, owner: str, addresses: Iterable[str], at: datetime) -> None:
    """What was called off and is named again is due again."""
    file = tables.ehr_file
    names = [bounded(one) for one in addresses]
    over = (file.c.owner == owner, file.c.name.in_(names), file.c.ended == "called-off")
    connection.execute(update(file).where(*over).values(_due(at)))


def ask_again(connection: Connection, rows: Iterable[Row], at: datetime) -> None:
    """Makes due what has not come, also what was given up."""
    file, keys = tables.ehr_file, [(row["owner"], row["name"]) for row in rows]
    wanting = file.c.ended.is_(None) | file.c.ended.in_(("refused", "given-up"))
    if keys:
        named = tuple_(file.c.owner, file.c.name).in_(keys)
        connection.execute(update(file).where(named, wanting).values(_due(at)))
        leases.ring(connection)


def _due(at: datetime) -> dict[str, Any]:
    return {"due": instant(at), "until": instant(at + KEPT_ASKING), "ended": None}


def arrived(connection: Connection, row: Row, binary_id: str, **told: Any) -> bool:
    """A file that a worker has in hand is this Binary, seen by whoever sees what names it.

    False when another has taken it in hand since.
    """
    if not leases.finish(connection, tables.ehr_file, row, ended="fetched", fault=None, binary_id=binary_id, **told):
        return False
    token = tables.token
    own = {"owner": row["owner"], "param": REFERS, "system": "", "value": binary_id}
    if connection.execute(
        select(token.c.owner).where(*(token.c[name] == value for name, value in own.items()))
    ).first():
        return True
    connection.execute(insert(token).values(**own, client=row["client"], type=row["type"]))
    return True
