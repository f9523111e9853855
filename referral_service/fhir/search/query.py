"""A search as asked for, taken apart: plain frozen data, free of SQL and HTTP."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from referral_service.fhir.bundle import literal
from referral_service.issues import Issue

DEFAULT_COUNT = 20
MAX_COUNT = 100


class Summary(StrEnum):
    """https://hl7.org/fhir/R4/search.html#summary"""

    TRUE = "true"
    TEXT = "text"
    DATA = "data"
    COUNT = "count"
    FALSE = "false"


class Total(StrEnum):
    """https://hl7.org/fhir/R4/search.html#total"""

    NONE = "none"
    ESTIMATE = "estimate"
    ACCURATE = "accurate"


class Prefix(StrEnum):
    """https://hl7.org/fhir/R4/search.html#prefix; ``ap`` is left out, for nothing here is approximate."""

    EQ = "eq"
    NE = "ne"
    GT = "gt"
    LT = "lt"
    GE = "ge"
    LE = "le"
    SA = "sa"
    EB = "eb"


@dataclass(frozen=True, slots=True)
class TokenValue:
    """``system`` is None when any will do and empty when there must be none; ``code`` is None when any will do."""

    system: str | None
    code: str | None


@dataclass(frozen=True, slots=True)
class DateValue:
    """A period as wide as the precision given: from ``low`` until just before ``high``, both instants in UTC."""

    prefix: Prefix
    low: str
    high: str


@dataclass(frozen=True, slots=True)
class TextValue:
    text: str


@dataclass(frozen=True, slots=True)
class ReferenceValue:
    """``types`` are those that a bare id may belong to, and that any other reference must have."""

    text: str
    types: tuple[str, ...]

    def names(self, base_url: str) -> list[str]:
        """How the reference can stand in a resource: relative when it is one or leads below ``base_url``.

        https://hl7.org/fhir/R4/search.html#reference
        """
        if "/" not in self.text and ":" not in self.text:
            return [f"{kind}/{self.text}" for kind in self.types]
        parts = literal(self.text)
        if parts is None:
            return [self.text]
        if parts.type not in self.types:
            return []
        return [parts.relative if parts.base in (None, base_url) else f"{parts.base}/{parts.relative}"]


Value = TokenValue | DateValue | TextValue | ReferenceValue


@dataclass(frozen=True, slots=True)
class Criterion:
    """One parameter of a search: any of its ``values`` will do. ``name`` is a key of ``PARAMETERS``.

    ``missing`` is set, and ``values`` empty, for the modifier ``:missing``; ``modifier`` is ``not``, ``exact``,
    ``contains`` or empty.
    """

    name: str
    values: tuple[Value, ...]
    modifier: str = ""
    missing: bool | None = None


@dataclass(frozen=True, slots=True)
class SortKey:
    name: str
    descending: bool = False


@dataclass(frozen=True, slots=True)
class Cursor:
    """The last row of the page before: what it was sorted by (None for what must not stand in a URL), and its id."""

    values: tuple[str | None, ...]
    id: str


@dataclass(frozen=True, slots=True)
class SearchQuery:
    """What is searched for and how it is to be shown.

    ``include`` and ``revinclude`` hold ``Type:parameter``; ``parameters`` are those that were used, for the links;
    ``warnings`` say what was ignored.
    """

    kind: str
    criteria: tuple[Criterion, ...] = ()
    sort: tuple[SortKey, ...] = (SortKey("_lastUpdated"),)
    count: int = DEFAULT_COUNT
    include: frozenset[str] = frozenset()
    revinclude: frozenset[str] = frozenset()
    summary: Summary = Summary.FALSE
    elements: frozenset[str] = frozenset()
    total: Total | None = None
    after: Cursor | None = None
    parameters: tuple[tuple[str, str], ...] = ()
    warnings: tuple[Issue, ...] = ()

    @property
    def only_counts(self) -> bool:
        """``_count=0`` asks for the same as ``_summary=count`` (https://hl7.org/fhir/R4/search.html#count)."""
        return self.summary is Summary.COUNT or self.count == 0


def sort_text(keys: Iterable[SortKey]) -> str:
    return ",".join(f"{'-' if key.descending else ''}{key.name}" for key in keys)
