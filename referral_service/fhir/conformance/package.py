"""The profiles and value sets of ``profiles/`` as the judge needs them: trees of what each element is narrowed to.

Read are the differentials (https://hl7.org/fhir/R4/profiling.html#snapshot): what they leave open, the base definition
says, and that was judged already. An id such as ``Task.identifier:filler.system`` is the way to a node.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from importlib.resources.abc import Traversable
from typing import Any

from referral_service.fhir.conformance import table
from referral_service.fhir.conformance.scope import Object
from referral_service.fhir.conformance.table import Constraint
from referral_service.fhir.parse import parse
from referral_service.fhir.terminology import profiles_folder

BASE = "http://hl7.org/fhir/StructureDefinition/"
ABSENT: Any = object()
"""Stands for no fixed value and no pattern, since every JSON value could be one."""


@dataclass(slots=True)
class Node:
    """One element of a profile, or one slice of it. ``most`` is None for no limit of its own.

    ``keys`` are the discriminator paths by which values are told to belong to one of ``slices``.
    """

    name: str
    least: int = 0
    most: int | None = None
    fixed: Any = ABSENT
    pattern: Any = ABSENT
    types: tuple[str, ...] = ()
    targets: frozenset[str] = frozenset()
    extension: str = ""
    value_set: str = ""
    strength: str = ""
    must_support: bool = False
    constraints: tuple[Constraint, ...] = ()
    keys: tuple[str, ...] = ()
    closed: bool = False
    children: dict[str, Node] = field(default_factory=dict)
    slices: dict[str, Node] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Profile:
    """``name`` is its id, shown in messages; ``type`` the resource or data type that it narrows."""

    url: str
    version: str
    name: str
    type: str
    root: Node


def read_profile(definition: Object) -> Profile:
    root = Node(definition["type"])
    for element in definition["differential"]["element"]:
        node = node_at(root, element["id"].split(".")[1:])
        fill(node, element, definition["type"])
    return Profile(definition["url"], definition["version"], definition["id"], definition["type"], root)


def node_at(root: Node, steps: list[str]) -> Node:
    """The node that an id leads to, with those on the way made where the differential names none."""
    node = root
    for step in steps:
        name, _, piece = step.partition(":")
        node = node.children.setdefault(name, Node(name))
        if piece:
            node = node.slices.setdefault(piece, Node(name))
    return node


def fill(node: Node, element: Object, root: str) -> None:
    node.least = element.get("min", 0)
    node.most = int(element["max"]) if element.get("max", "*") != "*" else None
    node.fixed, node.pattern = valued(element, "fixed"), valued(element, "pattern")
    types = element.get("type", [])
    node.types = tuple(each["code"] for each in types)
    node.targets = frozenset(base_type(url) for each in types for url in each.get("targetProfile", ()))
    node.extension = next((url for each in types if each["code"] == "Extension" for url in each.get("profile", ())), "")
    binding = element.get("binding", {})
    node.value_set, node.strength = binding.get("valueSet", ""), binding.get("strength", "")
    node.must_support = element.get("mustSupport", False)
    node.constraints = tuple(constraints(element, root))
    slicing = element.get("slicing", {})
    node.keys = tuple(each["path"] for each in slicing.get("discriminator", ()))
    node.closed = slicing.get("rules") == "closed"


def valued(element: Object, stem: str) -> Any:
    """The value of a choice such as ``fixed[x]``."""
    size = len(stem)
    return next((each for name, each in element.items() if name.startswith(stem) and name[size:][:1].isupper()), ABSENT)


def base_type(url: str) -> str:
    """The type that a profile of R4's, or one of ours, is about."""
    if url.startswith(BASE):
        return url.removeprefix(BASE)
    return str(definitions()[url]["type"])


def constraints(element: Object, root: str) -> Iterator[Constraint]:
    path = element["path"].partition(".")[2]
    for each in element.get("constraint", ()):
        yield Constraint(root, path, each["key"], each["severity"], each["expression"], each["human"])


def resources(folder: Traversable, kind: str) -> Iterator[Object]:
    for file in sorted(folder.iterdir(), key=lambda each: each.name):
        if file.name.startswith(f"{kind}-") and file.name.endswith(".json"):
            resource: Any = parse(file.read_bytes()).value
            yield resource


@cache
def definitions() -> dict[str, Object]:
    return {each["url"]: each for each in resources(profiles_folder(), "StructureDefinition")}


@cache
def profile(url: str) -> Profile | None:
    """By canonical, also with a version behind ``|`` when that is the one at hand; extensions are profiles as well."""
    bare, _, version = url.partition("|")
    definition = definitions().get(bare)
    if definition is None or version not in ("", definition["version"]):
        return None
    return read_profile(definition)


@cache
def own_value_sets() -> dict[str, Object]:
    return {each["url"]: each for each in resources(profiles_folder(), "ValueSet")}


@cache
def own_codes() -> dict[str, list[str]]:
    """The codes of our own complete CodeSystems, by system."""
    systems = resources(profiles_folder(), "CodeSystem")
    return {each["url"]: [row["code"] for row in each["concept"]] for each in systems if each["content"] == "complete"}


@cache
def value_set(url: str) -> dict[str, frozenset[str]] | None:
    """Codes by system, of a value set of ours or of R4's; ``None`` when it is not at hand."""
    bare = url.partition("|")[0]
    if bare not in own_value_sets():
        listed = table.value_set(bare)
        return None if listed is None else {system: frozenset(codes) for system, codes in listed.items()}
    found: dict[str, frozenset[str]] = {}
    for include in own_value_sets()[bare]["compose"]["include"]:
        listed_here = [concept["code"] for concept in include.get("concept", ())]
        codes = listed_here or own_codes()[include["system"]]
        found[include["system"]] = found.get(include["system"], frozenset()) | frozenset(codes)
    return found
