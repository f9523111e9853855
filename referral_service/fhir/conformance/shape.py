"""One type, or one backbone element of a type, ready to walk: what may stand in its objects, and what must.

A shape is put together when it is first walked, so that types may hold themselves and only those met cost anything.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from referral_service.fhir.conformance import table
from referral_service.fhir.conformance.fields import EMPTY, NULL, Check, json_kind
from referral_service.fhir.conformance.scope import Object, Scope
from referral_service.fhir.parse import step

Rule = Callable[[Object, str, Scope], None]


@dataclass(frozen=True, slots=True)
class Choice:
    """An element of several types, https://hl7.org/fhir/R4/formats.html#choice; ``names`` are those in JSON."""

    stem: str
    names: frozenset[str]
    required: bool
    types: tuple[str, ...]

    @property
    def words(self) -> str:
        shown = ", ".join(self.types) if len(self.types) <= 12 else "one of FHIR's data types"
        return f'"{self.stem}[x]" may be: {shown}; the type is part of the name in JSON.'


@dataclass(slots=True)
class Parts:
    """``alone`` says that an object with nothing but an id is a fault (ele-1)."""

    fields: dict[str, Check] = field(default_factory=dict)
    required: frozenset[str] = frozenset()
    choices: tuple[Choice, ...] = ()
    rules: tuple[Rule, ...] = ()
    alone: bool = True


class Shape:
    __slots__ = ("_make", "_parts")

    def __init__(self, make: Callable[[], Parts]) -> None:
        self._make = make
        self._parts: Parts | None = None

    @property
    def parts(self) -> Parts:
        if self._parts is None:
            self._parts = self._make()
        return self._parts

    def walk(self, value: Any, path: str, scope: Scope) -> None:
        if value.__class__ is not dict:
            self._explain(value, path, scope)
            return
        parts = self._parts or self.parts
        fields = parts.fields
        for name, item in value.items():
            check = fields.get(name)
            if check is None:
                unknown(name, parts, path, scope)
            else:
                check(item, value, path, scope)
        if len(value) < 2:
            lonely(value, parts, path, scope)
        if not parts.required <= value.keys():
            missing(value, parts, path, scope)
        for choice in parts.choices:
            if choice.required or not choice.names.isdisjoint(value):
                judge_choice(choice, value, path, scope)
        for rule in parts.rules:
            rule(value, path, scope)

    def _explain(self, value: Any, path: str, scope: Scope) -> None:
        if value is None:
            scope.fault("misplaced-null", path, NULL)
            return
        scope.fault("wrong-type", path, f"This must be one JSON object, but is {json_kind(value)}.")
        for index, item in enumerate(value if value.__class__ is list else ()):
            if item.__class__ is dict:
                self.walk(item, f"{path}[{index}]", scope)


def lonely(value: Object, parts: Parts, path: str, scope: Scope) -> None:
    if not value:
        scope.fault("empty-value", path, EMPTY)
    elif parts.alone and "id" in value:
        scope.fault("empty-value", path, "There is an id, but neither a value nor an element (ele-1).")


def missing(value: Object, parts: Parts, path: str, scope: Scope) -> None:
    """A primitive with only an extension, such as data-absent-reason, is there."""
    if not value:
        return
    for name in sorted(parts.required - value.keys(), key=list(parts.fields).index):
        if "_" + name not in value:
            scope.fault("missing-element", f"{path}.{name}", f'"{name}" is required here.')


def judge_choice(choice: Choice, value: Object, path: str, scope: Scope) -> None:
    found = list(dict.fromkeys(name.removeprefix("_") for name in value if name in choice.names))
    if not found and value:
        words = f'"{choice.stem}[x]" is required here. {choice.words}'
        scope.fault("missing-element", f"{path}.{choice.stem}", words)
    for name in found[1:]:
        scope.fault("choice-type", f"{path}.{name}", f'Only one type of "{choice.stem}[x]" may be given.')


def unknown(name: str, parts: Parts, path: str, scope: Scope) -> None:
    place = step(path, name)
    if name == "resourceType":
        scope.fault("unknown-element", place, '"resourceType" stands only in resources; this is a data type.')
        return
    if name.startswith("_") and name[1:] in parts.fields:
        words = f'"{name}" is not possible: only primitive values have their extensions beside them.'
    elif place == path:
        words = "A member has a name that no FHIR element can have."
    else:
        words = f'"{name}" is not an element of R4 here.'
    for choice in parts.choices:
        if is_choice_name(name, choice.stem):
            scope.fault("choice-type", place, choice.words)
            return
    scope.fault("unknown-element", place, words)


def is_choice_name(name: str, stem: str) -> bool:
    if not name.startswith(stem):
        return False
    rest = name[len(stem) :]
    return not rest or rest in ("[x]", "Reference") or any(rest == capital(each) for each in table.data_types())


def capital(name: str) -> str:
    return name[:1].upper() + name[1:]
