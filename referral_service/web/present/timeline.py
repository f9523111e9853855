"""What has happened to a referral's Task: who, when, what and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from referral_service.policy import Policy
from referral_service.web.present import people, words
from referral_service.web.present.words import Moment, Now

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
        Event(now.moment(row["at"]), _who(row["actor"]), _what(before, row, policy), _why(row["reason"]))
        for before, row in zip(befores, rows, strict=False)
    ]
    return events[::-1]


def _who(actor: str) -> str:
    return "This service" if actor == "referral-service" else actor


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
    if row["reason"]:
        return "Taken in by hand"
    return "Received" if row["actor"] == "referral-service" else "Entered by hand"


def _why(reason: str | None) -> str:
    """The reason of a move: a CodeableConcept as JSON, or plain words."""
    if not reason:
        return ""
    try:
        stated = orjson.loads(reason)
    except orjson.JSONDecodeError:
        return reason
    if not isinstance(stated, Mapping):
        return reason
    text = people.concept(stated)
    return text if stated.get("text") else words.sentence(text)
