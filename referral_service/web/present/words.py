"""Times, ages and codes as a coordinator would say them.

Names of months are written out here, for those of the C library follow the locale of whoever starts the process.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

from referral_service.policy import Policy
from referral_service.referral import Flag, Queue
from referral_service.routing import age_interval
from referral_service.web.present.spelling import spelled
from referral_service.worklist import Role

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MINUTE, _HOUR, _DAY = 60, 3600, 86400


@dataclass(frozen=True, slots=True)
class Moment:
    """A point in time for ``<time>``: machine-readable, and in words of the site's zone."""

    iso: str
    words: str


@dataclass(frozen=True, slots=True)
class Now:
    """When a page is made, and the zone that its times and days are told in."""

    at: datetime
    zone: ZoneInfo

    @property
    def today(self) -> date:
        return self.at.astimezone(self.zone).date()

    def moment(self, instant: str | datetime) -> Moment:
        """``16 Mar 2026, 09:41`` in the site's zone, from a FHIR instant; as stored where no calendar holds it."""
        try:
            local = _aware(instant).astimezone(self.zone)
        except (ValueError, OverflowError):
            return Moment(str(instant), f"“{instant}”")
        return Moment(local.isoformat(timespec="seconds"), f"{day(local.date())}, {local:%H:%M}")

    def waited(self, since: str) -> str:
        """How long something has waited, in the largest whole unit that says enough."""
        seconds = int((self.at - _aware(since)).total_seconds())
        if seconds < _MINUTE:
            return "just now"
        for unit, size, limit in (("minute", _MINUTE, 60), ("hour", _HOUR, 24), ("day", _DAY, 100)):
            if seconds // size < limit:
                return number(seconds // size, unit)
        return number(seconds // (7 * _DAY), "week")

    def ago(self, then: str) -> str:
        waited = self.waited(then)
        return waited if waited == "just now" else f"{waited} ago"


def _aware(instant: str | datetime) -> datetime:
    read = datetime.fromisoformat(instant) if isinstance(instant, str) else instant
    return read if read.tzinfo else read.replace(tzinfo=UTC)


def number(count: int, unit: str) -> str:
    return f"{count} {unit}" if count == 1 else f"{count} {unit}s"


def day(on: date) -> str:
    return f"{on.day} {MONTHS[on.month - 1]} {on.year}"


@dataclass(frozen=True, slots=True)
class Due:
    """A due date with how near it is: ``overdue``, ``today``, ``soon`` (tomorrow) or ``later``."""

    iso: str
    date: str
    words: str
    state: str


def due(on: str, today: date) -> Due:
    last = date.fromisoformat(on)
    left = (last - today).days
    words = f"{number(-left, 'day')} overdue" if left < 0 else {0: "today", 1: "tomorrow"}.get(left, f"in {left} days")
    state = "overdue" if left < 0 else {0: "today", 1: "soon"}.get(left, "later")
    return Due(on, f"{WEEKDAYS[last.weekday()]} {day(last)}", words, state)


def age(birth_date: str | None, today: date) -> str:
    """``17 years``, ``17 or 18 years`` of a partial date, months below two years, or that it cannot be told."""
    if birth_date is None:
        return "age not known"
    years = age_interval(birth_date, today)
    if years is None:
        return "birth date not usable"
    if years.maximum < 2 and len(birth_date) == len("2026-03-16"):
        return _months(date.fromisoformat(birth_date), today)
    return interval(years.minimum, years.maximum)


def interval(minimum: int, maximum: int) -> str:
    if minimum == maximum:
        return "under 1 year" if maximum == 0 else number(maximum, "year")
    return f"{minimum} or {maximum} years" if maximum - minimum == 1 else f"{minimum} to {maximum} years"


def _months(birth: date, today: date) -> str:
    months = (today.year - birth.year) * 12 + today.month - birth.month - (today.day < birth.day)
    return number(months, "month") if months else "under 1 month"


def birth_day(birth_date: str) -> str:
    """``14 Sep 2019``, ``Sep 2019`` or ``2019``, as much as was sent; quoted as sent when it is no date."""
    parts = birth_date.split("-")
    try:
        if len(parts) == 3:
            return day(date.fromisoformat(birth_date))
        return f"{MONTHS[int(parts[1]) - 1]} {int(parts[0])}" if len(parts) == 2 else str(int(parts[0]))
    except (ValueError, IndexError):
        return f"“{birth_date}”"


def born(birth_date: str | None) -> str:
    """``born 14 Sep 2019``, ``born in 2019``, or that the birth date was not given."""
    if birth_date is None:
        return "birth date not given"
    return f"born {'' if birth_date.count('-') == 2 else 'in '}{birth_day(birth_date)}"


def age_and_birth(birth_date: str | None, today: date) -> str:
    """``17 years, born 14 Sep 2009``: both in one line, as they are read out on the telephone."""
    if birth_date is None:
        return born(None)
    return f"{age(birth_date, today)}, {born(birth_date)}"


@dataclass(frozen=True, slots=True)
class Chip:
    """A short label with what it means in a sentence; ``kind`` only chooses its look."""

    kind: str
    label: str
    meaning: str


def flag_chips(flags: str | list[str], policy: Policy) -> list[Chip]:
    """The flags of a Task (its comma-joined column) or a decision, the red one first."""
    present = [name for name in (flags.split(",") if isinstance(flags, str) else flags) if name]
    ordered = sorted(present, key=lambda name: name != Flag.RED_FLAG)
    return [_flag_chip(name, policy) for name in ordered]


def _flag_chip(name: str, policy: Policy) -> Chip:
    label, meaning = _FLAGS.get(name, (sentence(name), ""))
    return Chip(name, label.format(adult=policy.adult_from), meaning.format(adult=policy.adult_from))


_FLAGS: Mapping[str, tuple[str, str]] = {
    Flag.AGE_UNDETERMINED: (
        "Age unsure",
        "The birth date is missing, not usable, or leaves open on which side of {adult} the patient is.",
    ),
    Flag.INDICATION_UNDETERMINED: (
        "Indication unsure",
        "Nothing in the referral surely says that the patient has, or may have, a dystonia.",
    ),
    Flag.DECEASED: ("Deceased", "The patient's record says that the patient has died."),
    Flag.CODE_CONTESTABLE: ("Code in doubt", "Classifications differ here, or another code could be defended."),
    Flag.CODE_CONFLICT: ("Code conflict", "The sender's code and words, or two of its codes, say different things."),
    Flag.POSSIBLE_DRUG_INDUCED: (
        "Medicine a cause?",
        "A medicine that can cause dystonia is listed; nobody says that it is the cause.",
    ),
    Flag.RED_FLAG: (
        "Red flag",
        "Something in the words may not wait. A prompt for a clinician, neither a diagnosis nor complete.",
    ),
    Flag.AGES_OUT_BEFORE_DUE: ("Turns {adult} before due", "The patient turns {adult} before the referral is due."),
    Flag.POSSIBLE_DUPLICATE: (
        "Possible duplicate",
        "The same sender has another open referral for a patient with the same identifier.",
    ),
}

STATUSES: Mapping[str, str] = {
    "requested": "New",
    "received": "Received",
    "accepted": "Accepted",
    "in-progress": "In progress",
    "on-hold": "On hold",
    "rejected": "Rejected",
    "cancelled": "Cancelled",
    "completed": "Completed",
    "failed": "Failed",
    "entered-in-error": "Entered in error",
}


def status(code: str, policy: Policy) -> str:
    return spelled(STATUSES.get(code, sentence(code)), policy.spelling)


def queue_name(queue: str, policy: Policy) -> str:
    """What the site calls a queue; its code when it is none of ours any more."""
    return policy.queues[Queue(queue)] if queue in set(Queue) else queue


def sentence(code: str) -> str:
    """A code in kebab case as words: ``cancellation-requested`` -> ``Cancellation requested``."""
    spaced = code.replace("-", " ")
    return spaced[:1].upper() + spaced[1:]


@dataclass(frozen=True, slots=True)
class RoleWords:
    """What a role is called, and in a sentence what it opens."""

    name: str
    may: str


ROLES: Mapping[Role, RoleWords] = {
    Role.COORDINATOR: RoleWords("Coordinator", "You see and move the referrals of the queues given to you."),
    Role.LEAD: RoleWords("Lead", "You see and move every referral, and the overview."),
    Role.INTEGRATOR: RoleWords("Integrator", "You see what was refused or rejected, and why."),
    Role.AUDITOR: RoleWords("Auditor", "You see who has seen and done what, and no referral."),
}
