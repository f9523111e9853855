"""Bindings that advise: extensible ones as warnings, preferred ones as information.

https://hl7.org/fhir/R4/terminologies.html#extensible. What stands in a code system that the value set does not draw
from is taken as the sender's own, for nobody here can tell whether a code of the set would have fitted.
"""

from __future__ import annotations

from typing import Any

from referral_service.fhir.conformance import table
from referral_service.fhir.conformance.bindings import allowed_words, codes_of
from referral_service.fhir.conformance.scope import Object, Scope
from referral_service.issues import Severity

CODED = frozenset({"CodeableConcept", "Coding"})
SEVERITIES = {"extensible": Severity.WARNING, "preferred": Severity.INFORMATION}


def words_for(url: str, strength: str) -> str:
    return f"The code should be {allowed_words(url)}; the binding is {strength}."


class Advice:
    """A CodeableConcept, or a Coding, that draws on a system of the set but names no code of it."""

    __slots__ = ("severity", "systems", "words")

    def __init__(self, url: str, strength: str) -> None:
        self.systems = {system: frozenset(codes) for system, codes in (table.value_set(url) or {}).items()}
        self.severity = SEVERITIES[strength]
        self.words = words_for(url, strength)

    def __call__(self, value: Object, path: str, scope: Scope) -> None:
        codings: Any = value.get("coding", (value,))
        strays = False
        for coding in codings if codings.__class__ is list else (value,):
            system: Any = coding.get("system") if coding.__class__ is dict else None
            codes = self.systems.get(system) if system.__class__ is str else None
            if codes is not None and coding.get("code").__class__ is str:
                if coding["code"] in codes:
                    return
                strays = True
        if strays:
            scope.findings.add("code-not-in-value-set", path, self.words, self.severity)


class CodeAdvice:
    """A ``code``, whose system is the value set's own."""

    __slots__ = ("codes", "name", "severity", "words")

    def __init__(self, name: str, url: str, strength: str) -> None:
        self.codes = codes_of(url) or frozenset()
        self.name = name
        self.severity = SEVERITIES[strength]
        self.words = words_for(url, strength)

    def __call__(self, value: Object, path: str, scope: Scope) -> None:
        code = value.get(self.name)
        for each in code if code.__class__ is list else (code,):
            if each.__class__ is str and each and each not in self.codes:
                scope.findings.add("code-not-in-value-set", f"{path}.{self.name}", self.words, self.severity)
