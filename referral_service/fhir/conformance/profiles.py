"""Whether a resource keeps a profile, https://hl7.org/fhir/R4/profiling.html.

Judged is what the profiles of the package use: cardinality, fixed values and patterns, types, reference targets,
bindings, slices told apart by a value or pattern, extensions, and constraints. ``mustSupport`` asks nothing of a
sender: it says what this service reads. A value whose shape R4 itself refuses is left alone here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

from referral_service.fhir.conformance import advice, fhirpath, references
from referral_service.fhir.conformance.matching import equals, matches, reach
from referral_service.fhir.conformance.package import ABSENT, Node, Profile, profile, value_set
from referral_service.fhir.conformance.scope import Object, Scope
from referral_service.fhir.conformance.shape import capital

Judge = Callable[[Any, str, Scope], None]
Item = tuple[Any, str]
"""A value with its path; ``None`` for a primitive that has only extensions."""


class Fault:
    """How a profile speaks: every fault names it, for the sender may claim several."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, scope: Scope, code: str, path: str, words: str) -> None:
        scope.findings.add("profile", path, f"{words} (Profile {self.name}.)", code=code)


@cache
def judge_for(url: str) -> Judge:
    """``url`` is a profile at hand."""
    found = profile(url)
    assert found is not None
    return element_judge(found, found.root, Fault(found.name))


def element_judge(owner: Profile, node: Node, fault: Fault) -> Judge:
    """Of one value of an element, with all that is below it."""
    own = [*value_judges(node, fault), *constraint_judges(node, fault)]
    below = [child_judge(owner, child, fault) for child in node.children.values() if asks(child)]

    def judge(value: Any, path: str, scope: Scope) -> None:
        for each in own:
            each(value, path, scope)
        if value.__class__ is dict:
            for each in below:
                each(value, path, scope)

    return judge


def asks(node: Node, keys: tuple[str, ...] = ()) -> bool:
    """Whether anything can fail, here or below; what ``mustSupport`` alone marks need not be looked at. ``keys`` are
    the discriminators, which hold for every member of a slice.
    """
    here = (node.least, node.most is not None, node.targets, node.value_set, node.constraints, node.closed)
    stated = node.fixed is not ABSENT or node.pattern is not ABSENT
    narrowed = node.extension or (node.types and node.name.endswith("[x]"))
    if any(here) or narrowed or (stated and "$this" not in keys):
        return True
    within = [child for name, child in node.children.items() if name not in keys]
    return any(asks(child) for child in within) or any(asks(each, node.keys) for each in node.slices.values())


def value_judges(node: Node, fault: Fault) -> Iterator[Judge]:
    if node.fixed is not ABSENT:
        yield value_judge(lambda value: equals(value, node.fixed), "This must be the one value that is fixed.", fault)
    if node.pattern is not ABSENT:
        yield value_judge(lambda value: matches(value, node.pattern), "This does not match the pattern.", fault)
    if node.targets:
        yield target_judge(node.targets, fault)
    if node.value_set:
        yield binding_judge(node, fault)


def value_judge(holds: Callable[[Any], bool], words: str, fault: Fault) -> Judge:
    def judge(value: Any, path: str, scope: Scope) -> None:
        if value is not None and not holds(value):
            fault(scope, "value", path, words)

    return judge


def target_judge(targets: frozenset[str], fault: Fault) -> Judge:
    words = f"The reference must point at {' or '.join(sorted(targets))}."

    def judge(value: Any, path: str, scope: Scope) -> None:
        kind = references.type_of_target(value, scope) if value.__class__ is dict else None
        if kind is not None and kind not in targets:
            fault(scope, "value", path, words)

    return judge


def binding_judge(node: Node, fault: Fault) -> Judge:
    """Of a CodeableConcept or Coding. Extensible and preferred sets advise, as they do in R4's own definitions."""
    systems = value_set(node.value_set) or {}
    advised = advice.SEVERITIES.get(node.strength)
    words = f"No code of the value set {node.value_set} is given; the binding is {node.strength}."

    def judge(value: Any, path: str, scope: Scope) -> None:
        codings = coded(value)
        if value.__class__ is not dict or any(code in systems.get(system, ()) for system, code in codings):
            return
        if advised is None:
            fault(scope, "code-invalid", path, words)
        elif any(system in systems for system, _ in codings):
            scope.findings.add("code-not-in-value-set", path, words, advised)

    return judge


def coded(value: Any) -> list[tuple[str, str]]:
    """System and code of each coding."""
    given = value.get("coding", [value]) if value.__class__ is dict else []
    codings = [each for each in given if each.__class__ is dict] if given.__class__ is list else []
    pairs = ((each.get("system"), each.get("code")) for each in codings)
    return [(system, code) for system, code in pairs if system.__class__ is str and code.__class__ is str]


