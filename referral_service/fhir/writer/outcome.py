"""Outcomes, and what everything that we author has in common."""

from __future__ import annotations

from collections.abc import Iterable

import orjson
from fhir.resources.R4B import get_fhir_model_class

from referral_service.fhir.bundle import Resource
from referral_service.fhir.parse import parse
from referral_service.issues import Issue, Severity

CANONICAL = "https://referral-service.example/fhir"


def own_system(name: str) -> str:
    return f"{CANONICAL}/CodeSystem/{name}"


def typed(payload: Resource) -> Resource:
    """The same resource, once its R4B model has taken it."""
    get_fhir_model_class(payload["resourceType"]).model_validate(payload)
    return payload


def pretty(text: bytes) -> bytes:
    """The same JSON on many lines; numbers keep their digits."""
    value = parse(text).value
    lines = orjson.dumps(value, default=lambda number: orjson.Fragment(number.literal), option=orjson.OPT_INDENT_2)
    return lines if value is not None else text


def outcome(issues: Iterable[Issue]) -> Resource:
    """https://hl7.org/fhir/R4/operationoutcome.html; an empty one says that all is well, for it needs one issue."""
    listed = [_issue(issue) for issue in issues]
    return {"resourceType": "OperationOutcome", "issue": listed or [dict(_ALL_WELL)]}


_ALL_WELL = {"severity": "information", "code": "informational", "diagnostics": "No fault was found."}


def _issue(issue: Issue) -> Resource:
    written: Resource = {
        "severity": issue.severity.value,
        "code": issue.code,
        "details": {"coding": [{"system": own_system("issue"), "code": issue.rule}]},
        "diagnostics": issue.diagnostics,
    }
    if issue.expression:
        written["expression"] = [issue.expression]
    return written


def read_issue(written: Resource) -> Issue:
    rule, place = written["details"]["coding"][0]["code"], written.get("expression", [""])[0]
    return Issue(Severity(written["severity"]), written["code"], rule, written["diagnostics"], place)
