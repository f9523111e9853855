"""Required bindings: the code has to be from the value set, https://hl7.org/fhir/R4/terminologies.html#required.

Sets that the specification does not list (languages, media types, units) are left open.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from referral_service.fhir.conformance import table
from referral_service.fhir.conformance.fields import Explain, explain_primitive
from referral_service.fhir.conformance.primitives import PRIMITIVES
from referral_service.fhir.conformance.scope import Object, Scope

SHOWN = 12


@cache
def codes_of(url: str) -> frozenset[str] | None:
    systems = table.value_set(url)
    return None if systems is None else frozenset(code for codes in systems.values() for code in codes)


def allowed_words(url: str) -> str:
    systems = table.value_set(url) or {}
    codes = [code for each in systems.values() for code in each]
    return f"one of: {', '.join(codes)}" if len(codes) <= SHOWN else f"a code of the value set {url}"


def explain_code(url: str) -> Explain:
    otherwise = explain_primitive(PRIMITIVES["code"])
    words = f"The code must be {allowed_words(url)}."

    def explain(value: Any, path: str, scope: Scope) -> None:
        if value.__class__ is str and value:
            scope.fault("code-not-in-value-set", path, words)
        else:
            otherwise(value, path, scope)

    return explain


class ConceptBinding:
    """A CodeableConcept bound to a required set has at least one coding of that set."""

    __slots__ = ("pairs", "words")

    def __init__(self, url: str) -> None:
        systems = table.value_set(url) or {}
        self.pairs = frozenset((system, code) for system, codes in systems.items() for code in codes)
        self.words = f"At least one coding must be {allowed_words(url)}, with system {' or '.join(sorted(systems))}."

    def __call__(self, value: Object, path: str, scope: Scope) -> None:
        codings = value.get("coding")
        if codings is None and "extension" in value:
            return
        given = codings if codings.__class__ is list else ()
        pairs = ((each.get("system"), each.get("code")) for each in given if each.__class__ is dict)
        if not any(self.holds(*pair) for pair in pairs):
            scope.fault("code-not-in-value-set", path, self.words)

    def holds(self, system: Any, code: Any) -> bool:
        return system.__class__ is str and code.__class__ is str and (system, code) in self.pairs
