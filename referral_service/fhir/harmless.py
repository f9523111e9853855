"""What of a search may be kept or stand in an address: codes of closed lists, days, small numbers and ids of ours.

Whatever else was typed may be a name or a number of a patient, also where a code was asked for.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from referral_service.fhir.package import definitions
from referral_service.fhir.search import INCLUDES, PARAMETERS, REVINCLUDES, SORTABLE, Summary, Total

OUR_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_REFERENCE = re.compile(rf"([A-Z][A-Za-z]{{1,40}}/)?{OUR_ID.pattern}(~[0-9]{{1,6}})?")
_DAY = re.compile(
    r"(eq|ne|gt|lt|ge|le|sa|eb)?[0-9]{4}(-[0-9]{2}(-[0-9]{2}(T[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,9})?)?"
    r"(Z|[+ -][0-9]{2}:[0-9]{2})?)?)?)?"
)
_NUMBER = re.compile(r"[0-9]{1,4}")
_DIGEST = re.compile(r"[0-9a-f]{12}")
_NAME = re.compile(r"[A-Za-z_.\-]{1,64}(:[A-Za-z]{1,40}(\.identifier)?)?")

_DAYS = frozenset(
    {
        *("authored", "authored-on", "modified", "due", "_lastUpdated", "date", "since", "day", "from", "to"),
        *("received-from", "received-to"),
    }
)
_NUMBERS = frozenset({"_count", "weeks"})
_DIGESTS = frozenset({"sender", "assignee"})
_CODED = frozenset(
    {
        *("status", "business-status", "priority", "owner", "intent", "code", "_tag", "_sort", "_include"),
        *("_revinclude", "_summary", "_elements", "_total", "_format", "_pretty", "queue", "sort", "state", "rule"),
        *("flag", "as", "action", "outcome", "age", "due", "assignee"),
    }
)
_OTHERS = frozenset({"after", "source", "person", "patient", "_cursor"})
"""Parameters of pages and lists whose values are free."""

_R4 = {
    "http://hl7.org/fhir/task-status": "draft requested received accepted rejected ready cancelled in-progress on-hold"
    " failed completed entered-in-error",
    "http://hl7.org/fhir/request-status": "draft active on-hold revoked completed entered-in-error unknown",
    "http://hl7.org/fhir/request-priority": "routine urgent asap stat",
    "http://hl7.org/fhir/request-intent": "proposal plan directive order original-order reflex-order filler-order"
    " instance-order option",
    "http://hl7.org/fhir/audit-event-action": "C R U D E",
    "http://hl7.org/fhir/audit-event-outcome": "0 4 8 12",
    "http://hl7.org/fhir/CodeSystem/task-code": "fulfill",
    "http://terminology.hl7.org/CodeSystem/v3-ObservationValue": "AIAST",
}
"""Systems and codes of R4 that can be searched for here."""
_ICD_10 = ("http://hl7.org/fhir/sid/icd-10-cm", "http://hl7.org/fhir/sid/icd-10")
_PAGES = (
    "json application/json application/fhir+json text/json true false csv taken-in none unknown mine nobody overdue"
    " soon all closed 0-5 6-12 13-17 18-29 30-59 60- urgency waiting due age changed"
)


def is_known(name: str) -> bool:
    """Whether a parameter is one of ours, and not something typed where its name belongs."""
    return bool(_NAME.fullmatch(name)) and name.partition(":")[0] in _names()


def is_harmless(name: str, value: str) -> bool:
    """Whether each value of a parameter is an id of ours, or a code, day or number that the parameter can have."""
    return all(not part or _is_harmless(name.partition(":")[0], part) for part in value.split(","))


def _is_harmless(name: str, value: str) -> bool:
    shapes: list[tuple[bool, re.Pattern[str]]] = [
        (True, _REFERENCE),
        (name in _DAYS, _DAY),
        (name in _NUMBERS, _NUMBER),
        (name in _DIGESTS, _DIGEST),
    ]
    return any(applies and shape.fullmatch(value) for applies, shape in shapes) or (name in _CODED and _is_coded(value))


def _is_coded(value: str) -> bool:
    system, bar, code = value.rpartition("|")
    words = _words()
    if bar and system and system not in _systems():
        return False
    return not code or code.removeprefix("-") in words or code.removeprefix("HealthcareService/") in words


@cache
def _names() -> frozenset[str]:
    searched = (name.partition(":")[0] for known in PARAMETERS.values() for name in known)
    return frozenset({*searched, *_CODED, *_DAYS, *_NUMBERS, *_OTHERS})


@cache
def _systems() -> frozenset[str]:
    own = {str(one["url"]) for one in definitions()["CodeSystem"].values()}
    return frozenset({*own, *_R4, *_ICD_10})


@cache
def _words() -> frozenset[str]:
    """Every code of our package and of R4's lists, and what the controls of a search and of pages can be."""
    lists = [*INCLUDES.values(), *REVINCLUDES.values(), *SORTABLE.values(), *PARAMETERS.values()]
    controls = {*Summary, *Total, *(word for words in lists for word in words), *_PAGES.split()}
    ours = {code for one in definitions()["CodeSystem"].values() for code in _codes(one.get("concept", []))}
    return frozenset({*controls, *ours, *(code for codes in _R4.values() for code in codes.split())})


def _codes(concepts: list[Mapping[str, Any]]) -> Iterator[str]:
    for one in concepts:
        yield str(one["code"])
        yield from _codes(one.get("concept", []))
