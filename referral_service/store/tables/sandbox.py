"""What a sandbox has still to play, and which faults it has made already."""

from __future__ import annotations

from sqlalchemy import Column, Index, String, Table

from referral_service.store.tables.columns import leased, metadata, one_of

SCENARIOS = ["accepted", "on-hold", "rejected", "slow", "error"]

scene = Table(
    "scene",
    metadata,
    Column("client", String(64), primary_key=True),
    Column("name", String(512), primary_key=True),
    Column("referral_id", String(36), primary_key=True),
    Column("scenario", String(16), nullable=False),
    Column("task_id", String(36)),
    *leased(),
    one_of("scenario", SCENARIOS),
    Index(None, "due"),
)
"""``name`` is the identifier that asked for it. A fault that was made once has a row without a referral, and nothing is
due of it; a move that is due is made on ``task_id``."""
