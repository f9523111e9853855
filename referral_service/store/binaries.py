"""The bytes of Binaries, which lie apart from them, so that lists and pages need not read them."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import orjson
from sqlalchemy import Connection, select

from referral_service.store import tables

Row = Mapping[str, Any]


def content(connection: Connection, owner: str, version: int) -> bytes | None:
    """The bytes of one version; None when it holds its data in itself, or none."""
    table = tables.binary_content
    query = select(table.c.content).where(table.c.owner == owner, table.c.version == version)
    found = connection.execute(query).scalar()
    return bytes(found) if found is not None else None


def described(connection: Connection, owner: str, version: int) -> Row | None:
    """Their ``size``, ``sha256`` and ``kind``, without reading them."""
    table = tables.binary_content
    query = select(table.c.size, table.c.sha256, table.c.kind).where(table.c.owner == owner, table.c.version == version)
    found = connection.execute(query).mappings().one_or_none()
    return dict(found) if found is not None else None


def whole(connection: Connection, row: Row) -> str:
    """The text of a Binary with its data in it, wherever that lies."""
    data = content(connection, row["id"], row["version"])
    if data is None:
        return str(row["content"])
    resource = {**orjson.loads(row["content"]), "data": base64.b64encode(data).decode()}
    return orjson.dumps(resource).decode()


def bytes_of(connection: Connection, row: Row) -> bytes:
    """What a Binary holds; empty when nothing."""
    data = content(connection, row["id"], row["version"])
    return data if data is not None else base64.b64decode(orjson.loads(row["content"]).get("data", ""))
