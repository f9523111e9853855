"""What was received and what it became: requests, referrals, Tasks, resources, and the ledger of them all."""

from __future__ import annotations

from sqlalchemy import (
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from referral_service.referral import Disposition, Priority, Queue
from referral_service.store.tables.columns import instant, is_one_of, metadata, one_of, ordered_text
from referral_service.worklist import FINAL, MOVES

received = Table(
    "received",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("client", String(64), nullable=False),
    Column("request_id", String(256), nullable=False),
    Column("door", String(32), nullable=False),
    Column("result", String(16), nullable=False),
    instant("at"),
    Column("body", LargeBinary),
    Column("answers", Text),
    one_of("result", ["decided", "supporting", "update", "cancel", "replay", "conflict"]),
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
    instant("last_updated"),
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
    one_of("disposition", [Disposition.REVIEW, Disposition.ROUTED]),
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

LIST_ASSIGNEES = "ix_task_list_assignees"
_ASSIGNED = text("assignee IS NOT NULL")


def list_index(order: str) -> str:
    return f"ix_task_list_by_{order}"


_LANE = f"(1 - red_flag) * {len(Priority)} + {len(Priority) - 1} - priority_rank"

task = Table(
    "task",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("client", String(64), nullable=False),
    Column("version", Integer, nullable=False),
    instant("last_updated"),
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
    one_of("queue", list(Queue)),
    one_of("status", list(MOVES)),
    CheckConstraint(f"closed = {is_one_of('status', sorted(FINAL))}", name="closed"),
    CheckConstraint(f"lane = {_LANE}", name="lane"),
    CheckConstraint(f"priority_rank BETWEEN 0 AND {len(Priority) - 1}", name="priority_rank"),
    Index(None, "status", "queue", "last_updated", "id"),
    *(Index(list_index(name), "closed", "queue", *keys, "id") for name, keys in LIST_ORDERS.items()),
    Index(LIST_FILTERS, "closed", "queue", *_FILTERED_BY),
    Index(None, "closed", "sender_code", "sender"),
    Index(LIST_ASSIGNEES, "closed", "assignee", sqlite_where=_ASSIGNED, postgresql_where=_ASSIGNED),
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
    instant("last_updated"),
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
    instant("last_updated"),
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
    Column("value", ordered_text(256), primary_key=True),
    Column("client", String(64), nullable=False),
    Column("type", String(32), nullable=False),
    Index(None, "client", "type", "param", "value", "system"),
    Index(None, "param", "value", "owner"),
)
"""What a resource is found by when it can have several: identifiers, names, codes, tags. Those whose ``param`` begins
with ``_`` are our own: ``_word`` and ``_number`` are what coordinators type, names and identifiers as letters and
digits alone; ``_about`` is the id of the stored Patient that a record speaks of."""

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
    one_of("kind", ["idempotency", "message", "placer"]),
)
"""What makes the same referral sent twice one referral; the primary key decides between two that come at once."""

ledger = Table(
    "ledger",
    metadata,
    Column("received_id", String(36), ForeignKey("received.id"), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("client", String(64), nullable=False),
    instant("at"),
    Column("state", String(16), nullable=False),
    Column("referral_id", String(36)),
    Column("placer", String(512)),
    Column("red_flag", Integer, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("rules", Text, nullable=False),
    Column("taken_from", String(16)),
    one_of("state", list(Disposition)),
    UniqueConstraint("referral_id"),
    Index(None, "client", "placer"),
    Index(None, "state", "red_flag", "at"),
    Index(None, "at"),
)
"""One row a referral received (one a request when none can be read), never removed; only its state moves. ``rules``
are those of its outcome, joined by commas, with one at either end; ``taken_from`` is the state that a coordinator took
it in from."""
