"""What an address of the worklist asks for: read strictly, so that no list is ever shown that nobody asked for.

Only codes stand in it, so that it can be kept and passed on. What somebody types to find a patient never does; it
comes in the body of a form.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from hashlib import sha256

from referral_service.issues import Fault, FaultKind, error
from referral_service.policy import Policy
from referral_service.referral import Flag, Priority, Queue
from referral_service.routing import OLDEST_YEARS
from referral_service.store.listing import ORDERS, URGENCY, Band, Filters, Listing, Place
from referral_service.web.frame import ALL, CLOSED
from referral_service.web.worklist.choices import (
    BANDS,
    MINE,
    NO_CODE,
    NOBODY,
    UNKNOWN,
    business_statuses,
    codes,
    statuses,
)

FILTERS = (
    *("status", "business-status", "priority", "flag", "code", "age", "sender", "assignee", "due"),
    *("received-from", "received-to"),
)
_OTHER = ("queue", "sort", "after")
_DIGEST = re.compile(r"[0-9a-f]{12}")
_PLACE = re.compile(r"[0-9A-Za-z.:~\-]{1,120}")


@dataclass(frozen=True, slots=True)
class Asked:
    """One list as it was asked for. ``values`` are the filters by name, only those that are set."""

    name: str
    values: Mapping[str, str] = field(default_factory=dict)
    sort: str = URGENCY
    after: str | None = None
    text: str = ""
    queues: tuple[Queue, ...] = tuple(Queue)

    @property
    def closed(self) -> bool:
        return self.name == CLOSED

    @property
    def order(self) -> str:
        return self.sort.removeprefix("-")

    def arguments(self, **changed: str | None) -> dict[str, str]:
        """The address of this list with some of it changed, from its beginning; None takes a part away."""
        sort = {} if self.sort == self._usual_sort else {"sort": self.sort}
        every = {"queue": self.name, **self.values, **sort} | changed
        return {name: value for name, value in every.items() if value}

    @property
    def _usual_sort(self) -> str:
        return usual_sort(self.name)


def usual_sort(name: str) -> str:
    """What is waiting comes by urgency, what is closed by when it was: the latest first."""
    return "-changed" if name == CLOSED else URGENCY


def read(given: Mapping[str, str], queues: tuple[Queue, ...], usual_list: str, text: str = "") -> Asked:
    """Raises a fault, for a page in plain words, on a name or value that is none of the list's, or of another queue."""
    unknown = sorted(set(given) - {*FILTERS, *_OTHER})
    if unknown:
        raise _not_ours("The list has no filter of the name in this address.")
    name = given.get("queue") or usual_list
    if name not in (*queues, ALL, CLOSED):
        raise Fault(FaultKind.NOT_FOUND, error("not-found", "not-found", "There is no such queue."))
    sort = given.get("sort") or usual_sort(name)
    if sort.removeprefix("-") not in ORDERS:
        raise _not_ours(f"The list can be sorted by {', '.join(ORDERS)}; a minus in front turns it round.")
    values = {filter_name: given[filter_name] for filter_name in FILTERS if given.get(filter_name)}
    after = given.get("after") or None
    if after is not None:
        place_of(after, sort)
    asked = Asked(name, values, sort, after, text, queues)
    for filter_name, value in values.items():
        _check(filter_name, value, closed=asked.closed)
    return asked


def _check(name: str, value: str, *, closed: bool) -> None:
    known: dict[str, Callable[[], object]] = {
        "status": lambda: value in statuses(closed),
        "business-status": lambda: value in business_statuses(),
        "priority": lambda: value in set(Priority),
        "flag": lambda: value in set(Flag),
        "code": lambda: value == NO_CODE or value in codes(),
        "age": lambda: value == UNKNOWN or value in BANDS,
        "sender": lambda: _DIGEST.fullmatch(value),
        "assignee": lambda: value in (MINE, NOBODY) or _DIGEST.fullmatch(value),
        "due": lambda: value in ("overdue", "soon"),
        "received-from": lambda: _day(value),
        "received-to": lambda: _day(value),
    }
    if not known[name]():
        raise _not_ours(f"The address asks for a value of “{name.replace('-', ' ')}” that this list does not know.")


