"""HL7's R4 definitions as ``generate`` packed them: what every type is made of.

Rows stay as they are in the file and become small objects one type at a time, when that type is first met.
https://hl7.org/fhir/R4/structuredefinition.html
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any


@dataclass(frozen=True, slots=True)
class TypeRef:
    """``narrowed`` holds the target types of a reference or canonical, or the profile of a data type."""

    code: str
    narrowed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Element:
    """``parent`` and ``name`` relative to the type; ``name`` ends in ``[x]`` when the type is a choice.

    ``strength`` is that of the binding to ``value_set``: required, extensible or preferred.
    """

    parent: str
    name: str
    required: bool
    repeats: bool
    forbidden: bool
    types: tuple[TypeRef, ...]
    value_set: str
    strength: str

    @property
    def path(self) -> str:
        return f"{self.parent}.{self.name}" if self.parent else self.name


@dataclass(frozen=True, slots=True)
class Constraint:
    """``owner`` is the type that states it: keys such as ``inv-1`` are used by several types.

    ``severity`` is FHIR's, or ``guideline`` for what the specification calls best practice.
    """

    owner: str
    path: str
    key: str
    severity: str
    expression: str
    human: str


@dataclass(frozen=True, slots=True)
class Definition:
    name: str
    kind: str
    base: str
    abstract: bool
    elements: tuple[Element, ...]
    own_constraints: tuple[Constraint, ...]

    @property
    def is_resource(self) -> bool:
        return self.kind == "resource"

    @property
    def constraints(self) -> tuple[Constraint, ...]:
        """Also those of the types it specialises, the most general first."""
        above = definition(self.base).constraints if self.base else ()
        return above + self.own_constraints


@cache
def _rows() -> dict[str, Any]:
    packed = files(__package__).joinpath("r4.json.gz").read_bytes()
    rows: dict[str, Any] = json.loads(gzip.decompress(packed))
    return rows


@cache
def definition(name: str) -> Definition:
    row = _rows()["types"][name]
    return Definition(
        name=name,
        kind=row["kind"],
        base=row["base"],
        abstract=row["abstract"],
        elements=tuple(_element(*each) for each in row.get("elements", ())),
        own_constraints=tuple(Constraint(name, *each) for each in row.get("constraints", ())),
    )


def _element(path: str, least: int, most: str, types: list[str | list[str]], *binding: str) -> Element:
    parent, _, name = path.rpartition(".")
    value_set, strength = binding or ("", "")
    return Element(
        parent=parent,
        name=name,
        required=least > 0,
        repeats=most == "*",
        forbidden=most == "0",
        types=tuple(_type_ref(each) for each in types),
        value_set=value_set,
        strength=strength,
    )


def _type_ref(entry: str | list[str]) -> TypeRef:
    return TypeRef(entry) if isinstance(entry, str) else TypeRef(entry[0], tuple(entry[1:]))


def children(owner: Definition, parent: str) -> Iterator[Element]:
    return (element for element in owner.elements if element.parent == parent)


@cache
def resource_types() -> frozenset[str]:
    """The types that a resource can be: abstract ones are none."""
    types = _rows()["types"].items()
    return frozenset(name for name, row in types if row["kind"] == "resource" and not row["abstract"])


@cache
def data_types() -> frozenset[str]:
    """The types that an element can have."""
    types = _rows()["types"].items()
    return frozenset(name for name, row in types if row["kind"] != "resource" and not row["abstract"])


def value_set(url: str) -> dict[str, list[str]] | None:
    """Codes by system; ``None`` for a set that cannot be listed, such as languages, media types and units."""
    found: dict[str, list[str]] | None = _rows()["valueSets"].get(url)
    return found
