"""What is wrong, or worth saying, about an input: findings are values, faults are exceptions.

An :class:`Issue` becomes one ``OperationOutcome.issue`` (https://hl7.org/fhir/R4/operationoutcome.html). A
:class:`Fault` ends a request that cannot be carried out; only ``web`` knows which HTTP status it becomes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """https://hl7.org/fhir/R4/valueset-issue-severity.html"""

    FATAL = "fatal"
    ERROR = "error"
    WARNING = "warning"
    INFORMATION = "information"


@dataclass(frozen=True, slots=True)
class Issue:
    """One finding. ``diagnostics`` is plain words and never holds a value from the patient's record.

    ``code`` is FHIR's issue type (https://hl7.org/fhir/R4/valueset-issue-type.html), ``rule`` our own stable code
    (``CodeSystem/issue`` in ``profiles/``), ``expression`` the FHIRPath of the element, empty when none applies.
    """

    severity: Severity
    code: str
    rule: str
    diagnostics: str
    expression: str = ""

    @property
    def is_error(self) -> bool:
        return self.severity in (Severity.FATAL, Severity.ERROR)


def error(code: str, rule: str, diagnostics: str, expression: str = "") -> Issue:
    return Issue(Severity.ERROR, code, rule, diagnostics, expression)


def warning(code: str, rule: str, diagnostics: str, expression: str = "") -> Issue:
    return Issue(Severity.WARNING, code, rule, diagnostics, expression)


def information(code: str, rule: str, diagnostics: str, expression: str = "") -> Issue:
    return Issue(Severity.INFORMATION, code, rule, diagnostics, expression)


def errors_of(issues: Iterable[Issue]) -> tuple[Issue, ...]:
    return tuple(issue for issue in issues if issue.is_error)


class FaultKind(StrEnum):
    """The few ways in which a request fails; ``web`` maps each to one HTTP status."""

    INVALID = "invalid"
    LOGIN = "login"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not-found"
    METHOD = "method"
    NOT_ACCEPTABLE = "not-acceptable"
    CONFLICT = "conflict"
    GONE = "gone"
    PRECONDITION = "precondition"
    TOO_LARGE = "too-large"
    MEDIA_TYPE = "media-type"
    RANGE = "range"
    BUSINESS_RULE = "business-rule"
    THROTTLED = "throttled"
    TRANSIENT = "transient"
    UNFORESEEN = "unforeseen"


class Fault(Exception):
    """The request cannot be carried out; ``issues`` say why, all of them at once."""

    def __init__(self, kind: FaultKind, *issues: Issue) -> None:
        super().__init__(kind.value)
        self.kind = kind
        self.issues = issues
