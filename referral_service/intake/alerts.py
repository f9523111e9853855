"""Alerts of what was received stand in the transaction that writes it: neither is ever there without the other."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from referral_service.intake.draft import Draft
from referral_service.intake.site import new_id
from referral_service.policy import Alerts
from referral_service.referral import AlertKind, Decision, Flag, Priority
from referral_service.store import alerts, tables
from referral_service.store.engine import Connection, instant


def kinds_of(decision: Decision) -> set[AlertKind]:
    """What a decision on a referral that is taken asks to be told at once."""
    found = {AlertKind.RED_FLAG} if Flag.RED_FLAG in decision.flags else set()
    return found | ({AlertKind.STAT} if decision.requested_priority is Priority.STAT else set())


def raise_of_referral(draft: Draft, referral_id: str, decision: Decision) -> None:
    """For a referral that has just been made."""
    _raise(draft, kinds_of(decision), referral_id)


def raise_of_change(connection: Connection, draft: Draft, referral_id: str, decision: Decision) -> None:
    """For a referral that was here already: only what it has not raised before."""
    kinds = kinds_of(decision)
    _raise(draft, kinds - alerts.kinds_raised(connection, referral_id) if kinds else kinds, referral_id)


def raise_of_not_taken(draft: Draft) -> None:
    """For a red flag in words that were refused or rejected: once a request, however many of its parts hold one."""
    if not any(row["referral_id"] is None for row in draft.rows.get(tables.alert, [])):
        _raise(draft, {AlertKind.RED_FLAG}, None)


def rows_of_alert(policy: Alerts, at: datetime, **facts: Any) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The alert, and a message for each contact, due one after the other for as long as nobody acknowledges it."""
    alert = {"id": new_id(), "hold": 0, "at": instant(at), **facts}
    dues = [instant(at + timedelta(minutes=step * policy.escalate_minutes)) for step in range(len(policy.contacts))]
    return alert, [{"alert_id": alert["id"], "step": step, "due": due, "attempts": 0} for step, due in enumerate(dues)]


def _raise(draft: Draft, kinds: Iterable[str], referral_id: str | None) -> None:
    policy = draft.site.policy.alerts
    about = {"received_id": draft.received_id, "referral_id": referral_id}
    for kind in sorted(policy.kinds.intersection(kinds)):
        alert, notices = rows_of_alert(policy, draft.incoming.at, kind=kind, **about)
        draft.add(tables.alert, **alert)
        for notice in notices:
            draft.add(tables.notice, **notice)
