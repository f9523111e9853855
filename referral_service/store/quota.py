"""Several processes share what one caller may do in a second, by blocks that each reserves for itself."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, delete, text
from sqlalchemy.dialects import postgresql, sqlite

from referral_service.store import tables
from referral_service.store.writes import bounded

_PASSED = 5
"""Seconds after which the clocks of all processes have left one behind."""


def reserve(connection: Connection, caller: str, second: int, block: int, limit: int) -> int:
    """How many of ``block`` calls this process may make in a second of which ``limit`` are allowed to all; 0 when none.

    What is lost with a database that fails is a second's count, so that no disk is waited for.
    """
    quota, name = tables.quota, bounded(caller)
    if connection.dialect.name == "postgresql":
        connection.execute(text("SET LOCAL synchronous_commit TO OFF"))
    insert: Any = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    statement = insert(quota).values(caller=name, second=second, taken=block)
    statement = statement.on_conflict_do_update(
        index_elements=[quota.c.caller, quota.c.second],
        set_={"taken": quota.c.taken + block},
        where=quota.c.taken < limit,
    )
    taken = connection.execute(statement.returning(quota.c.taken)).scalar()
    if taken is None:
        return 0
    if taken == block:
        connection.execute(delete(quota).where(quota.c.caller == name, quota.c.second < second - _PASSED))
    return int(min(block, limit - (taken - block)))
