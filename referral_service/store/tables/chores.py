"""What workers do from time to time, and when next."""

from __future__ import annotations

from sqlalchemy import Column, String, Table

from referral_service.store.tables.columns import leased, metadata

chore = Table("chore", metadata, Column("name", String(32), primary_key=True), *leased())
"""One row a chore, so that one worker at a time does it."""
