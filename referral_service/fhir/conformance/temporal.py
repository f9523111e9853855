"""Whether one FHIR date is surely after another, https://hl7.org/fhirpath/N1/#datetime-comparison.

Dates may be partial and without a zone; what cannot be told is no fault.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from referral_service.fhir.conformance.primitives import is_date_time

_TIMED = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d):(\d\d)(?:\.(\d{1,6})\d*)?(Z|[+-]\d\d:\d\d)")
_ZONES_SPAN = timedelta(hours=14)


def surely_after(first: object, second: object) -> bool:
    """False also when either is no valid date: that fault is told elsewhere."""
    if not isinstance(first, str) or not isinstance(second, str):
        return False
    if not is_date_time(first) or not is_date_time(second):
        return False
    if len(first) <= 10 or len(second) <= 10:
        return _day_after(first, second)
    return _instant(first) > _instant(second)


def _day_after(first: str, second: str) -> bool:
    """At least one has no time: days are compared as far as both tell them, allowing for the zone of the other."""
    if len(first) > 10:
        first = _shifted(first, -_ZONES_SPAN)
    if len(second) > 10:
        second = _shifted(second, _ZONES_SPAN)
    shared = min(len(first), len(second))
    return first[:shared] > second[:shared]


def _shifted(timed: str, span: timedelta) -> str:
    try:
        return (_instant(timed) + span).date().isoformat()
    except OverflowError:
        return timed[:10]


def _instant(text: str) -> datetime:
    found = _TIMED.fullmatch(text)
    assert found is not None
    minute, seconds, fraction, zone = found.groups()
    local = datetime.fromisoformat(minute).replace(tzinfo=UTC)
    micros = int((fraction or "").ljust(6, "0"))
    try:
        return local + timedelta(seconds=int(seconds), microseconds=micros) - _offset(zone)
    except OverflowError:
        return local


def _offset(zone: str) -> timedelta:
    if zone == "Z":
        return timedelta()
    size = timedelta(hours=int(zone[1:3]), minutes=int(zone[4:6]))
    return size if zone[0] == "+" else -size
