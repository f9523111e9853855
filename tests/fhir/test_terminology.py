"""The tables read from ``profiles/``: complete, consistent with the policy, and matched on system and code together."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import pytest

from referral_service.coding.codes import read_code, system_of
from referral_service.coding.concepts import ICD10CM, Kind
from referral_service.fhir.conformance import check
from referral_service.fhir.terminology import profiles_folder, read_vocabulary, vocabulary
from referral_service.policy import load_policy
from referral_service.referral import Assertion, Coding

BILLABLE = ["G24.01", "G24.02", "G24.09", "G24.1", "G24.2", "G24.3", "G24.4", "G24.5", "G24.8", "G24.9"]
GM = "http://fhir.de/CodeSystem/bfarm/icd-10-gm"


def resources() -> Iterator[dict[str, Any]]:
    names = ["CodeSystem-icd-10-cm-g24.json", "CodeSystem-finding.json"]
    names += [f.name for f in profiles_folder().iterdir() if f.name.startswith("ConceptMap-") and "icd-10-cm" in f.name]
    return (json.loads(profiles_folder().joinpath(name).read_bytes()) for name in names)


def test_every_billable_code_has_its_pair_and_no_header_has() -> None:
    pairs = vocabulary().pairs
    assert [code for code in pairs if code.startswith("G24")] == BILLABLE
    assert {code: pairs[code].who.code for code in BILLABLE} == {code: code[:5] for code in BILLABLE}


PROFILES = sorted(file.name for file in profiles_folder().iterdir() if "-" in file.name)


@pytest.mark.parametrize("name", PROFILES)
def test_every_resource_of_the_package_is_valid_r4(name: str) -> None:
    resource = json.loads(profiles_folder().joinpath(name).read_bytes())
    assert check(resource) == []
    kind = resource["resourceType"]
    model = getattr(import_module(f"fhir.resources.R4B.{kind.lower()}"), kind)
    assert model.model_validate(resource).id == resource["id"]
    assert name == f"{kind}-{resource['id']}.json"


def test_every_extension_on_a_term_is_defined_with_its_type() -> None:
    """The value that a designation carries is of the one type that the StructureDefinition allows."""
    used = {
        (extension["url"], next(key for key in extension if key.startswith("value")))
        for resource in resources()
        for concept in resource.get("concept", ())
        for designation in concept.get("designation", ())
        for extension in designation.get("extension", ())
    }
    assert used == {_defined(name) for name in PROFILES if name.startswith("StructureDefinition-term-")}


def _defined(name: str) -> tuple[str, str]:
    definition = json.loads(profiles_folder().joinpath(name).read_bytes())
    elements = {element["path"]: element for element in definition["differential"]["element"]}
    kind = elements["Extension.value[x]"]["type"][0]["code"]
    assert elements["Extension.url"]["fixedUri"] == definition["url"]
    return definition["url"], f"value{kind.capitalize()}"


def test_every_switch_of_a_term_stands_in_the_policy_and_the_other_way_round() -> None:
    used = {meaning.switch for meanings in vocabulary().terms.values() for meaning in meanings} - {""}
    assert used == set(load_policy().contestable)


def test_every_alternative_can_be_shown_with_its_title() -> None:
    meanings = [m for several in vocabulary().terms.values() for m in several] + list(vocabulary().codes.values())
    assert {code for meaning in meanings for code in meaning.alternatives} <= set(vocabulary().pairs)


@pytest.mark.parametrize(
    ("sent", "canonical"),
    [
        ("http://hl7.org/fhir/sid/icd-10-cm/", ICD10CM),
        ("https://hl7.org/fhir/sid/icd-10-cm", ICD10CM),
        ("urn:oid:2.16.840.1.113883.6.90", ICD10CM),
        ("urn:oid:2.16.840.1.113883.6.96", "http://snomed.info/sct"),
        ("http://snomed.info/sct/83821000000107/version/20240410", "http://snomed.info/sct"),
        ("http://fhir.de/CodeSystem/dimdi/icd-10-gm", GM),
        ("http://hl7.org/fhir/sid/icd-9", "http://hl7.org/fhir/sid/icd-9-cm"),
        ("http://hospital.example/icd-10-cm", "http://hospital.example/icd-10-cm"),
    ],
)
def test_a_system_is_known_by_its_other_names_but_never_by_its_looks(sent: str, canonical: str) -> None:
    assert system_of(sent).canonical == canonical


@pytest.mark.parametrize(
    ("system", "code", "meant", "stance"),
    [
        (ICD10CM, "g249", "G24.9", None),
        (ICD10CM, " G24.3 ", "G24.3", None),
        (ICD10CM, "G24", "G24.9", None),
        (GM, "G24.9V", "G24.9", Assertion.SUSPECTED),
        (GM, "G24.3 A", "G24.3", Assertion.NEGATED),
        (GM, "G243Z", "G24.3", Assertion.HISTORICAL),
        (GM, "G24.5G", "G24.5", Assertion.AFFIRMED),
        ("http://hl7.org/fhir/sid/icd-9-cm", "33383", "G24.3", None),
        ("http://hl7.org/fhir/sid/icd-9-cm", "333.71", "dystonic-cerebral-palsy", None),
        ("http://www.orpha.net", "ORPHA:93958", "G24.4", None),
        ("http://human-phenotype-ontology.org", "HP:0000473", "torticollis-nos", None),
        (ICD10CM, "G51.31", "hemifacial-spasm", None),
        (ICD10CM, "R29.818", "neighbourhood", None),
        (ICD10CM, "E11.9", "elsewhere-code", None),
        (ICD10CM, "K82.8", "biliary-dyskinesia", None),
        (ICD10CM, "nonsense", None, None),
        ("http://snomed.info/sct", "G24.3", None, None),
        ("urn:oid:1.2.3", "G24.3", None, None),
    ],
)
def test_a_code_means_what_its_system_says(system: str, code: str, meant: str | None, stance: Assertion | None) -> None:
    read = read_code(Coding(system, code), vocabulary())
    assert (read.meaning.finding.code if read.meaning else None, read.stance) == (meant, stance)


def test_headers_are_narrowed_and_contested() -> None:
    read = read_code(Coding("http://hl7.org/fhir/sid/icd-10", "G24.0"), vocabulary()).meaning
    assert read is not None
    assert (read.code, read.generic, read.contested, read.alternatives) == ("G24.09", True, True, ("G24.01", "G24.02"))


def test_a_synonym_is_added_without_touching_python(tmp_path: Any) -> None:
    for file in profiles_folder().iterdir():
        if file.name.endswith(".json"):
            (tmp_path / file.name).write_bytes(file.read_bytes())
    path = tmp_path / "CodeSystem-icd-10-cm-g24.json"
    system = json.loads(path.read_bytes())
    next(c for c in system["concept"] if c["code"] == "G24.3")["designation"].append({"value": "Wobbly-neck syndrome"})
    path.write_text(json.dumps(system))
    meanings = read_vocabulary(tmp_path).terms["wobbly neck syndrome"]
    assert [(meaning.kind, meaning.code) for meaning in meanings] == [(Kind.DYSTONIA, "G24.3")]
