"""Parameters of a request to a :class:`SearchQuery`, or every fault in them at once."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

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
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.:\-]{0,63}")
_ELEMENT = re.compile(r"[A-Za-z]{1,64}")


def parse_search(
    kind: str, parameters: Sequence[tuple[str, str]], *, lenient: bool
) -> SearchQuery | tuple[Issue, ...]:
    """The search, or all that is wrong with it; values never stand in an issue, for they may be a patient's.

    ``kind`` is a key of ``PARAMETERS``; ``parameters`` are decoded and in the order sent. An unknown parameter is a
    fault unless ``lenient``, then it is ignored and named in a warning
    (https://hl7.org/fhir/R4/search.html#errors).
    """
    reading = _Reading(kind, lenient)
    for name, value in parameters:
        reading.take(name, value)
    reading.check_extent()
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
            if len(self.controls[name]) > 1 and name not in _REPEATABLE:
                self.wrong_value(name, "may stand only once")
        elif not self._take_criterion(name, value):
            self._unknown(name)
            return
        self.used.append((name, value))

    def _take_criterion(self, name: str, value: str) -> bool:
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
            self._take_missing(base, value)
        else:
            self._take_values(base, modifier, value)
        return True

    def _take_missing(self, name: str, value: str) -> None:
        """https://hl7.org/fhir/R4/search.html#missing"""
        if value not in ("true", "false"):
            self.wrong_value(f"{name}:missing", "is true or false")
        self.criteria.append(Criterion(name, (), missing=value == "true"))

    def _take_values(self, name: str, modifier: str, text: str) -> None:
        """Several values are alternatives (https://hl7.org/fhir/R4/search.html#combining)."""
        parameter = PARAMETERS[self.kind][name]
        wanted_type = modifier if modifier in parameter.targets else ""
        values = [read_value(parameter, part, wanted_type) for part in split(text, ",")]
        read = tuple(value for value in values if value is not None)
        if len(read) < len(values):
            self.wrong_value(name, f"is not a {parameter.type.value} as search takes it")
        self.criteria.append(Criterion(name, read, "" if wanted_type else modifier))

    def _unknown(self, name: str) -> None:
        label = f"The parameter {name}" if _NAME.fullmatch(name) else "A parameter"
        if self.lenient:
            words = f"{label} is not known for {self.kind} and was ignored."
            self.warnings.append(warning("not-supported", "search-parameter", words))
        else:
            words = f"{label} is not known for {self.kind}."
            self.faults.append(error("not-supported", "search-parameter", words))

    def wrong_value(self, name: str, what: str) -> None:
        self.faults.append(error("value", "search-value", f"The value of {name} {what}.".replace("value of", _WORD, 1)))

    def check_extent(self) -> None:
        if sum(max(1, len(criterion.values)) for criterion in self.criteria) > MAX_VALUES:
            words = f"A search takes at most {MAX_VALUES} values; ask in several searches."
            self.faults.append(error("too-costly", "search-value", words))
