"""``profiles/`` is a FHIR package: every file valid, every name where it is looked for, every reference kept."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import fhirpathpy
import pytest
from fhir.resources.R4B import get_fhir_model_class
from fhirpathpy.models import models

from referral_service.decide import decide
from referral_service.fhir import writer
from referral_service.fhir.bundle import Envelope
from referral_service.fhir.conformance import check, fhirpath, package, table
from referral_service.fhir.conformance.package import Node
from referral_service.fhir.parse import parse
from referral_service.fhir.reader import read_patient, read_referral
from referral_service.fhir.terminology import code_versions, profiles_folder, vocabulary
from referral_service.policy import load_policy
from referral_service.referral import DecisionInput
from referral_service.web.capability import _OPERATIONS
from tests.fhir.conformance.test_profiles import GOOD_TASK, INTAKE, TASK

C = "https://referral-service.example/fhir"
KINDS = {
    "StructureDefinition",
    "ValueSet",
    "CodeSystem",
    "ConceptMap",
    "OperationDefinition",
    "SearchParameter",
    "MessageDefinition",
    "ImplementationGuide",
}
FILES = sorted(file.name for file in profiles_folder().iterdir() if file.name.endswith(".json") and "-" in file.name)
PROFILES = ("dystonia-referral", "referral-patient", "referral-condition", "referral-task", "assignee")


def load(name: str) -> Any:
    return json.loads(profiles_folder().joinpath(name).read_text("utf-8"))


@pytest.mark.parametrize("name", FILES)
def test_every_file_is_valid_and_named_after_its_resource(name: str) -> None:
    body = profiles_folder().joinpath(name).read_bytes()
    resource: Any = parse(body).value
    assert [issue for issue in check(resource) if issue.is_error] == []
    assert resource["resourceType"] in KINDS
    assert name == f"{resource['resourceType']}-{resource['id']}.json"
    assert resource["url"] == f"{C}/{resource['resourceType']}/{resource['id']}"
    assert resource["version"] == "1.0.0"


@pytest.mark.parametrize("name", [name for name in FILES if not name.startswith(("CodeSystem", "ConceptMap"))])
def test_other_readers_take_what_is_authored(name: str) -> None:
    resource = load(name)
    get_fhir_model_class(resource["resourceType"]).model_validate(resource)


def test_the_guide_lists_every_resource_and_no_other() -> None:
    guide = load("ImplementationGuide-referral-service.json")
    listed = {each["reference"]["reference"].replace("/", "-") + ".json" for each in guide["definition"]["resource"]}
    assert listed | {"ImplementationGuide-referral-service.json"} == set(FILES)
    manifest = load("package.json")
    assert (manifest["name"], manifest["version"]) == (guide["packageId"], guide["version"])
    assert (manifest["canonical"], manifest["fhirVersions"], manifest["type"]) == (C, ["4.0.1"], "fhir.ig")
    assert manifest["dependencies"] == {"hl7.fhir.r4.core": "4.0.1"}


@pytest.mark.parametrize("name", PROFILES)
def test_every_element_of_a_profile_is_one_of_its_type(name: str) -> None:
    definition = package.definitions()[f"{C}/StructureDefinition/{name}"]
    for element in definition["differential"]["element"][1:]:
        assert element_at(definition["type"], element["path"].split(".")[1:]), element["path"]


def element_at(type_name: str, steps: list[str]) -> bool:
    """Whether the steps lead through the elements of the type, and of the types of those."""
    elements = {each.path: each for each in table.definition(type_name).elements}
    for size in range(len(steps), 0, -1):
        found = elements.get(".".join(steps[:size]))
        if found is not None:
            return size == len(steps) or any(element_at(ref.code, steps[size:]) for ref in found.types)
    return False


def nodes(node: Node) -> list[Node]:
    below = [*node.children.values(), *node.slices.values()]
    return [node, *(each for child in below for each in nodes(child))]


@pytest.mark.parametrize("name", PROFILES)
def test_what_a_profile_speaks_of_is_at_hand(name: str) -> None:
    profile = package.profile(f"{C}/StructureDefinition/{name}")
    assert profile is not None
    for node in nodes(profile.root):
        assert not node.value_set or package.value_set(node.value_set)
        assert not node.extension or package.profile(node.extension)
        assert all(fhirpath.rule_for(each) for each in node.constraints)
        assert all(target in table.resource_types() for target in node.targets)


@pytest.mark.parametrize("name", ["queue", "flag", "certainty", "status-reason", "business-status", "issue"])
def test_a_value_set_holds_the_whole_of_its_code_system(name: str) -> None:
    codes = [row["code"] for row in load(f"CodeSystem-{name}.json")["concept"]]
    assert package.value_set(f"{C}/ValueSet/{name}") == {f"{C}/CodeSystem/{name}": frozenset(codes)}


def test_the_value_set_of_dystonia_holds_the_billable_codes_and_their_roll_up() -> None:
    found = package.value_set(f"{C}/ValueSet/dystonia")
    pairs = [pair for pair in vocabulary().pairs.values() if pair.cm.code.startswith("G24")]
    assert found == {
        "http://hl7.org/fhir/sid/icd-10-cm": frozenset(pair.cm.code for pair in pairs),
        "http://hl7.org/fhir/sid/icd-10": frozenset(pair.who.code for pair in pairs),
    }


def test_value_sets_of_r4_are_at_hand_for_profiles_too() -> None:
    assert package.value_set("http://hl7.org/fhir/ValueSet/request-priority|4.0.1") == {
        "http://hl7.org/fhir/request-priority": frozenset({"routine", "urgent", "asap", "stat"})
    }
    assert package.value_set("https://a.example/vs") is None


@pytest.mark.parametrize("name", [name for names in _OPERATIONS.values() for name in names])
def test_every_operation_that_is_offered_is_defined(name: str) -> None:
    definition = load(f"OperationDefinition-{name}.json")
    assert (definition["code"], definition["system"]) == (name, False)


@pytest.mark.parametrize(("name", "expected"), [("due", ["2024-06-06"]), ("assignee", ["Dr One"])])
def test_search_parameters_point_at_what_is_searched(name: str, expected: list[str]) -> None:
    definition = load(f"SearchParameter-{name}.json")
    assert (definition["code"], definition["base"]) == (name, ["Task"])
    assert fhirpathpy.evaluate(GOOD_TASK, definition["expression"], model=models["r4"]) == expected


EXAMPLES = sorted((file for file in profiles_folder().joinpath("examples/valid").iterdir()), key=lambda file: file.name)
STAMP = writer.Stamp("0d9a3b0e-6c1c-4b7e-9b50-0d3cfa3f3b11", 1, "2026-03-16T12:00:00Z")


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda file: file.name)
def test_what_this_service_writes_keeps_its_own_profiles(example: Any) -> None:
    """The Task made for each referral of the examples, and the referral with our tags."""
    envelope = Envelope(parse(example.read_bytes()).value)
    for entry in envelope.referrals():
        person = envelope.resolve(entry.resource["subject"], entry)
        patient = read_patient(person.resource) if person else None
        given = DecisionInput(read_referral(envelope, entry), patient, date(2026, 3, 16))
        decision = decide(given, vocabulary(), load_policy())
        if decision.queue is None:
            continue
        subject = {"reference": "Patient/1"} if patient else None
        facts = writer.TaskFacts("1", subject, {"display": "Dr Invented"}, None, STAMP.last_updated, "2026-03-20")
        task = writer.task(facts, STAMP, decision, "Call the clinic.", code_versions())
        assert check(task, [TASK]) == []
        tags = writer.decision_tags(decision, code_versions())
        served = writer.served(entry.resource, STAMP, lambda _: None, tags=tags, security=[writer.AI_ASSISTED])
        assert {issue.expression for issue in check(served, [INTAKE]) if issue.rule == "profile"} == set()
        assert [issue for issue in check(served) if issue.expression.startswith("ServiceRequest.meta.tag")] == []
