"""What was done since: the changes of a Task, what humans decided over the machine, alerts and who was told."""

from __future__ import annotations

from sqlalchemy import (
    Column,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from referral_service.referral import AlertKind
from referral_service.store.tables.columns import instant, leased, metadata, one_of

status_change = Table(
    "status_change",
    metadata,
    Column("task_id", String(36), ForeignKey("task.id"), primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("step", Integer, primary_key=True),
    Column("client", String(64), nullable=False),
    instant("at"),
    Column("actor", String(128), nullable=False),
    Column("actor_name", String(256), nullable=False),
    Column("action", String(32), nullable=False),
    Column("from_status", String(32)),
    Column("status", String(32), nullable=False),
    Column("business_status", String(32)),
    Column("from_queue", String(32)),
    Column("queue", String(32), nullable=False),
    Column("reason", String(64)),
    Column("comment", Text),
    Column("value", Text),
    Index(None, "status", "task_id", "at"),
)
"""Every change of a Task, immutable: its history and timeline, and what its sender is told from. One version may be
reached by several steps, each with its row.

``action`` is the code of a move, ``appointment-dropped`` where another queue does not keep one, ``create`` and
``update`` for what the machine made of what a sender sent, or
``take-in`` for what a human took in;
``reason`` a code of the CodeSystem status-reason, ``comment`` the words given with the move, ``value`` what it set."""

correction = Table(
    "correction",
    metadata,
    Column("task_id", String(36), ForeignKey("task.id"), primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("kind", String(16), primary_key=True),
    Column("client", String(64), nullable=False),
    Column("referral_id", String(36), ForeignKey("service_request.id"), nullable=False),
    instant("at"),
    Column("actor", String(128), nullable=False),
    Column("actor_name", String(256), nullable=False),
    Column("before", String(64)),
    Column("value", String(64), nullable=False),
    Column("reason", Text, nullable=False),
    one_of("kind", ["birth-date", "code", "queue"]),
    Index(None, "referral_id"),
)
"""What humans have decided over the machine, immutable: the newest of a kind counts, and no later decision of the
machine overrules it. ``version`` is that of the Task which it came with."""

_NOT_TAKEN = text("referral_id IS NULL")

alert = Table(
    "alert",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("client", String(64), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("received_id", String(36), ForeignKey("received.id"), nullable=False),
    Column("referral_id", String(36), ForeignKey("service_request.id")),
    instant("at"),
    Column("hold", Integer, nullable=False),
    Column("acknowledged_at", String(24)),
    Column("acknowledged_by", String(128)),
    one_of("kind", list(AlertKind)),
    UniqueConstraint("referral_id", "kind", "hold"),
    Index(None, "received_id", "kind", unique=True, sqlite_where=_NOT_TAKEN, postgresql_where=_NOT_TAKEN),
    Index(None, "acknowledged_at", "at", "id"),
)
"""What a human is to look at before all else: one row a referral and kind, or a request and kind when what it held was
not taken. ``hold`` is the version of the Task with which the hold began that it speaks of, so that there is one row a
hold too; 0 where it speaks of none. Open until somebody has acknowledged it; one of a hold is closed with the hold, and
then has no ``acknowledged_by``."""

notice = Table(
    "notice",
    metadata,
    Column("alert_id", String(36), ForeignKey("alert.id"), primary_key=True),
    Column("step", Integer, primary_key=True),
    Column("client", String(64), nullable=False),
    *leased(),
    Column("sent_at", String(24)),
    Column("contact", String(128)),
    Column("fault", String(32)),
    Index(None, "due", sqlite_where=text("due IS NOT NULL"), postgresql_where=text("due IS NOT NULL")),
)
"""One row an alert and contact, in the order of the policy; ``contact`` is who was told, ``fault`` why it last failed.
"""
