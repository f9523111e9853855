"""What is told to others: changes that nobody was told of yet, who wants to be told, and each delivery to them."""

from __future__ import annotations

from sqlalchemy import Column, Index, Integer, String, Table, Text, text

from referral_service.store.tables.columns import instant, leased, metadata, one_of

WAITING, DELIVERED, DEAD, SUPERSEDED, DROPPED = "waiting", "delivered", "dead", "superseded", "dropped"
DELIVERY_STATES = (WAITING, DELIVERED, DEAD, SUPERSEDED, DROPPED)
SUBSCRIPTION = "subscription"
"""The kind of receiver that a Subscription is; the others are the ways in which a client itself is told."""
_IS_DUE = text("due IS NOT NULL")

outbox = Table(
    "outbox",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("client", String(64), nullable=False),
    Column("type", String(16), nullable=False),
    Column("resource_id", String(36), nullable=False),
    Column("version", Integer, nullable=False),
    instant("at"),
    one_of("type", ["ServiceRequest", "Task"]),
)
"""Each new version of a referral or a Task, written with it; the row goes once deliveries are made of it.

A version follows on one that is committed, so that ``number`` rises with the versions of a resource."""

subscription = Table(
    "subscription",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("client", String(64), nullable=False),
    Column("version", Integer, nullable=False),
    instant("last_updated"),
    Column("content", Text, nullable=False),
    Column("headers", Text, nullable=False),
    Column("status", String(16), nullable=False),
    Column("type", String(16), nullable=False),
    Column("filters", Text, nullable=False),
    Column("endpoint", String(512), nullable=False),
    Column("payload", String(16), nullable=False),
    Column("timeout", Integer, nullable=False),
    Column("heartbeat", Integer),
    Column("ends", String(24)),
    Column("counts", Integer, nullable=False),
    Column("verified", Integer, nullable=False),
    Column("failures", Integer, nullable=False),
    Column("fault", String(32)),
    Column("heard_at", String(24)),
    *leased(),
    one_of("status", ["requested", "active", "error", "off"]),
    one_of("type", ["ServiceRequest", "Task"]),
    one_of("payload", ["empty", "id-only", "full-resource"]),
    Index(None, "client"),
    Index(None, "due", sqlite_where=_IS_DUE, postgresql_where=_IS_DUE),
)
"""Who wants to be told of what. ``content`` is the resource without what is kept beside it: ids, status and the values
of headers; ``filters`` are JSON, pairs of a name and the values of which one must hold.

``counts`` is 1 while events are numbered: from the beginning, until it ends or its endpoint has been asked in vain for
too long. ``verified`` is 1 while the endpoint is the one that has answered a handshake: nothing is told before.
``failures`` counts what went wrong since it last took anything (``heard_at``). It is due for a handshake, a heartbeat,
or its end."""

delivery = Table(
    "delivery",
    metadata,
    Column("kind", String(16), primary_key=True),
    Column("receiver", String(64), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("client", String(64), nullable=False),
    Column("type", String(16), nullable=False),
    Column("resource_id", String(36), nullable=False),
    Column("version", Integer, nullable=False),
    Column("referral_id", String(36), nullable=False),
    instant("at"),
    Column("state", String(16), nullable=False),
    Column("failures", Integer, nullable=False),
    Column("fault", String(32)),
    Column("give_up", String(24), nullable=False),
    Column("ended_at", String(24)),
    *leased(),
    one_of("state", list(DELIVERY_STATES)),
    Index(None, "due", sqlite_where=_IS_DUE, postgresql_where=_IS_DUE),
    Index(None, "kind", "receiver", "referral_id", "number"),
    Index(None, "referral_id"),
    Index(None, "state", "at"),
)
"""One change for one receiver: the event of a Subscription (``kind`` subscription, ``receiver`` its id), or what a
client is told directly (``kind`` the way, ``receiver`` its id). ``number`` counts the events of a receiver from 1
without gaps, so the last row of a receiver is never removed; ``at`` is when the change was made."""
