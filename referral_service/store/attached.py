"""Which resources may hold attachments of a referral."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from sqlalchemy import CompoundSelect, Connection, select, union

from referral_service.store import tables
from referral_service.store.lookups import known

HOLDERS = ("DocumentReference", "DiagnosticReport", "Communication", "Binary")


def sent_along(connection: Connection, client: str, referral_id: str) -> list[str]:
    """References to what came in the same requests as the versions of a referral."""
    received, ids = tables.received, _requests(client, referral_id)
    query = select(received.c.answers).where(received.c.id.in_(ids)).order_by(received.c.at, received.c.id)
    listed = (one for text in connection.execute(query).scalars() if text for one in orjson.loads(text))
    return [one for one in listed if isinstance(one, str) and one.partition("/")[0] in HOLDERS]


def texts(connection: Connection, client: str, referral_id: str) -> list[tuple[str, bytes]]:
    """The requests that the versions of a referral came in, each by its id with the text received, oldest first."""
    received = tables.received
    query = (
        select(received.c.id, received.c.body)
        .where(received.c.id.in_(_requests(client, referral_id)), received.c.body.is_not(None))
        .order_by(received.c.at, received.c.id)
    )
    return [(row.id, bytes(row.body)) for row in connection.execute(query)]


def _requests(client: str, referral_id: str) -> CompoundSelect[Any]:
    request, old, row = tables.service_request, tables.history, tables.ledger
    return union(
        select(row.c.received_id).where(row.c.referral_id == referral_id, row.c.client == client),
        select(request.c.received_id).where(request.c.id == referral_id, request.c.client == client),
        select(old.c.received_id).where(old.c.id == referral_id, old.c.client == client),
    )


def about_patient(connection: Connection, client: str, patient_id: str) -> list[str]:
    """References to what a client has sent about one of its patients, oldest first."""
    token, resource = tables.token, tables.resource
    query = (
        select(resource.c.type, resource.c.id)
        .join(token, token.c.owner == resource.c.id)
        .where(token.c.client == client, token.c.type.in_(HOLDERS), token.c.param == "_about")
        .where(token.c.value == patient_id)
        .order_by(resource.c.last_updated, resource.c.id)
    )
    return [f"{row.type}/{row.id}" for row in connection.execute(query)]


def binary(connection: Connection, client: str, address: str) -> Mapping[str, Any] | None:
    """The row of the Binary that a client's address leads to."""
    found = known(connection, client, addresses=[address]).addresses.get(address, "")
    resource = tables.resource
    query = select(resource.c.id, resource.c.version, resource.c.content).where(
        resource.c.client == client, resource.c.type == "Binary", resource.c.id == found.partition("/")[2]
    )
    row = connection.execute(query).mappings().one_or_none()
    return dict(row) if row is not None else None
