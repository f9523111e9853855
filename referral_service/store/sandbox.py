"""The faults that a sandbox has made already."""

from __future__ import annotations

from sqlalchemy import insert

from referral_service.store import tables
from referral_service.store.engine import Store
from referral_service.store.writes import KeyTaken, bounded, overtaking


def first_time(store: Store, client: str, name: str) -> bool:
    """Whether a client asks for the fault of that name for the first time; from now on it has."""
    row = {"client": client, "name": bounded(name), "referral_id": "", "scenario": "error", "attempts": 0}
    try:
        with store.writing() as connection, overtaking(connection):
            connection.execute(insert(tables.scene).values(row))
    except KeyTaken:
        return False
    return True
