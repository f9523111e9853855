"""The package in ``profiles/`` as it can be asked for: its definitions by id and by canonical, and its translations."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

from referral_service.fhir.bundle import Resource
from referral_service.fhir.parse import parse
from referral_service.fhir.terminology import profiles_folder

KINDS = (
    "CodeSystem",
    "ConceptMap",
    "ImplementationGuide",
    "MessageDefinition",
    "OperationDefinition",
    "SearchParameter",
    "StructureDefinition",
    "ValueSet",
)


@cache
def definitions() -> dict[str, dict[str, Resource]]:
    """Every definition by type and id."""
    found: dict[str, dict[str, Resource]] = {kind: {} for kind in KINDS}
    for file in sorted(profiles_folder().iterdir(), key=lambda each: each.name):
        kind = file.name.partition("-")[0]
        if kind in found and file.name.endswith(".json"):
            resource: Any = parse(file.read_bytes()).value
            found[kind][resource["id"]] = resource
    return found


def by_url(kind: str, url: str) -> list[Resource]:
    """The definitions of a type with a canonical, its version behind ``|`` when one is asked for."""
    bare, _, version = url.partition("|")
    return [one for one in definitions()[kind].values() if one["url"] == bare and version in ("", one["version"])]


def translate(system: str, code: str, *, target: str | None = None, url: str | None = None) -> list[Resource]:
    """The matches of a code in our ConceptMaps, as ``match`` parts of https://hl7.org/fhir/R4/conceptmap-operation-translate.html."""
    maps = by_url("ConceptMap", url) if url else list(definitions()["ConceptMap"].values())
    return [
        {
            "name": "match",
            "part": [
                {"name": "equivalence", "valueCode": match["equivalence"]},
                *([{"name": "concept", "valueCoding": _concept(group, match)}] if "code" in match else []),
                {"name": "source", "valueUri": concept_map["url"]},
            ],
        }
        for concept_map in maps
        for group, match in _matches(concept_map, system, code)
        if target in (None, group.get("target"))
    ]


def _matches(concept_map: Resource, system: str, code: str) -> Iterator[tuple[Resource, Resource]]:
    for group in concept_map["group"]:
        if group.get("source") == system:
            for element in group["element"]:
                if element["code"] == code:
                    yield from ((group, match) for match in element["target"])


def _concept(group: Resource, match: Resource) -> Resource:
    return {"system": group["target"], **{name: match[name] for name in ("code", "display") if name in match}}
