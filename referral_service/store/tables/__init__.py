"""The tables: few, each row and key with its client.

A referral is one row of ``service_request`` (the resource with the decision made on it) and one of ``task`` (its life
in a queue). Everything else that was sent or authored is a ``resource``. Rows hold the current version; what it
replaced stands in ``history``. Texts are kept as text, never as a database's own JSON type, which would drop duplicate
keys and change numbers.
"""

from __future__ import annotations

from referral_service.store.tables.audit import audit_anchor, audit_entity, audit_event, audit_seal
from referral_service.store.tables.binaries import binary_content
from referral_service.store.tables.chores import chore
from referral_service.store.tables.columns import metadata
from referral_service.store.tables.deliveries import delivery, outbox, subscription
from referral_service.store.tables.done import alert, correction, notice, status_change
from referral_service.store.tables.fetches import ehr_fetch
from referral_service.store.tables.files import ehr_file
from referral_service.store.tables.hooks import card_feedback
from referral_service.store.tables.kept import (
    LIST_ASSIGNEES,
    LIST_FILTERS,
    LIST_ORDERS,
    address,
    history,
    ledger,
    list_index,
    received,
    request_key,
    resource,
    service_request,
    task,
    token,
)
from referral_service.store.tables.limits import quota
from referral_service.store.tables.people import person, session
from referral_service.store.tables.proofs import proof
from referral_service.store.tables.sandbox import scene
from referral_service.store.tables.systems import access_token, assertion_jti, client

__all__ = [
    "LIST_ASSIGNEES",
    "LIST_FILTERS",
    "LIST_ORDERS",
    "access_token",
    "address",
    "alert",
    "assertion_jti",
    "audit_anchor",
    "audit_entity",
    "audit_event",
    "audit_seal",
    "binary_content",
    "card_feedback",
    "chore",
    "client",
    "correction",
    "delivery",
    "ehr_fetch",
    "ehr_file",
    "history",
    "ledger",
    "list_index",
    "metadata",
    "notice",
    "outbox",
    "person",
    "proof",
    "quota",
    "received",
    "request_key",
    "resource",
    "scene",
    "service_request",
    "session",
    "status_change",
    "subscription",
    "task",
    "token",
]
