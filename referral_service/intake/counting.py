"""What a request became is counted once it is durable."""

from __future__ import annotations

from typing import TYPE_CHECKING

from referral_service import metrics
from referral_service.store import tables
from referral_service.store.engine import Connection, when_durable

if TYPE_CHECKING:
    from referral_service.intake.draft import Draft


def count(draft: Draft, connection: Connection) -> None:
    """Each referral by the decision on it, and the request by what it was; nothing when it is rolled back."""
    when_durable(connection, lambda: _count(draft))


def _count(draft: Draft) -> None:
    policy = draft.site.policy.label
    tasks = {row["referral_id"]: row for row in draft.rows.get(tables.task, ())}
    decided = [(row["state"], row["referral_id"]) for row in draft.rows.get(tables.ledger, ())]
    if draft.taken is not None:
        decided.append(draft.taken[:2])
    for state, referral_id in decided:
        task = tasks.get(referral_id, {})
        metrics.decided(state, task.get("queue"), task.get("code"), policy)
    for row in draft.rows.get(tables.received, ()):
        metrics.received(row["door"], row["result"])