def constraint_judges(node: Node, fault: Fault) -> Iterator[Judge]:
    for constraint in node.constraints:
        rule = fhirpath.rule_for(constraint, "profile", f" (Profile {fault.name}.)")
        assert rule is not None, constraint.key
        yield object_judge(rule)


def object_judge(rule: fhirpath.Rule) -> Judge:
    def judge(value: Any, path: str, scope: Scope) -> None:
        if value.__class__ is dict:
            rule(value, path, scope)

    return judge


def child_judge(owner: Profile, node: Node, fault: Fault) -> Judge:
    """Of the object that the element stands in."""
    judge_one = element_judge(owner, node, fault)
    asked = {name: piece for name, piece in node.slices.items() if asks(piece, node.keys)}
    slices = [slice_judge(owner, node, name, piece, fault) for name, piece in asked.items()]
    tests = [membership(node, piece) for piece in node.slices.values()]

    def judge(value: Object, path: str, scope: Scope) -> None:
        items = list(occurrences(value, node, path, scope, fault))
        count(items, node, f"{path}.{node.name.removesuffix('[x]')}", f'"{node.name}"', scope, fault)
        for item, place in items:
            judge_one(item, place, scope)
            if node.closed and not any(belongs(item) for belongs in tests):
                fault(scope, "structure", place, "This belongs to none of the slices, and the slicing is closed.")
        for each in slices:
            each(items, path, scope)

    return judge


def slice_judge(
    owner: Profile, parent: Node, name: str, node: Node, fault: Fault
) -> Callable[[list[Item], str, Scope], None]:
    belongs = membership(parent, node)
    judge_one = judge_for(node.extension) if node.extension else element_judge(owner, node, fault)

    def judge(items: list[Item], path: str, scope: Scope) -> None:
        members = [(item, place) for item, place in items if belongs(item)]
        count(members, node, f"{path}.{node.name}", f'"{node.name}" ({name})', scope, fault)
        for item, place in members:
            judge_one(item, place, scope)

    return judge


def membership(parent: Node, node: Node) -> Callable[[Any], bool]:
    """By the values and patterns at the discriminators, https://hl7.org/fhir/R4/profiling.html#discriminator."""
    if node.extension:
        return lambda item: item.__class__ is dict and item.get("url") == node.extension
    tests = [(key.split("."), node_below(node, key)) for key in parent.keys]
    return lambda item: all(any(fits(each, wanted) for each in reach(item, steps)) for steps, wanted in tests)


def node_below(node: Node, key: str) -> Node:
    for step in [] if key == "$this" else key.split("."):
        if node.pattern is not ABSENT:
            break
        node = node.children[step]
    return node


def fits(value: Any, node: Node) -> bool:
    return equals(value, node.fixed) if node.fixed is not ABSENT else matches(value, node.pattern)


def count(items: list[Item], node: Node, path: str, shown: str, scope: Scope, fault: Fault) -> None:
    if len(items) < node.least:
        fault(scope, "required", path, f"{shown} must be given{f' {node.least} times' if node.least > 1 else ''}.")
    if node.most is not None and len(items) > node.most:
        limit = f"at most {node.most} times" if node.most else "not at all"
        fault(scope, "structure", path, f"{shown} may be given {limit}.")


def occurrences(value: Object, node: Node, path: str, scope: Scope, fault: Fault) -> Iterator[Item]:
    """The values of an element as R4 reads them: one or many, plain or with extensions beside, of the type chosen."""
    for name in names_given(value, node):
        if node.name.endswith("[x]") and node.types and name not in chosen(node):
            fault(scope, "structure", f"{path}.{name}", f'"{node.name}" may only be {" or ".join(node.types)}.')
        given, beside = value.get(name), value.get("_" + name)
        if given.__class__ is list or beside.__class__ is list:
            values = given if given.__class__ is list else []
            longest = max(len(values), len(beside) if beside.__class__ is list else 0)
            for index in range(longest):
                yield (values[index] if index < len(values) else None), f"{path}.{name}[{index}]"
        else:
            yield given, f"{path}.{name}"


def names_given(value: Object, node: Node) -> list[str]:
    if not node.name.endswith("[x]"):
        return [node.name] if node.name in value or "_" + node.name in value else []
    stem = node.name.removesuffix("[x]")
    bare = (name.removeprefix("_") for name in value)
    return list(dict.fromkeys(name for name in bare if name.startswith(stem) and name[len(stem) :][:1].isupper()))


def chosen(node: Node) -> set[str]:
    stem = node.name.removesuffix("[x]")
    return {stem + capital(code) for code in node.types}