def _not_ours(words: str) -> Fault:
    return Fault(FaultKind.INVALID, error("invalid", "unknown-filter", words))


def _day(value: str) -> date | None:
    try:
        return date.fromisoformat(value) if re.fullmatch(r"\d{4}-\d{2}-\d{2}", value, re.ASCII) else None
    except ValueError:
        return None


def listing_of(asked: Asked, today: date, policy: Policy, me: str, names: Mapping[str, str]) -> Listing:
    """``names`` are the assignees by their code; one who is nobody's any more leaves the list empty."""
    queues = asked.queues if asked.name in (ALL, CLOSED) else (Queue(asked.name),)
    return Listing(queues, asked.closed, _filters(asked, today, policy, me, names), asked.order, asked.sort[0] == "-")


def _filters(asked: Asked, today: date, policy: Policy, me: str, names: Mapping[str, str]) -> Filters:
    values = asked.values
    code, age, assignee = values.get("code"), values.get("age"), values.get("assignee")
    person = {None: None, NOBODY: None, MINE: me}.get(assignee, names.get(assignee or "", assignee))
    wanted = Filters(
        status=values.get("status"),
        business_status=values.get("business-status"),
        flag=values.get("flag"),
        code=None if code == NO_CODE else code,
        uncoded=code == NO_CODE,
        sender=values.get("sender"),
        assignee=person,
        unassigned=assignee == NOBODY,
        due=_due(values.get("due"), today),
        received=_received(values, policy),
        text=asked.text,
    )
    if "priority" in values:
        wanted = replace(wanted, lane=_lanes(Priority(values["priority"])))
    if age == UNKNOWN:
        return replace(wanted, unborn=Band(_years_before(today, OLDEST_YEARS), today.isoformat()))
    return replace(wanted, born=_band(BANDS[age], today)) if age else wanted


def _lanes(priority: Priority) -> tuple[int, ...]:
    slower = len(Priority) - 1 - priority.rank
    return (slower, slower + len(Priority))


def _due(wanted: str | None, today: date) -> tuple[str | None, str | None]:
    day = timedelta(days=1)
    if wanted == "overdue":
        return None, (today - day).isoformat()
    return (today.isoformat(), (today + day).isoformat()) if wanted == "soon" else (None, None)


def _received(values: Mapping[str, str], policy: Policy) -> tuple[str | None, str | None]:
    """Whole days of the site's zone as instants."""
    first, last = _day(values.get("received-from", "")), _day(values.get("received-to", ""))

    def begins(day: date) -> datetime:
        return datetime.combine(day, time(), policy.zone).astimezone(UTC)

    def written(at: datetime) -> str:
        return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")

    end = begins(last + timedelta(days=1)) - timedelta(milliseconds=1) if last else None
    return written(begins(first)) if first else None, written(end) if end else None


def _band(years: tuple[int, int | None], today: date) -> Band:
    """Birth dates of those who may be of these ages today."""
    youngest, oldest = years
    last = _years_before(today, youngest)
    if oldest is None:
        return Band(_years_before(today, OLDEST_YEARS), last)
    too_old = date.fromisoformat(_years_before(today, oldest + 1))
    return Band((too_old + timedelta(days=1)).isoformat(), last)


def _years_before(today: date, years: int) -> str:
    """Born on 29 February, the birthday of common years is 1 March, so that day counts back to 28 February."""
    on_leap_day = (today.month, today.day) == (2, 29)
    return today.replace(year=today.year - years, day=28 if on_leap_day else today.day).isoformat()


def place_of(text: str, sort: str) -> Place:
    """The place that a link to a further page begins after."""
    keys = ORDERS[sort.removeprefix("-")]
    parts = text.split("~")
    if not _PLACE.fullmatch(text) or len(parts) != len(keys) + 1 or ("lane" in keys and not parts[0].isdecimal()):
        raise Fault(FaultKind.INVALID, error("invalid", "cursor", "This link to a further page is not one of ours."))
    return Place(tuple(parts[:-1]), parts[-1])


def place_text(place: Place) -> str:
    return "~".join((*place.values, place.id))


def code_of(name: str) -> str:
    """A short code that stands for a name in an address."""
    return sha256(name.encode()).hexdigest()[:12]
