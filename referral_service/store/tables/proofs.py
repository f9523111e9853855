"""What a process writes and reads again to know that its database takes both."""

from __future__ import annotations

from sqlalchemy import Column, String, Table

from referral_service.store.tables.columns import instant, metadata

proof = Table(
    "proof",
    metadata,
    Column("process", String(128), primary_key=True),
    instant("at"),
    Column("word", String(36), nullable=False),
)
"""One row a process that serves, so that none waits for another's; those of processes that are gone go after a day."""
