"""Who has touched what: rows that are only ever added, and the seals that show when one was changed since.

Triggers (migration 0002) refuse every UPDATE but the one that seals, every DELETE but of what lies before an anchor,
and on SQLite every INSERT in place of a row that is there, which would remove it without a DELETE.
"""

from __future__ import annotations

from sqlalchemy import Column, Index, Integer, String, Table, Text, UniqueConstraint, text

from referral_service.store.tables.columns import instant, metadata, one_of

_UNSEALED = text("sequence IS NULL")

audit_event = Table(
    "audit_event",
    metadata,
    Column("id", String(36), primary_key=True),
    instant("at"),
    Column("sequence", Integer),
    Column("hash", String(64)),
    Column("actor", String(128), nullable=False),
    Column("actor_kind", String(8), nullable=False),
    Column("network", String(64), nullable=False),
    Column("request_id", String(200), nullable=False),
    Column("action", String(1), nullable=False),
    Column("outcome", String(1), nullable=False),
    Column("content", Text, nullable=False),
    one_of("actor_kind", ["system", "person", "anyone", "machine"]),
    one_of("action", ["C", "R", "U", "D", "E"]),
    one_of("outcome", ["0", "4", "8"]),
    UniqueConstraint("sequence"),
    Index(None, "at", "id"),
    Index(None, "actor", "at", "id"),
    Index("ix_audit_event_unsealed", "at", "id", sqlite_where=_UNSEALED, postgresql_where=_UNSEALED),
)
"""One access: ``content`` is the AuditEvent as FHIR JSON, the other columns are what it is found by.

``sequence`` and ``hash`` are given by the one who seals, never by who writes: writers wait for nobody.
``hash`` is that of the row and of the hash before it."""

audit_entity = Table(
    "audit_entity",
    metadata,
    Column("event_id", String(36), primary_key=True),
    Column("reference", String(128), primary_key=True),
    instant("at"),
    Index(None, "reference", "at", "event_id"),
)
"""What an access touched, as ``Type/id`` of ours: the same references as in its ``content``, to be found by."""

audit_seal = Table(
    "audit_seal",
    metadata,
    Column("batch", Integer, primary_key=True, autoincrement=False),
    Column("first", Integer, nullable=False),
    Column("last", Integer, nullable=False),
    Column("hash", String(64), nullable=False),
    Column("sealed_at", String(24), nullable=False),
)
"""A batch of events that were sealed together; ``hash`` is that of the row and of the hash of its last event."""

audit_anchor = Table(
    "audit_anchor",
    metadata,
    Column("batch", Integer, primary_key=True, autoincrement=False),
    Column("last", Integer, nullable=False),
    Column("hash", String(64), nullable=False),
    Column("until", String(24), nullable=False),
    instant("removed_at"),
    Column("event_id", String(36), nullable=False),
)
"""Where the kept part of the trail begins: all batches until this one may be removed, and only those. ``batch``,
``last`` and ``hash`` are those of its last seal, which the kept part follows; ``until`` is the time of the newest event
removed, ``event_id`` the event that tells of it."""
