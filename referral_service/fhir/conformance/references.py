"""What a Reference may point at, https://hl7.org/fhir/R4/references.html#literal.

A literal tells its target's type in ``Type/id``; a local one by the contained resource, a URN by the Bundle's entry.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from referral_service.fhir.conformance import table
from referral_service.fhir.conformance.fields import note_local
from referral_service.fhir.conformance.scope import Object, Scope
from referral_service.issues import Severity

Rule = Callable[[Object, str, Scope], None]

_TYPE_AND_ID = re.compile(r"(?:^|/)([A-Z][A-Za-z]{1,63})/[A-Za-z0-9\-.]{1,64}(?:/_history/[A-Za-z0-9\-.]{1,64})?\Z")
_CONDITIONAL = re.compile(r"([A-Z][A-Za-z]{1,63})\?")
_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:")
_R4_TYPES = "http://hl7.org/fhir/StructureDefinition/"


def rule_for(targets: tuple[str, ...]) -> Rule:
    """``targets`` as in the definition; none, or ``Resource``, is any type."""
    allowed = frozenset(targets) if targets and "Resource" not in targets else None
    words = f"The reference must point at {' or '.join(targets)}."

    def rule(value: Object, path: str, scope: Scope) -> None:
        literal = value.get("reference")
        pointed = literal_type(literal, path, scope) if literal.__class__ is str and literal else None
        stated = value.get("type")
        if stated is None:
            if pointed is not None and allowed is not None and pointed not in allowed:
                scope.fault("reference-target", f"{path}.reference", words)
        elif stated.__class__ is str:
            judge_stated(stated.removeprefix(_R4_TYPES), pointed, path, scope)
            if allowed is not None:
                for element, each in (("type", stated.removeprefix(_R4_TYPES)), ("reference", pointed)):
                    if each in table.resource_types() and each not in allowed:
                        scope.fault("reference-target", f"{path}.{element}", words)

    return rule


def judge_stated(stated: str, pointed: str | None, path: str, scope: Scope) -> None:
    """``type`` is an R4 type, or the absolute address of a logical model; the binding is extensible, so a name that
    is neither is only worth a warning.
    """
    if stated not in table.resource_types():
        if stated and not _ABSOLUTE.match(stated):
            words = '"type" should name an R4 resource type.'
            scope.findings.add("reference-target", f"{path}.type", words, Severity.WARNING)
    elif pointed is not None and pointed != stated:
        words = '"type" and the type that "reference" points at differ.'
        scope.fault("reference-type-mismatch", f"{path}.type", words)


def literal_type(literal: str, path: str, scope: Scope) -> str | None:
    if literal[0] == "#":
        return local_type(literal, path, scope)
    if literal.startswith("urn:"):
        return scope.urns.get(literal)
    found = _TYPE_AND_ID.search(literal) or _CONDITIONAL.match(literal)
    if found is not None and found[1] in table.resource_types():
        return found[1]
    if not _ABSOLUTE.match(literal):
        words = 'A relative reference has the form "Type/id", with the name of an R4 resource type.'
        scope.fault("invalid-value", f"{path}.reference", words)
    return None


def local_type(literal: str, path: str, scope: Scope) -> str | None:
    """``#`` alone is the container, ``#id`` one of the resources contained in it (ref-1)."""
    note_local(literal, scope)
    if literal == "#":
        return scope.resource_type
    if literal[1:] not in scope.contained:
        words = "No resource with this id is contained here (ref-1)."
        scope.fault("reference-unresolved", f"{path}.reference", words)
        return None
    target = scope.contained[literal[1:]]
    return target if target.__class__ is str else None


def type_of_target(value: Object, scope: Scope) -> str | None:
    """The R4 type that a Reference points at, as far as it can be told; what is wrong with it is told elsewhere."""
    literal, stated = value.get("reference"), value.get("type")
    kind: object = None
    if literal.__class__ is str and literal:
        if literal[0] == "#":
            kind = scope.contained.get(literal[1:]) if literal != "#" else scope.resource_type
        elif literal.startswith("urn:"):
            kind = scope.urns.get(literal)
        else:
            found = _TYPE_AND_ID.search(literal) or _CONDITIONAL.match(literal)
            kind = found[1] if found else None
    if kind is None and stated.__class__ is str:
        kind = stated.removeprefix(_R4_TYPES)
    return kind if isinstance(kind, str) and kind in table.resource_types() else None
