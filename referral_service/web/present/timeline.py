"""What has happened to a referral's Task: who, when, what and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from referral_service.policy import Policy
from referral_service.web.present import words
from referral_service.web.present.words import Moment, Now
from referral_service.worklist import machine

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Event:
    at: Moment
    who: str
    what: str
    why: str


def timeline(rows: Sequence[Row], now: Now, policy: Policy) -> list[Event]:
    """What happened to a Task, newest first; each change told against the one before."""
    befores: list[Row | None] = [None, *rows]
    events = [
        Event(now.moment(row["at"]), _who(row), _what(before, row, policy), _why(row))
        for before, row in zip(befores, rows, strict=False)
    ]
    return events[::-1]


def _who(row: Row) -> str:
    return "This service" if row["actor"] == machine().id else str(row["actor_name"])


def _what(before: Row | None, row: Row, policy: Policy) -> str:
    queue = words.queue_name(row["queue"], policy)
    if before is None:
        return f"{_beginning(row)} and placed in {queue}"
    told = []
    if row["queue"] != before["queue"]:
        told.append(f"Moved from {words.queue_name(before['queue'], policy)} to {queue}")
    if row["status"] != before["status"]:
        told.append(words.STATUSES.get(row["status"], words.sentence(row["status"])))
    if row["business_status"] and row["business_status"] != before["business_status"]:
        told.append(words.sentence(row["business_status"]))
    return "; ".join(told) or "Updated; queue and status unchanged"


def _beginning(row: Row) -> str:
    """How a referral came here: sent, entered by hand, or taken in by somebody who said why."""
    if row["action"] == "take-in":
        return "Taken in by hand"
    return "Received" if row["actor"] == machine().id else "Entered by hand"


def _why(row: Row) -> str:
    """The reason of a move in words, and what was said with it."""
    reason = words.sentence(row["reason"]) if row["reason"] else ""
    return ": ".join(part for part in (reason, row["comment"]) if part)
