"""Constraints for which nobody wrote a closure, evaluated as the FHIRPath they are stated in.

https://hl7.org/fhir/R4/fhirpath.html. An expression is parsed once, at its first use, and is not run where nothing
that it speaks of is there. A constraint is met when it comes to true; an empty result is a failure, as the reference
validator reads it, but for warnings and where a fault in the same place explains it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from decimal import Decimal
from functools import cache
from typing import Any, cast

from referral_service.fhir.conformance import table
from referral_service.fhir.conformance.invariants import decimal
from referral_service.fhir.conformance.scope import Object, Scope
from referral_service.fhir.parse import Number
from referral_service.issues import Severity

Rule = Callable[[Object, str, Scope], None]
Evaluate = Callable[[Any, Any], list[Any]]

MOST_NODES = 20_000
"""Values in one element; a larger one is not judged, for the evaluator's work grows with their square."""
MOST_EFFORT = 1_000_000
EACH = 50
"""Values looked at in one check, where each evaluation counts as ``EACH`` more; what comes later is not judged."""

LOOKED_BACK = 20
SHAPE = frozenset({"missing-element", "wrong-type", "empty-value", "misplaced-null", "choice-type", "unknown-element"})

NOT_SUPPLIED = {
    "resolve": "the target of a reference may be anywhere, and nothing is fetched to judge a resource",
    "memberOf": "value sets are judged by the bindings",
    "conformsTo": "profiles are judged where a resource claims them",
    "htmlChecks": "narratives are judged by a parser of their own",
}
"""Functions that the specification adds to FHIRPath and that are not given to the evaluator, each with the reason."""

MISJUDGED = {
    ("Questionnaire", "que-7"): "the evaluator tells FHIR's boolean from System.Boolean",
    ("Condition", "con-3"): "as stated it compares a concept with a text and can never fail; the guideline is meant",
    ("MedicationDispense", "mdd-1"): "the evaluator compares times without regard to zone and precision",
    ("Period", "per-1"): "the evaluator compares times without regard to zone and precision",
    ("Range", "rng-2"): "the evaluator cannot compare quantities",
    ("Task", "inv-1"): "the evaluator compares times without regard to zone and precision",
}
"""Constraints that the evaluator would judge wrongly, by the type that states them: closures judge each of these."""

_CALLS = re.compile(r"\b([A-Za-z]+)\(")
_WORDS = re.compile(r"'(?:[^'\\]|\\.)*'|`([^`]+)`|([A-Za-z_][A-Za-z0-9_]*)")
_ANYWHERE = re.compile(r"\b(?:children|descendants)\(|%resource")


def unjudged(constraint: table.Constraint) -> str:
    """Why the evaluator is not asked about a constraint; empty when it is."""
    called = [name for name in _CALLS.findall(constraint.expression) if name in NOT_SUPPLIED]
    return NOT_SUPPLIED[called[0]] if called else MISJUDGED.get((constraint.owner, constraint.key), "")


def has_value(given: list[Any]) -> list[bool]:
    """https://hl7.org/fhir/R4/fhirpath.html#functions"""
    return [len(given) == 1 and given[0] is not None and not isinstance(given[0], dict | list)]


@cache
def evaluator() -> tuple[Callable[[str], Evaluate], Callable[[Any, str], Any]]:
    """Loaded at first use: the types that the service stores are judged without it."""
    import fhirpathpy
    from fhirpathpy.engine import nodes
    from fhirpathpy.models import models

    options = {
        "traceFn": lambda *_: None,
        "userInvocationTable": {"hasValue": {"fn": has_value, "arity": {0: []}}},
    }

    def compiled(expression: str) -> Evaluate:
        return cast(Evaluate, fhirpathpy.compile(expression, models["r4"], options))

    def node(value: Any, path: str) -> Any:
        """A resource tells its type itself; anything else has to be typed, or ``extension`` is misread."""
        if "resourceType" in value:
            return value
        return cast(Any, nodes).ResourceNode.create_node(value, models["r4"]["path2Type"].get(path, path))

    return compiled, node


