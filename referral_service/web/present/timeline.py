"""What has happened to a referral's Task: who, when, what and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from referral_service.policy import Policy
from referral_service.web.present import words
from referral_service.web.present.acting import moment_words
from referral_service.web.present.words import Moment, Now
from referral_service.worklist import ENDED, machine
from referral_service.worklist.reasons import BY_CODE as REASONS

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Event:
    """``actor`` is who did it by their id, ``who`` by the name shown; ``version`` the Task's that it made."""

    version: int
    action: str
    at: Moment
    actor: str
    who: str
    what: str
    why: str
    said: str
    has_ended: bool


def timeline(rows: Sequence[Row], now: Now, policy: Policy, *, is_masked: bool = False) -> list[Event]:
    """What happened to a Task, newest first; each change told against the one before.

    Of a referral that was entered in error neither words nor values are told, for they may speak of the patient.
    """
    befores: list[Row | None] = [None, *rows]
    told = (({**row, "comment": None, "value": None} if is_masked else row) for row in rows)
    events = [_event(before, row, now, policy) for before, row in zip(befores, told, strict=False)]
    return events[::-1]


def _event(before: Row | None, row: Row, now: Now, policy: Policy) -> Event:
    return Event(
        row["version"],
        row["action"],
        now.moment(row["at"]),
        row["actor"],
        _who(row),
        _what(before, row, now, policy),
        REASONS[row["reason"]].display if row["reason"] in REASONS else words.sentence(row["reason"] or ""),
        row["comment"] or "",
        before is not None and row["status"] != before["status"] and row["status"] in ENDED,
    )


def _who(row: Row) -> str:
    return "This service" if row["actor"] == machine().id else str(row["actor_name"])


def _what(before: Row | None, row: Row, now: Now, policy: Policy) -> str:
    queue = words.queue_name(row["queue"], policy)
    if before is None:
        return f"{_beginning(row)} and placed in {queue}"
    told = [_by_name(row, now)] if row["action"] in _NAMED else []
    if row["queue"] != before["queue"]:
        told.append(f"Moved from {words.queue_name(before['queue'], policy)} to {queue}")
    if row["status"] != before["status"] and row["action"] not in _IN_WORDS:
        told.append(words.status(row["status"], policy))
    if row["action"] not in _NAMED and row["business_status"] and row["business_status"] != before["business_status"]:
        told.append(words.sentence(row["business_status"]))
    return "; ".join(told) or "Updated; queue and status unchanged"


def _beginning(row: Row) -> str:
    """How a referral came here: sent, entered by hand, or taken in by somebody who said why."""
    if row["action"] == "take-in":
        return "Taken in by hand"
    return "Received" if row["actor"] == machine().id else "Entered by hand"


_IN_WORDS = {"return-for-information"}
_NAMED: Mapping[str, str] = {
    "claim": "Taken in hand",
    "unassign": "Given back",
    "assign": "Assigned to {value}",
    "return-for-information": "Returned to the sender for information",
    "undo": "End taken back",
    "comment": "Comment",
    "report": "Report added",
    "book-appointment": "Appointment booked for {value}",
    "move-appointment": "Appointment moved to {value}",
    "appointment-dropped": "Appointment not kept in the new queue: {value}",
    "did-not-attend": "Did not attend",
    "seen": "Patient was seen",
    "correct-code": "Code corrected to {value}",
    "confirm-birth-date": "Birth date confirmed: {value}",
    "pause-clock": "Clock paused",
    "resume-clock": "Clock runs again",
}


def _by_name(row: Row, now: Now) -> str:
    told, value = _NAMED[row["action"]], row["value"]
    if value is None:
        return told.partition(" {value}")[0].removesuffix(":")
    if row["action"] == "confirm-birth-date":
        return told.format(value=words.birth_day(value))
    return told.format(value=moment_words(value, now) if row["action"] in _DATED else value)


_DATED = {"book-appointment", "move-appointment", "appointment-dropped"}
