"""From the table's rows to shapes, and from a resource's ``resourceType`` to the shape that judges it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any

from referral_service.fhir.conformance import (
    advice,
    bindings,
    bundle_rules,
    claims,
    contained,
    fhirpath,
    fields,
    invariants,
    narrative,
    references,
    table,
)
from referral_service.fhir.conformance.fields import Check, Walk
from referral_service.fhir.conformance.primitives import LOCAL_TARGETS, PRIMITIVES, Primitive
from referral_service.fhir.conformance.scope import Findings, Object, Scope
from referral_service.fhir.conformance.shape import Choice, Parts, Rule, Shape, capital
from referral_service.fhir.conformance.table import Definition, Element, TypeRef

BACKBONES = frozenset({"BackboneElement", "Element"})
BARE = frozenset({"xhtml"})


@cache
def shape_for(type_name: str, parent: str = "") -> Shape:
    """The shape of a type, or of the backbone element at ``parent`` inside it."""
    return Shape(lambda: parts_of(table.definition(type_name), parent))


def parts_of(owner: Definition, parent: str) -> Parts:
    elements = list(table.children(owner, parent))
    choices = tuple(choice_of(element) for element in elements if element.name.endswith("[x]"))
    found: dict[str, Check] = {"resourceType": fields.known} if owner.is_resource and not parent else {}
    for element in elements:
        for name, ref in names_of(element):
            found |= fields_of(owner, element, name, ref)
    plain = (element for element in elements if not element.name.endswith("[x]"))
    return Parts(
        fields=found,
        required=frozenset(element.name for element in plain if element.required),
        choices=choices,
        rules=tuple(rules_of(owner, parent)),
        alone=owner.name != "Element" and not (owner.is_resource and not parent),
    )


def names_of(element: Element) -> Iterator[tuple[str, TypeRef]]:
    """The names in JSON, each with its type: ``value[x]`` is ``valueString``, ``valueCode`` and so on."""
    stem = element.name.removesuffix("[x]")
    for ref in element.types:
        yield (stem + capital(ref.code) if stem != element.name else stem), ref


def choice_of(element: Element) -> Choice:
    names = [name for name, _ in names_of(element)]
    return Choice(
        stem=element.name.removesuffix("[x]"),
        names=frozenset(names + ["_" + name for name in names]),
        required=element.required,
        types=tuple(ref.code for ref in element.types),
    )


def rules_of(owner: Definition, parent: str) -> Iterator[Rule]:
    if owner.name == "Bundle" and not parent:
        yield bundle_rules.judge
    for constraint in owner.constraints:
        rule = constraint_rule(constraint) if constraint.path == parent else None
        if rule is not None:
            yield rule
    for element in table.children(owner, parent):
        yield from primitive_rules(owner, element)


def constraint_rule(constraint: table.Constraint) -> Rule | None:
    """As a closure where there is one, else as FHIRPath."""
    if (constraint.owner, constraint.key) in invariants.ELSEWHERE:
        return None
    return invariants.rule_for(constraint) or fhirpath.rule_for(constraint)


def primitive_rules(owner: Definition, element: Element) -> Iterator[Rule]:
    """Constraints and advice on what is not an object: judged from the object that it stands in."""
    codes = [ref.code for ref in element.types]
    if codes == ["code"] and element.strength in advice.SEVERITIES and table.value_set(element.value_set):
        yield advice.CodeAdvice(element.name, element.value_set, element.strength)
    if len(codes) == 1 and codes[0] in PRIMITIVES:
        for constraint in owner.own_constraints:
            if constraint.path == element.path and (owner.name, constraint.key) not in invariants.ELSEWHERE:
                yield from fhirpath.rules_for_primitive(constraint, element.name)


def fields_of(owner: Definition, element: Element, name: str, ref: TypeRef) -> dict[str, Check]:
    if element.forbidden:
        return {name: fields.forbidden(name), "_" + name: fields.forbidden(name)}
    if ref.code == "Resource":
        return {name: contained_resources if name == "contained" else nested_resource(name)}
    if owner.is_resource and element.path == "id":
        return primitive_fields(element, name, PRIMITIVES["@id"])
    if ref.code in PRIMITIVES:
        return primitive_fields(element, name, PRIMITIVES[ref.code])
    walk = walk_of(owner, element, ref)
    return {name: fields.several(name, walk) if element.repeats else fields.single(name, walk)}


def primitive_fields(element: Element, name: str, primitive: Primitive) -> dict[str, Check]:
    accepts, explain = primitive.accepts, fields.explain_primitive(primitive)
    bound = element.strength == "required" and primitive.name == "code"
    allowed = bindings.codes_of(element.value_set) if bound else None
    if allowed is not None:
        accepts, explain = allowed.__contains__, bindings.explain_code(element.value_set)
    if primitive.name == "xhtml":
        accepts, explain = narrative.is_sound, narrative.explainer(explain)
    local = primitive.name in LOCAL_TARGETS
    of_class = str if primitive.json == "string" else None
    check: Check
    if element.repeats:
        check = fields.values(name, fields.item(accepts, explain, of_class, local))
    elif of_class is None:
        check = fields.plain(name, accepts, explain)
    else:
        check = (fields.local_text if local else fields.text)(name, accepts, explain)
    if primitive.name in BARE or primitive.name.startswith("@"):
        return {name: check}
    beside = fields.siblings if element.repeats else fields.sibling
    return {name: check, "_" + name: beside(name, shape_for("Element").walk)}


def walk_of(owner: Definition, element: Element, ref: TypeRef) -> Walk:
    if ref.code.startswith("#"):
        name, _, parent = ref.code[1:].partition(".")
        return shape_for(name, parent).walk
    if ref.code in BACKBONES and any(table.children(owner, element.path)):
        return shape_for(owner.name, element.path).walk
    extra = [*extra_rules(owner, element, ref)]
    base = shape_for(ref.narrowed[0] if ref.narrowed and ref.code != "Reference" else ref.code)
    return narrowed(base, tuple(extra)).walk if extra else base.walk


def extra_rules(owner: Definition, element: Element, ref: TypeRef) -> Iterator[Rule]:
    """What holds for a data type only where it stands."""
    if ref.code == "Reference":
        yield references.rule_for(ref.narrowed)
    if ref.code == "CodeableConcept" and element.strength == "required" and table.value_set(element.value_set):
        yield bindings.ConceptBinding(element.value_set)
    if ref.code in advice.CODED and element.strength in advice.SEVERITIES and table.value_set(element.value_set):
        yield advice.Advice(element.value_set, element.strength)
    for constraint in owner.own_constraints:
        rule = constraint_rule(constraint) if constraint.path == element.path else None
        if rule is not None:
            yield rule


def narrowed(base: Shape, extra: tuple[Rule, ...]) -> Shape:
    def make() -> Parts:
        parts = base.parts
        return Parts(parts.fields, parts.required, parts.choices, parts.rules + extra, parts.alone)

    return Shape(make)


def resource_shape(value: Any, path: str, findings: Findings) -> Shape | None:
    """Abstract types are no resources, https://hl7.org/fhir/R4/json.html#resources."""
    if value.__class__ is not dict:
        rule = "misplaced-null" if value is None else "wrong-type"
        findings.add(rule, path, f"A resource must be one JSON object, but is {fields.json_kind(value)}.")
        return None
    name = value.get("resourceType")
    if name.__class__ is str and name in table.resource_types():
        return shape_for(name)
    what = "does not name a resource type of R4" if "resourceType" in value else "is missing"
    findings.add("unknown-resource-type", path, f'"resourceType" {what}, so the resource cannot be read.')
    return None


