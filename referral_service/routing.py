"""Birth date on a day -> age interval -> queue.

A FHIR date may be partial (https://hl7.org/fhir/R4/datatypes.html#date), so an age is an interval; only an interval
that lies wholly on one side routes a referral.
"""

from __future__ import annotations

import calendar
import re
from datetime import date

from referral_service.policy import Policy
from referral_service.referral import AgeInterval, Queue

OLDEST_YEARS = 130
_PARTIAL_DATE = re.compile(r"(\d{4})(?:-(\d{2})(?:-(\d{2}))?)?", re.ASCII)


def age_interval(birth_date: str | None, on: date) -> AgeInterval | None:
    """Age in whole years on a day from ``YYYY``, ``YYYY-MM`` or ``YYYY-MM-DD``.

    None when the date is absent, no date, in the future or more than 130 years ago. A person born on 29 February has
    the birthday on 1 March in common years.
    """
    born = _possible_days(birth_date)
    if born is None or born[0] > on:
        return None
    earliest, latest = born[0], min(born[1], on)
    if _is_too_long_ago(latest, on):
        return None
    return AgeInterval(on=on, minimum=_years(latest, on), maximum=_years(earliest, on))


def queue_for(age: AgeInterval | None, policy: Policy) -> Queue | None:
    """The queue that the age surely belongs to; None when it straddles the threshold or is unknown."""
    if age is None:
        return None
    band = policy.transition
    if band is not None and band.from_age <= age.minimum and age.maximum < band.to_age:
        return band.queue
    if age.maximum < policy.adult_from:
        return Queue.PEDIATRIC
    return Queue.ADULT if age.minimum >= policy.adult_from else None


def _possible_days(birth_date: str | None) -> tuple[date, date] | None:
    match = _PARTIAL_DATE.fullmatch(birth_date or "")
    if match is None:
        return None
    year, month, day = (int(part) if part else None for part in match.groups())
    assert year is not None
    try:
        if month is None:
            return date(year, 1, 1), date(year, 12, 31)
        if day is None:
            return date(year, month, 1), date(year, month, calendar.monthrange(year, month)[1])
        return date(year, month, day), date(year, month, day)
    except (ValueError, calendar.IllegalMonthError):
        return None


def _years(born: date, on: date) -> int:
    return on.year - born.year - ((on.month, on.day) < (born.month, born.day))


def _is_too_long_ago(born: date, on: date) -> bool:
    return (born.year + OLDEST_YEARS, born.month, born.day) < (on.year, on.month, on.day)