class Expression:
    """One FHIRPath expression on nodes of one type; ``path`` is that type or an element of it.

    ``empty`` is what it comes to when the result is empty.
    """

    __slots__ = ("_guard", "_run", "empty", "path", "text")

    def __init__(self, text: str, path: str, empty: bool = False) -> None:
        self.empty = empty
        self.text = text
        self.path = path
        self._run: Evaluate | None = None
        self._guard: tuple[str, ...] = ()

    def _compile(self) -> Evaluate:
        compiled, _ = evaluator()
        self._run = run = compiled(self.text)
        if not _ANYWHERE.search(self.text) and self._evaluate(run, {}, {}):
            words = (quoted or plain for quoted, plain in _WORDS.findall(self.text))
            self._guard = tuple(sorted({word for word in words if word}))
        return run

    def applies(self, value: Object) -> bool:
        """Whether anything is there that the expression names; without it, the expression holds."""
        if self._run is None:
            self._compile()
        return not self._guard or any(name.removeprefix("_").startswith(self._guard) for name in value)

    def holds(self, value: Object, resource: Object) -> bool:
        return self._evaluate(self._run or self._compile(), value, resource)

    def _evaluate(self, run: Evaluate, value: Object, resource: Object) -> bool:
        _, node = evaluator()
        result = run(node(value, self.path), {"resource": resource})
        return result[0] is not False if result else self.empty


def plain(value: Any) -> tuple[Any, int]:
    """The value with numbers as the evaluator knows them, and how many values there are in it."""
    if value.__class__ is dict:
        pairs = {name: plain(each) for name, each in value.items()}
        return {name: each for name, (each, _) in pairs.items()}, 1 + sum(count for _, count in pairs.values())
    if value.__class__ is list:
        items = [plain(each) for each in value]
        return [each for each, _ in items], 1 + sum(count for _, count in items)
    return (numeric(value) if isinstance(value, Number) else value), 1


def numeric(number: Number) -> Decimal:
    """An exponent beyond all decimals counts as infinite."""
    found = decimal(number)
    return Decimal("-Infinity" if number.literal.startswith("-") else "Infinity") if found is None else found


def rule_for(constraint: table.Constraint, rule_code: str = "invariant", who: str = "") -> Rule | None:
    """``None`` for guidelines, and for what the evaluator cannot judge; ``who`` ends the words of a fault."""
    if constraint.severity == "guideline" or unjudged(constraint):
        return None
    path = f"{constraint.owner}.{constraint.path}" if constraint.path else constraint.owner
    expression = Expression(constraint.expression, path, empty=constraint.severity != "error")
    return judge(constraint, expression, rule_code, who)


def rules_for_primitive(constraint: table.Constraint, name: str) -> Iterator[Rule]:
    """A constraint on an element that is no object, judged from the object it stands in."""
    if constraint.severity == "guideline" or unjudged(constraint):
        return
    parent = f"{constraint.owner}.{constraint.path}".rpartition(".")[0]
    expression = Expression(f"{name}.all({constraint.expression})", parent)
    yield judge(constraint, expression, "invariant", below=f".{name}")


def judge(constraint: table.Constraint, expression: Expression, rule_code: str, who: str = "", below: str = "") -> Rule:
    severity = Severity.ERROR if constraint.severity == "error" else Severity.WARNING
    words = f"{constraint.key}: {constraint.human}{who}"

    def rule(value: Object, path: str, scope: Scope) -> None:
        if not expression.applies(value):
            return
        given, count = plain(value) if scope.findings.effort < MOST_EFFORT else ({}, 0)
        scope.findings.effort += EACH + count
        if count > MOST_NODES or scope.findings.effort > MOST_EFFORT:
            not_judged(path, scope, "This is too large for constraints beyond the shape to be judged.")
            return
        try:
            holds = expression.holds(given, scope.resource)
        except RecursionError:
            raise
        except Exception:  # whatever the evaluator raises on something malformed becomes an issue
            not_judged(path, scope, f"The constraint {constraint.key} could not be judged on this element.")
            return
        if not holds and not is_malformed(path, scope):
            scope.findings.add(rule_code, path + below, words, severity)

    return rule


def is_malformed(path: str, scope: Scope) -> bool:
    """Whether the shape of the element, or of something in it, was found wrong just now: what constraints make of
    that would only repeat it.
    """
    latest = scope.findings.issues[-LOOKED_BACK:]
    return any(issue.rule in SHAPE and issue.expression.startswith(path) for issue in latest)


def not_judged(path: str, scope: Scope, words: str) -> None:
    """Each thing is said once a check."""
    if words not in scope.findings.told and not is_malformed(path, scope):
        scope.findings.told.add(words)
        scope.findings.add("not-judged", path, words, Severity.INFORMATION)
