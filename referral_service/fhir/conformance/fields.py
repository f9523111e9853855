"""One closure for each element of a type: a single look when the value is right, words when it is not.

JSON's rules for FHIR: no coercion, nothing empty, ``null`` only to pad a list of primitives whose extensions stand
in the list beside it (https://hl7.org/fhir/R4/json.html#primitive).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from referral_service.fhir.conformance.primitives import Primitive
from referral_service.fhir.conformance.scope import Object, Scope
from referral_service.fhir.parse import Number

Check = Callable[[Any, Object, str, Scope], None]
"""Of the value, the object it stands in, the path of that object, and the scope."""

Walk = Callable[[Any, str, Scope], None]
"""Of an object, its own path, and the scope."""

Explain = Callable[[Any, str, Scope], None]
"""Says what is wrong with a value that was not accepted."""

EMPTY = "A value must not be empty; leave the element out instead."
NULL = "null stands only in a list of values, where the list beside it (_name) holds an extension."


def json_kind(value: Any) -> str:
    if value is None:
        return "null"
    kinds = {dict: "an object", list: "an array", str: "a string", bool: "true or false"}
    return kinds.get(value.__class__, "a number")


def explain_primitive(primitive: Primitive) -> Explain:
    def explain(value: Any, path: str, scope: Scope) -> None:
        if value is None:
            scope.fault("misplaced-null", path, NULL)
        elif not _fits(value, primitive.json):
            article = {"string": "a string", "number": "a number", "boolean": "true or false"}[primitive.json]
            words = f"This must be {article} in JSON ({primitive.name.lstrip('@')}), but is {json_kind(value)}."
            scope.fault("wrong-type", path, words)
        elif value == "":
            scope.fault("empty-value", path, EMPTY)
        else:
            scope.fault("invalid-value", path, f"This must be {primitive.words}.")

    return explain


def _fits(value: Any, kind: str) -> bool:
    if kind == "number":
        return value.__class__ is int or isinstance(value, Number)
    return value.__class__ is (str if kind == "string" else bool)


def text(name: str, accepts: Callable[[str], object], explain: Explain) -> Check:
    def check(value: Any, owner: Object, path: str, scope: Scope) -> None:  # noqa: ARG001
        if value.__class__ is not str or not accepts(value):
            explain(value, f"{path}.{name}", scope)

    return check


def local_text(name: str, accepts: Callable[[str], object], explain: Explain) -> Check:
    """As ``text``, noting the references to contained resources that canonicals and URIs can be."""

    def check(value: Any, owner: Object, path: str, scope: Scope) -> None:  # noqa: ARG001
        if value.__class__ is not str or not accepts(value):
            explain(value, f"{path}.{name}", scope)
        elif value[0] == "#":
            note_local(value, scope)

    return check


def note_local(value: str, scope: Scope) -> None:
    if value == "#":
        scope.homeward.add(scope.inside)
    else:
        scope.fragments.add(value[1:])


def plain(name: str, accepts: Callable[[Any], object], explain: Explain) -> Check:
    def check(value: Any, owner: Object, path: str, scope: Scope) -> None:  # noqa: ARG001
        if not accepts(value):
            explain(value, f"{path}.{name}", scope)

    return check


def item(accepts: Callable[[Any], object], explain: Explain, of_class: type | None, local: bool) -> Walk:
    """One value of a repeating primitive; ``of_class`` is what ``accepts`` may be given."""

    def judge(value: Any, path: str, scope: Scope) -> None:
        if (of_class is not None and value.__class__ is not of_class) or not accepts(value):
            explain(value, path, scope)
        elif local and value[0] == "#":
            note_local(value, scope)

    return judge


def values(name: str, judge: Walk) -> Check:
    sibling = "_" + name

    def check(value: Any, owner: Object, path: str, scope: Scope) -> None:
        here = f"{path}.{name}"
        for index, each in enumerated(value, here, scope):
            if each is not None or not padded(owner.get(sibling), index):
                judge(each, f"{here}[{index}]", scope)

    return check


def enumerated(value: Any, path: str, scope: Scope) -> Iterator[tuple[int, Any]]:
    if value.__class__ is not list:
        kind = json_kind(value)
        rule = "misplaced-null" if value is None else "wrong-type"
        scope.fault(rule, path, NULL if value is None else f"This repeats, so it must be a JSON array, but is {kind}.")
    elif not value:
        scope.fault("empty-value", path, EMPTY)
    else:
        yield from enumerate(value)


def padded(beside: Any, index: int) -> bool:
    return beside.__class__ is list and index < len(beside) and beside[index].__class__ is dict


def single(name: str, walk: Walk) -> Check:
    def check(value: Any, owner: Object, path: str, scope: Scope) -> None:  # noqa: ARG001
        walk(value, f"{path}.{name}", scope)

    return check


def several(name: str, walk: Walk) -> Check:
    def check(value: Any, owner: Object, path: str, scope: Scope) -> None:  # noqa: ARG001
        here = f"{path}.{name}"
        if value.__class__ is dict:
            scope.fault("wrong-type", here, "This repeats, so it must be a JSON array, but is an object.")
            walk(value, here, scope)
            return
        for index, item in enumerated(value, here, scope):
            walk(item, f"{here}[{index}]", scope)

    return check


def sibling(name: str, walk: Walk) -> Check:
    """``_name``: the id and extensions of a primitive that does not repeat."""

    def check(value: Any, owner: Object, path: str, scope: Scope) -> None:
        here = f"{path}.{name}"
        walk(value, here, scope)
        if value.__class__ is dict and name not in owner:
            needs_extension(value, here, scope)

    return check


def needs_extension(value: Object, path: str, scope: Scope) -> None:
    if value and "extension" not in value:
        scope.fault("empty-value", path, "There is neither a value nor an extension (ele-1).")


def siblings(name: str, walk: Walk) -> Check:
    """``_name`` of a repeating primitive: as long as the list of values, ``null`` where nothing is to be said."""

    def check(value: Any, owner: Object, path: str, scope: Scope) -> None:
        here = f"{path}.{name}"
        beside = owner.get(name)
        for index, item in enumerated(value, here, scope):
            place = f"{here}[{index}]"
            bare = beside.__class__ is not list or index >= len(beside) or beside[index] is None
            if item is not None:
                walk(item, place, scope)
                if bare and item.__class__ is dict:
                    needs_extension(item, place, scope)
            elif bare:
                scope.fault("misplaced-null", place, NULL)
        if beside.__class__ is list and value.__class__ is list and value and len(beside) != len(value):
            words = f'"{name}" and "_{name}" must have the same length, filled up with null.'
            scope.fault("misplaced-null", here, words)

    return check


def forbidden(name: str) -> Check:
    def check(value: Any, owner: Object, path: str, scope: Scope) -> None:  # noqa: ARG001
        scope.fault("too-many-values", f"{path}.{name}", f'"{name}" is not allowed here.')

    return check


def known(value: Any, owner: Object, path: str, scope: Scope) -> None:
    """For ``resourceType``, which is judged before the resource is walked."""
