"""People who sign in, and the sessions that they have begun."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Index, Integer, String, Table, UniqueConstraint

from referral_service.store.tables.columns import instant, metadata, one_of

ROLES = ["coordinator", "lead", "auditor", "integrator"]

person = Table(
    "person",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("user_name", String(64), unique=True),
    Column("shown_name", String(128), nullable=False, unique=True),
    Column("role", String(16), nullable=False),
    Column("queues", String(256), nullable=False),
    Column("password_hash", String(256)),
    Column("issuer", String(512)),
    Column("subject", String(255)),
    instant("added_at"),
    Column("disabled_at", String(24)),
    Column("failures", Integer, nullable=False),
    Column("locked_until", String(24)),
    one_of("role", ROLES),
    UniqueConstraint("issuer", "subject"),
)
"""Whoever may sign in: by user name and password, or as the ``subject`` of an OpenID Connect ``issuer``.

``queues`` has a comma between those of a coordinator; ``failures`` counts passwords given since the last right one.
"""

session = Table(
    "session",
    metadata,
    Column("id", String(43), primary_key=True),
    Column("person_id", String(36), ForeignKey("person.id"), nullable=False),
    instant("ends_at"),
    Index(None, "person_id"),
    Index(None, "ends_at"),
)
"""Sessions that go on until they are ended or ``ends_at`` has come; a cookie without its row is worth nothing."""
