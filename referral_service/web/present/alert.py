"""An alert as it is shown: why, since when, who was told, who has it in hand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from referral_service.policy import Policy
from referral_service.referral import AlertKind
from referral_service.store.alerts import Open
from referral_service.store.engine import instant
from referral_service.web.present import words
from referral_service.web.present.words import Moment, Now

Row = Mapping[str, Any]
LATE = timedelta(minutes=2)
"""After this long a message that is due and that nobody takes in hand tells that no worker runs."""


@dataclass(frozen=True, slots=True)
class Event:
    at: Moment
    what: str
    who: str = ""


@dataclass(frozen=True, slots=True)
class Shown:
    id: str
    kind: str
    kind_words: str
    referral_id: str | None
    received_id: str
    queue: str
    raised: Moment
    waited: str
    is_open: bool
    ended: str
    events: list[Event]


@dataclass(frozen=True, slots=True)
class Banner:
    """What every page says while alerts are open."""

    count: int
    words: str
    since: str
    no_contact: bool
    not_sent: str


def banner(open_alerts: Open, now: Now, policy: Policy) -> Banner:
    late = instant(now.at - LATE)
    waiting = open_alerts.waiting_since
    return Banner(
        count=open_alerts.count,
        words=words.number(open_alerts.count, "alert") if open_alerts.count else "",
        since=now.waited(open_alerts.oldest) if open_alerts.oldest else "",
        no_contact=not policy.alerts.contacts,
        not_sent=now.waited(waiting) if waiting is not None and waiting < late else "",
    )


def shown(row: Row, now: Now, policy: Policy) -> Shown:
    return Shown(
        id=row["id"],
        kind=row["kind"],
        kind_words=AlertKind(row["kind"]).words,
        referral_id=row["referral_id"],
        received_id=row["received_id"],
        queue=words.queue_name(row["queue"], policy) if row["queue"] else "",
        raised=now.moment(row["at"]),
        waited=now.waited(row["at"]),
        is_open=row["acknowledged_at"] is None,
        ended="Acknowledged" if row["acknowledged_by"] else "Closed by itself",
        events=_events(row, now, policy),
    )


def _events(row: Row, now: Now, policy: Policy) -> list[Event]:
    """The alert's timeline, oldest first; what is still to come stands last."""
    found = [(row["at"], "Raised", "")]
    found += [(one["sent_at"], "Told", one["contact"]) for one in row["notices"] if one["sent_at"]]
    if row["acknowledged_at"]:
        what = "Acknowledged by" if row["acknowledged_by"] else "Closed, as the referral is no longer on hold"
        found.append((row["acknowledged_at"], what, row["acknowledged_by"] or ""))
    found.sort(key=lambda event: event[0])
    found += [(one["due"], _to_come(one), _contact(one, policy)) for one in row["notices"] if one["due"]]
    return [Event(now.moment(at), what, who) for at, what, who in found]


def _to_come(notice: Row) -> str:
    if notice["fault"] is None:
        return "Next to tell"
    return f"Not reached in {words.number(notice['attempts'], 'attempt')} ({notice['fault']}), to be tried again"


def _contact(notice: Row, policy: Policy) -> str:
    contacts = policy.alerts.contacts
    return contacts[notice["step"]].name if notice["step"] < len(contacts) else "no contact any more"
