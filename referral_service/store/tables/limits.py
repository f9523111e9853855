"""How much of a second is used up already, as far as several processes have to agree on it."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Integer, String, Table

from referral_service.store.tables.columns import metadata

quota = Table(
    "quota",
    metadata,
    Column("caller", String(256), primary_key=True),
    Column("second", BigInteger, primary_key=True),
    Column("taken", Integer, nullable=False),
)
"""Calls of a caller that processes have reserved of a second (since 1970, UTC). Each reserves many at once, so that no
call waits for another's row; rows of seconds that have passed are removed by whoever reserves next."""
