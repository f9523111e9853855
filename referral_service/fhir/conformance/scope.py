"""What a walk knows beside the value in hand: the faults so far, and the resource that holds it all.

A local reference resolves within the resource that contains its target and nowhere else, so each resource that is
not itself contained opens a scope (https://hl7.org/fhir/R4/references.html#contained).
"""

from __future__ import annotations

from typing import Any

from referral_service.fhir.parse import MAX_ISSUES, too_many
from referral_service.issues import Issue, Severity

Object = dict[str, Any]

CODES = {
    "unknown-resource-type": "structure",
    "unknown-element": "structure",
    "missing-element": "required",
    "too-many-values": "structure",
    "wrong-type": "structure",
    "invalid-value": "value",
    "empty-value": "value",
    "choice-type": "structure",
    "misplaced-null": "structure",
    "code-not-in-value-set": "code-invalid",
    "reference-target": "value",
    "reference-unresolved": "not-found",
    "reference-type-mismatch": "value",
    "contained-rule": "invariant",
    "invariant": "invariant",
    "bundle-rule": "invariant",
    "narrative": "invalid",
    "profile": "invariant",
    "profile-unknown": "not-found",
    "not-judged": "too-costly",
}
"""Our stable code to FHIR's issue type, https://hl7.org/fhir/R4/valueset-issue-type.html."""


class EnoughError(Exception):
    """So many faults that nobody would read more; ends the walk and is seen only by ``check``."""


class Findings:
    """The issues of one call, in the order of the document, and what they cost so far where that has a limit."""

    __slots__ = ("effort", "issues", "told")

    def __init__(self) -> None:
        self.issues: list[Issue] = []
        self.effort = 0
        self.told: set[str] = set()

    def add(self, rule: str, path: str, words: str, severity: Severity = Severity.ERROR, code: str = "") -> None:
        """``code`` is FHIR's, where the rule alone does not tell it."""
        self.issues.append(Issue(severity, code or CODES[rule], rule, words, path))
        if len(self.issues) >= MAX_ISSUES:
            self.issues.append(too_many(path.partition(".")[0]))
            raise EnoughError


class Scope:
    """One resource with what it contains.

    ``contained`` maps the local ids to resource types; ``fragments`` are the local ids referred to; ``inside`` the path
    of the contained resource being walked, if any; ``homeward`` those that refer to their container (``#``); ``urns``
    the types of a Bundle's entries that are named by URN rather than by an address that tells the type; ``resource``
    what FHIRPath calls ``%resource``: the one being walked, also when it is contained.
    """

    __slots__ = ("contained", "findings", "fragments", "homeward", "inside", "resource", "resource_type", "urns")

    def __init__(self, findings: Findings, resource: Object, resource_type: str, urns: dict[str, str]) -> None:
        self.findings = findings
        self.resource = resource
        self.resource_type = resource_type
        self.contained = local_types(resource)
        self.fragments: set[str] = set()
        self.homeward: set[str] = set()
        self.inside = ""
        self.urns = entry_types(resource) if resource_type == "Bundle" else urns

    def fault(self, rule: str, path: str, words: str) -> None:
        self.findings.add(rule, path, words)


def local_types(resource: Object) -> dict[str, Any]:
    contained = resource.get("contained")
    if contained.__class__ is not list:
        return {}
    found = (each for each in contained if each.__class__ is dict and each.get("id").__class__ is str)
    return {each["id"]: each.get("resourceType") for each in found}


def entry_types(bundle: Object) -> dict[str, str]:
    entries: Any = bundle.get("entry")
    found: dict[str, str] = {}
    for entry in entries if entries.__class__ is list else ():
        given: Object = entry if entry.__class__ is dict else {}
        resource: Any = given.get("resource")
        url: Any = given.get("fullUrl")
        named: Any = resource.get("resourceType") if resource.__class__ is dict else None
        if named.__class__ is str and url.__class__ is str and url.startswith("urn:"):
            found[url] = named
    return found
