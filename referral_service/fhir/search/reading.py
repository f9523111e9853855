"""Parameters of a request to a :class:`SearchQuery`, or every fault in them at once."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from referral_service.fhir.search.links import read_cursor
from referral_service.fhir.search.parameters import INCLUDES, PARAMETERS, REVINCLUDES, SAME, SORTABLE
from referral_service.fhir.search.query import (
    DEFAULT_COUNT,
    MAX_COUNT,
    Criterion,
    Cursor,
    SearchQuery,
    SortKey,
    Summary,
    Total,
)
from referral_service.fhir.search.values import read_value, split
from referral_service.issues import Issue, error, warning

MAX_VALUES = 500
"""Of all parameters together: more than a client that asks for a page of ids needs, less than a database minds."""

_PASSED_OVER = frozenset({"_format", "_pretty"})
_REPEATABLE = frozenset({"_include", "_revinclude", "_elements"})
_CONTROLS = _REPEATABLE | {"_sort", "_count", "_summary", "_total", "_cursor"}
_NAME = re.compile(r"[A-Za-z_](?:[A-Za-z_.:\-]|[0-9]{1,2}(?![0-9])){0,63}")
_ELEMENT = re.compile(r"[A-Za-z]{1,64}")
_Choice = TypeVar("_Choice", Summary, Total)


def parse_search(kind: str, parameters: Sequence[tuple[str, str]], *, lenient: bool) -> SearchQuery | tuple[Issue, ...]:
    """The search, or all that is wrong with it; values never stand in an issue, for they may be a patient's.

    ``kind`` is a key of ``PARAMETERS``; ``parameters`` are decoded and in the order sent. An unknown parameter is a
    fault unless ``lenient``; then it is ignored and named in a warning (https://hl7.org/fhir/R4/search.html#errors).
    """
    reading = _Reading(kind, lenient)
    for name, value in parameters:
        reading.take(name, value)
    query = reading.query()
    return tuple(reading.faults) or query


@dataclass(slots=True)
class _Reading:
    kind: str
    lenient: bool
    faults: list[Issue] = field(default_factory=list)
    warnings: list[Issue] = field(default_factory=list)
    criteria: list[Criterion] = field(default_factory=list)
    controls: dict[str, list[str]] = field(default_factory=dict)
    used: list[tuple[str, str]] = field(default_factory=list)

    def take(self, name: str, value: str) -> None:
        if name in _PASSED_OVER:
            return
        if name in _CONTROLS:
            self.controls.setdefault(name, []).append(value)
            if len(self.controls[name]) == 2 and name not in _REPEATABLE:
                self._fault(name, "may stand only once")
        elif not self._take_criterion(name, value):
            self._unknown(name)
            return
        self.used.append((name, value))

    def _take_criterion(self, name: str, text: str) -> bool:
        """False when there is no such parameter; any other fault is noted."""
        known = PARAMETERS[self.kind]
        base, modifier = SAME.get(name, name), ""
        if base not in known:
            head, _, modifier = name.rpartition(":")
            base = SAME.get(head, head)
        if base not in known:
            return False
        if modifier and modifier not in known[base].modifiers:
            words = f"The parameter {base} of {self.kind} does not take this modifier."
            self.faults.append(error("not-supported", "search-modifier", words))
        elif modifier == "missing":
            self._take_missing(base, text)
        else:
            self._take_values(base, modifier, text)
        return True

    def _take_missing(self, name: str, text: str) -> None:
        """https://hl7.org/fhir/R4/search.html#missing"""
        if text not in ("true", "false"):
            self._fault(f"{name}:missing", "is true or false")
        self.criteria.append(Criterion(name, (), missing=text == "true"))

    def _take_values(self, name: str, modifier: str, text: str) -> None:
        """Several values are alternatives (https://hl7.org/fhir/R4/search.html#combining)."""
        parameter = PARAMETERS[self.kind][name]
        target = modifier if modifier in parameter.targets else ""
        values = [read_value(parameter, part, target) for part in split(text, ",")]
        read = tuple(value for value in values if value is not None)
        if len(read) < len(values):
            self._fault(name, f"has a value that is not a {parameter.type.value} as search takes it")
        self.criteria.append(Criterion(name, read, "" if target else modifier))

    def _unknown(self, name: str) -> None:
        label = f"The parameter {name}" if _NAME.fullmatch(name) else "A parameter"
        if self.lenient:
            words = f"{label} is not known for {self.kind} and was ignored."
            self.warnings.append(warning("not-supported", "search-parameter", words))
        else:
            words = f"{label} is not known for {self.kind}."
            self.faults.append(error("not-supported", "search-parameter", words))

    def _fault(self, name: str, what: str) -> None:
        self.faults.append(error("value", "search-value", f"The parameter {name} {what}."))

    def query(self) -> SearchQuery:
        """What was taken so far; only to be used when it left no fault."""
        sort, count = self._sort(), self._count()
        query = SearchQuery(
            kind=self.kind,
            criteria=tuple(self.criteria),
            sort=sort,
            count=count,
            include=self._includes("_include", INCLUDES[self.kind]),
            revinclude=self._includes("_revinclude", REVINCLUDES[self.kind]),
            summary=self._choice("_summary", Summary) or Summary.FALSE,
            elements=self._elements(),
            total=self._choice("_total", Total),
            after=self._cursor(sort),
            parameters=tuple((name, str(count) if name == "_count" else value) for name, value in self.used),
            warnings=tuple(self.warnings),
        )
        self._check_together(query)
        return query

    def _check_together(self, query: SearchQuery) -> None:
        """https://hl7.org/fhir/R4/search.html#summary: with ``text`` nothing can be included."""
        if query.summary is Summary.TEXT and (query.include or query.revinclude):
            self._fault("_summary", "cannot be text when other resources are to be included")
        if query.elements and query.summary in (Summary.TRUE, Summary.TEXT, Summary.DATA):
            self._fault("_elements", "cannot be combined with _summary")
        if sum(max(1, len(criterion.values)) for criterion in query.criteria) > MAX_VALUES:
            words = f"A search takes at most {MAX_VALUES} values; ask in several searches."
            self.faults.append(error("too-costly", "search-value", words))

    def _sort(self) -> tuple[SortKey, ...]:
        """By last change when nothing is asked for, so that what changes while one pages is met again, never missed.

        https://hl7.org/fhir/R4/search.html#sort
        """
        keys: dict[str, SortKey] = {}
        for part in (part for text in self.controls.get("_sort", []) for part in text.split(",")):
            key = SortKey(part.removeprefix("-"), part.startswith("-"))
            if key.name not in SORTABLE[self.kind]:
                self._fault("_sort", f"takes, for {self.kind}, {', '.join(sorted(SORTABLE[self.kind]))}")
                break
            keys.setdefault(key.name, key)
        return tuple(keys.values()) or (SortKey("_lastUpdated"),)

    def _count(self) -> int:
        text = self.controls.get("_count", [str(DEFAULT_COUNT)])[0]
        if not re.fullmatch(r"[0-9]{1,9}", text):
            self._fault("_count", "is a whole number")
            return DEFAULT_COUNT
        return min(int(text), MAX_COUNT)

    def _choice(self, name: str, choices: type[_Choice]) -> _Choice | None:
        text = self.controls.get(name, [None])[0]
        if text is None or text in list(choices):
            return choices(text) if text else None
        self._fault(name, f"is one of {', '.join(choices)}")
        return None

    def _includes(self, name: str, known: frozenset[str]) -> frozenset[str]:
        """``Type:parameter``, with or without the type that it leads to (https://hl7.org/fhir/R4/search.html#revinclude)."""
        asked = {":".join(text.split(":")[:2]) for text in self.controls.get(name, [])}
        if asked - known:
            takes = f"takes {', '.join(sorted(known))}" if known else f"takes nothing for {self.kind}"
            self._fault(name, takes)
        return frozenset(asked & known)

    def _elements(self) -> frozenset[str]:
        """Names of elements at the root of a resource (https://hl7.org/fhir/R4/search.html#elements)."""
        names = frozenset(part for text in self.controls.get("_elements", []) for part in text.split(","))
        if not all(_ELEMENT.fullmatch(name) for name in names):
            self._fault("_elements", "is a list of names of elements at the root of the resource")
        return names

    def _cursor(self, sort: tuple[SortKey, ...]) -> Cursor | None:
        text = self.controls.get("_cursor", [None])[0]
        if text is None:
            return None
        cursor = read_cursor(text, sort)
        if cursor is None:
            self._fault("_cursor", "is not one of a next link of this search")
        return cursor
