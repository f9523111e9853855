"""The tables: few, each row and key with its client.

A referral is one row of ``service_request`` (the resource with the decision made on it) and one of ``task`` (its life
in a queue). Everything else that was sent or authored is a ``resource``. Rows hold the current version; what it
replaced stands in ``history``. Texts are kept as text, never as a database's own JSON type, which would drop duplicate
keys and change numbers.
"""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import (
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.types import TypeEngine

from referral_service.referral import Disposition, Priority, Queue
from referral_service.worklist import FINAL, MOVES

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _one_of(column: str, values: list[str]) -> CheckConstraint:
    listed = ", ".join(f"'{value}'" for value in values)
    return CheckConstraint(f"{column} IN ({listed})", name=column)


def _is_one_of(column: str, values: Iterable[str]) -> str:
    listed = ", ".join(f"'{value}'" for value in values)
    return f"CASE WHEN {column} IN ({listed}) THEN 1 ELSE 0 END"


def _ordered_text(length: int) -> TypeEngine[str]:
    """Compared by code points on both engines, so that what begins with some letters is one range of an index."""
    return String(length).with_variant(String(length, collation="C"), "postgresql")


def _instant(name: str) -> Column[str]:
    """UTC with milliseconds, as FHIR's instant: the same on both engines, and its order is the order of time."""
    return Column(name, String(24), nullable=False)


received = Table(
    "received",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("client", String(64), nullable=False),
    Column("request_id", String(256), nullable=False),
    Column("door", String(32), nullable=False),
    Column("result", String(16), nullable=False),
    _instant("at"),
    Column("body", LargeBinary),
    Column("answers", Text),
    _one_of("result", ["decided", "supporting", "update", "cancel", "replay", "conflict"]),
    Index(None, "client", "request_id"),
)
"""One row a request that was taken in hand; ``body`` is the text received, byte for byte, ``answers`` what its entries
became (a JSON list of references), from which the same request again is answered."""

service_request = Table(
    "service_request",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("client", String(64), nullable=False),
    Column("version", Integer, nullable=False),
    _instant("last_updated"),
    Column("content", Text, nullable=False),
    Column("status", String(32), nullable=False),
    Column("intent", String(32), nullable=False),
    Column("priority", String(16), nullable=False),
    Column("authored_on", String(40)),
    Column("requester", String(256)),
    Column("subject", String(256)),
    Column("patient_id", String(36)),
    Column("received_id", String(36), ForeignKey("received.id"), nullable=False),
    Column("received_on", String(10), nullable=False),
    Column("path", String(64), nullable=False),
    Column("content_hash", String(64), nullable=False),
    Column("awaiting", String(512)),
    Column("disposition", String(16), nullable=False),
    Column("decision", Text, nullable=False),
    Column("machine_decision", Text),
    Column("decision_input", Text, nullable=False),
    Column("input_hash", String(64), nullable=False),
    _one_of("disposition", [Disposition.REVIEW, Disposition.ROUTED]),
    Index(None, "client", "last_updated", "id"),
    Index(None, "client", "patient_id"),
)
"""``path`` is the referral's FHIRPath in the text received; ``awaiting`` the sender's address of a Patient not here.
``decision`` is what is served; where humans have corrected it, ``machine_decision`` is the machine's own."""

LIST_ORDERS = {
    "urgency": ("lane", "authored_on"),
    "waiting": ("authored_on",),
    "due": ("due",),
    "age": ("born",),
    "changed": ("last_updated",),
}
"""What the coordinators' list is sorted by, each order with an index of its own; the id comes last in all."""

LIST_FILTERS = "ix_task_list_filters"
_FILTERED_BY = (
    *("lane", "authored_on", "due", "born", "last_updated", "id", "status", "business_status", "code", "flags"),
    *("sender_code", "assignee", "patient_id", "referral_id", "masked"),
)
"""One index holds all that the list is filtered by, so that no row is opened which is not shown."""


def list_index(order: str) -> str:
    return f"ix_task_list_by_{order}"


_LANE = f"(1 - red_flag) * {len(Priority)} + {len(Priority) - 1} - priority_rank"

task = Table(
    "task",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("client", String(64), nullable=False),
    Column("version", Integer, nullable=False),
    _instant("last_updated"),
    Column("content", Text, nullable=False),
    Column("referral_id", String(36), ForeignKey("service_request.id"), nullable=False),
    Column("patient_id", String(36)),
    Column("requester", String(256)),
    Column("queue", String(32), nullable=False),
    Column("status", String(32), nullable=False),
    Column("held_from", String(32)),
    Column("business_status", String(32)),
    Column("priority_rank", Integer, nullable=False),
    Column("red_flag", Integer, nullable=False),
    Column("authored_on", String(24), nullable=False),
    Column("due", String(10), nullable=False),
    Column("assignee", String(128)),
    Column("appointment", String(40)),
    Column("paused_since", String(10)),
    Column("by_hand", Integer, nullable=False),
    Column("code", String(8)),
    Column("flags", String(256), nullable=False),
    Column("born", String(10), nullable=False),
    Column("sender", String(200), nullable=False),
    Column("sender_code", String(16), nullable=False),
    Column("masked", Integer, nullable=False),
    Column("closed", Integer, nullable=False),
    Column("lane", Integer, nullable=False),
    UniqueConstraint("referral_id"),
    _one_of("queue", list(Queue)),
    _one_of("status", list(MOVES)),
    CheckConstraint(f"closed = {_is_one_of('status', sorted(FINAL))}", name="closed"),
    CheckConstraint(f"lane = {_LANE}", name="lane"),
    CheckConstraint(f"priority_rank BETWEEN 0 AND {len(Priority) - 1}", name="priority_rank"),
    Index(None, "status", "queue", "last_updated", "id"),
    *(Index(list_index(name), "closed", "queue", *keys, "id") for name, keys in LIST_ORDERS.items()),
    Index(LIST_FILTERS, "closed", "queue", *_FILTERED_BY),
    Index(None, "closed", "sender_code", "sender"),
    Index(None, "client", "last_updated", "id"),
    Index(None, "last_updated", "id"),
    Index(None, "patient_id"),
)
"""One Task a referral, for its whole life. ``flags`` are joined by commas, with one at either end; ``by_hand`` tells
that a human chose the queue, which the machine then never overrules.

For the coordinators' list there are the patient's birth date as sent (``born``, empty when unknown), the name of the
sender with a short code for it, whether the referral was entered in error (``masked``), whether the Task is final
(``closed``), and its ``lane``: 0 for a red flag of the highest priority up to 7 for a routine one without."""

resource = Table(
    "resource",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("client", String(64), nullable=False),
    Column("type", String(32), nullable=False),
    Column("version", Integer, nullable=False),
    _instant("last_updated"),
    Column("content", Text, nullable=False),
    Column("content_hash", String(64), nullable=False),
    Column("birth_date", String(10)),
    Index(None, "client", "type", "last_updated", "id"),
)

history = Table(
    "history",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("type", String(32), nullable=False),
    Column("client", String(64), nullable=False),
    _instant("last_updated"),
    Column("content", Text, nullable=False),
    Column("decision", Text),
    Column("machine_decision", Text),
    Column("decision_input", Text),
    Column("received_id", String(36)),
)
"""What a newer version replaced."""

token = Table(
    "token",
    metadata,
    Column("owner", String(36), primary_key=True),
    Column("param", String(16), primary_key=True),
    Column("system", String(256), primary_key=True),
    Column("value", _ordered_text(256), primary_key=True),
    Column("client", String(64), nullable=False),
    Column("type", String(32), nullable=False),
    Index(None, "client", "type", "param", "value", "system"),
    Index(None, "param", "value", "owner"),
)
"""What a resource is found by when it can have several: identifiers, names, codes, tags. Those whose ``param`` begins
with ``_`` are our own: ``_word`` and ``_number`` are what coordinators type, names and identifiers as letters and
digits alone."""

address = Table(
    "address",
    metadata,
    Column("client", String(64), primary_key=True),
    Column("name", String(512), primary_key=True),
    Column("type", String(32), nullable=False),
    Column("owner", String(36), nullable=False),
    Index(None, "owner"),
)
"""A sender's own name for what it sent (``Patient/1`` or absolute) -> our id. Two senders' names never meet."""

request_key = Table(
    "request_key",
    metadata,
    Column("client", String(64), primary_key=True),
    Column("kind", String(16), primary_key=True),
    Column("value", String(512), primary_key=True),
    Column("content_hash", String(64), nullable=False),
    Column("received_id", String(36), ForeignKey("received.id"), nullable=False),
    Column("referral_id", String(36)),
    _one_of("kind", ["idempotency", "message", "placer"]),
)
"""What makes the same referral sent twice one referral; the primary key decides between two that come at once."""

ledger = Table(
    "ledger",
    metadata,
    Column("received_id", String(36), ForeignKey("received.id"), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("client", String(64), nullable=False),
    _instant("at"),
    Column("state", String(16), nullable=False),
    Column("referral_id", String(36)),
    Column("placer", String(512)),
    Column("red_flag", Integer, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("rules", Text, nullable=False),
    Column("taken_from", String(16)),
    _one_of("state", list(Disposition)),
    UniqueConstraint("referral_id"),
    Index(None, "client", "placer"),
    Index(None, "state", "red_flag", "at"),
)
"""One row a referral received (one a request when none can be read), never removed; only its state moves. ``rules``
are those of its outcome, joined by commas, with one at either end; ``taken_from`` is the state that a coordinator took
it in from."""

status_change = Table(
    "status_change",
    metadata,
    Column("task_id", String(36), ForeignKey("task.id"), primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("client", String(64), nullable=False),
    _instant("at"),
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
"""Every change of a Task, immutable: its history and timeline, and what its sender is told from.

``action`` is the code of a move, ``create`` and ``update`` for what the machine made of what a sender sent, or
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
    _instant("at"),
    Column("actor", String(128), nullable=False),
    Column("actor_name", String(256), nullable=False),
    Column("before", String(64)),
    Column("value", String(64), nullable=False),
    Column("reason", Text, nullable=False),
    _one_of("kind", ["birth-date", "code", "queue"]),
    Index(None, "referral_id"),
)
"""What humans have decided over the machine, immutable: the newest of a kind counts, and no later decision of the
machine overrules it. ``version`` is that of the Task which it came with."""