def walk_resource(value: Any, path: str, findings: Findings, urns: dict[str, str], asked: Iterable[str] = ()) -> None:
    """A resource that holds its own contained ones: the body itself, or an entry or parameter of it."""
    shape = resource_shape(value, path, findings)
    if shape is None:
        return
    scope = Scope(findings, value, value["resourceType"], urns)
    shape.walk(value, path, scope)
    if scope.contained:
        contained.unreferenced(value, path, scope)
    if "meta" in value:
        claims.judge_claimed(value, path, scope)
    if asked:
        claims.judge_asked(asked, value, path, scope)


def nested_resource(name: str) -> Check:
    def check(value: Any, owner: Object, path: str, scope: Scope) -> None:  # noqa: ARG001
        walk_resource(value, f"{path}.{name}", scope.findings, scope.urns)

    return check


def contained_resources(value: Any, owner: Object, path: str, scope: Scope) -> None:  # noqa: ARG001
    if scope.inside:
        contained.nested(path, scope)
        return
    seen: set[str] = set()
    here = f"{path}.contained"
    for index, item in fields.enumerated(value, here, scope):
        place = f"{here}[{index}]"
        if item.__class__ is dict:
            contained.judge(item, place, scope, seen)
        shape = resource_shape(item, place, scope.findings)
        if shape is not None:
            walk_contained(item, shape, place, scope)


def walk_contained(value: Object, shape: Shape, place: str, scope: Scope) -> None:
    container = scope.resource
    scope.inside, scope.resource = place, value
    shape.walk(value, place, scope)
    if "meta" in value:
        claims.judge_claimed(value, place, scope)
    scope.inside, scope.resource = "", container
