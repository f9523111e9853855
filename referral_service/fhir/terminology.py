"""``profiles/`` -> the plain tables that coding reads.

Read: the supplement of ICD-10-CM and the finding CodeSystem (https://hl7.org/fhir/R4/codesystem.html), whose
designations are the searched terms, and the ConceptMaps to ICD-10-CM (https://hl7.org/fhir/R4/conceptmap.html).
``narrower`` on a target says that the source code is a header which other evidence narrows; ``inexact``, or more than
one target, that coders disagree.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from referral_service.coding.concepts import FINDING, ICD10, ICD10CM, Kind, Meaning, Vocabulary, key_of
from referral_service.referral import CodePair, Coding

_EXTENSION = "https://referral-service.example/fhir/StructureDefinition/"
_ROLL_UP = "icd-10-cm-to-icd-10"
_NEIGHBOURS = "icd-10-cm-to-finding"
_CODE_SYSTEMS = ("icd-10-cm-g24", "finding")
_UNSPECIFIED = "G24.9"

Resource = Mapping[str, Any]


def profiles_folder() -> Traversable:
    """``referral_service/profiles`` in an installed wheel, else the checkout's ``profiles`` beside the package."""
    package = files("referral_service")
    inside = package.joinpath("profiles")
    return inside if inside.is_dir() else Path(str(package)).parent / "profiles"


@cache
def vocabulary() -> Vocabulary:
    """The tables of the package, read once."""
    return read_vocabulary(profiles_folder())


@cache
def code_versions() -> dict[str, str]:
    """The release of each ICD-10 system that codes are stated in, as the roll-up map names it."""
    group = _load(profiles_folder(), f"ConceptMap-{_ROLL_UP}.json")["group"][0]
    return {group["source"]: group["sourceVersion"], group["target"]: group["targetVersion"]}


def read_vocabulary(folder: Traversable) -> Vocabulary:
    """The tables of one ``profiles`` folder. A missing file or a broken row is a fault of the package."""
    supplement, findings = (_load(folder, f"CodeSystem-{name}.json") for name in _CODE_SYSTEMS)
    maps = {resource["id"]: resource for resource in _concept_maps(folder)}
    found = {concept["code"]: _finding(concept) for concept in findings["concept"]}
    terms: dict[str, list[Meaning]] = {}
    for concept in supplement["concept"]:
        for designation in concept.get("designation", ()):
            terms.setdefault(key_of(designation["value"]), []).append(_dystonia(concept, designation))
    for concept in findings["concept"]:
        for designation in concept.get("designation", ()):
            context = _first(_values(designation, "extension"), "term-context")
            meaning = found[concept["code"]]
            terms.setdefault(key_of(designation["value"]), []).append(
                replace(meaning, context=context) if context else meaning
            )
    named = {term: meanings[0] for term, meanings in terms.items() if meanings[0].kind is Kind.DYSTONIA}
    return Vocabulary(
        terms={term: tuple(meanings) for term, meanings in terms.items()},
        codes=_codes(supplement, maps, found, named),
        neighbours={row["code"]: found[row["target"][0]["code"]] for _, row in _elements(maps[_NEIGHBOURS])},
        findings=found,
        pairs={row["code"]: _pair(row) for _, row in _elements(maps[_ROLL_UP])},
    )


def _load(folder: Traversable, name: str) -> Resource:
    resource: Resource = json.loads(folder.joinpath(name).read_bytes())
    return resource


def _concept_maps(folder: Traversable) -> Iterator[Resource]:
    for name in sorted(file.name for file in folder.iterdir()):
        if name.startswith("ConceptMap-") and "-to-" in name and "icd-10-cm" in name:
            yield _load(folder, name)


def _elements(concept_map: Resource) -> Iterator[tuple[Resource, Resource]]:
    for group in concept_map["group"]:
        for element in group["element"]:
            yield group, element


def _pair(row: Resource) -> CodePair:
    target = row["target"][0]
    return CodePair(Coding(ICD10CM, row["code"], row["display"]), Coding(ICD10, target["code"], target["display"]))


def _values(item: Resource, field: str) -> dict[str, list[Any]]:
    """The ``property`` or ``extension`` values of a concept or designation, by short name."""
    values: dict[str, list[Any]] = {}
    for entry in item.get(field, ()):
        name = str(entry.get("code") or entry["url"]).removeprefix(_EXTENSION)
        values.setdefault(name, []).extend(value for key, value in entry.items() if key.startswith("value"))
    return values


def _first(values: Mapping[str, list[Any]], name: str) -> str:
    return str(values[name][0]) if name in values else ""


def _dystonia(concept: Resource, designation: Resource) -> Meaning:
    said = _values(designation, "extension")
    return Meaning(
        finding=Coding(ICD10CM, concept["code"], concept["display"]),
        kind=Kind.DYSTONIA,
        code=concept["code"],
        generic=concept["code"] == _UNSPECIFIED,
        broad="term-broad" in said,
        contested="term-contested" in said,
        switch=_first(said, "term-switch"),
        alternatives=tuple(said.get("term-alternative", ())),
        context=_first(said, "term-context"),
    )


def _finding(concept: Resource) -> Meaning:
    said = _values(concept, "property")
    return Meaning(
        finding=Coding(FINDING, concept["code"], concept["display"]),
        kind=Kind(_first(said, "kind")),
        with_drug=_first(said, "with-drug"),
        excludes_g24="excludes-g24" in said,
    )


def _codes(
    supplement: Resource, maps: Mapping[str, Resource], found: Mapping[str, Meaning], named: Mapping[str, Meaning]
) -> dict[tuple[str, str], Meaning]:
    """Every known code. What a coded concept's name is contested for, the code is contested for as well."""
    codes: dict[tuple[str, str], Meaning] = {}
    displays = {concept["code"]: concept["display"] for concept in supplement["concept"]}
    for name, concept_map in maps.items():
        if name in (_ROLL_UP, _NEIGHBOURS):
            continue
        for group, row in _elements(concept_map):
            known = named.get(key_of(row.get("display", "")))
            meaning = _mapped(row["target"], found if group["target"] == FINDING else {}, displays)
            if known is not None and known.switch and known.code == meaning.code:
                meaning = known
            codes[group["source"], row["code"]] = meaning
    for code, display in displays.items():
        plain = Meaning(Coding(ICD10CM, code, display), Kind.DYSTONIA, code, generic=code == _UNSPECIFIED)
        codes[ICD10CM, code] = plain
    return codes


def _mapped(targets: list[Resource], found: Mapping[str, Meaning], displays: Mapping[str, str]) -> Meaning:
    code = targets[0]["code"]
    if code in found:
        return found[code]
    equivalences = {target["equivalence"] for target in targets}
    return Meaning(
        finding=Coding(ICD10CM, code, displays[code]),
        kind=Kind.DYSTONIA,
        code=code,
        generic=code == _UNSPECIFIED or "narrower" in equivalences,
        contested=len(targets) > 1 or bool(equivalences & {"narrower", "inexact"}),
        alternatives=tuple(target["code"] for target in targets[1:]),
    )
