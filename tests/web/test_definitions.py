"""The rules can be read from outside: definitions by id and canonical, and the translation of codes."""

from __future__ import annotations

import json

import pytest
from flask.testing import FlaskClient

from referral_service.fhir.conformance import check
from referral_service.fhir.package import KINDS, definitions

pytestmark = pytest.mark.parametrize("store", ["sqlite"], indirect=True)
OURS = "https://referral-service.example/fhir"
SNOMED = "http://snomed.info/sct"


@pytest.mark.parametrize("kind", KINDS)
def test_every_definition_is_read_by_its_id_and_found_by_its_canonical(app_client: FlaskClient, kind: str) -> None:
    assert definitions()[kind]
    for identity, resource in definitions()[kind].items():
        read = app_client.get(f"/fhir/{kind}/{identity}")
        found = app_client.get(f"/fhir/{kind}", query_string={"url": resource["url"]})
        assert (read.status_code, json.loads(read.data)) == (200, resource)
        assert [entry["resource"]["id"] for entry in json.loads(found.data)["entry"]] == [identity]


def test_a_search_answer_is_valid(app_client: FlaskClient) -> None:
    answer = json.loads(app_client.get("/fhir/CodeSystem").data)
    assert [issue for issue in check(answer) if issue.is_error] == []
    assert answer["total"] == len(definitions()["CodeSystem"])


def test_what_is_not_there_is_said(app_client: FlaskClient) -> None:
    assert app_client.get("/fhir/ValueSet/nowhere").status_code == 404
    assert app_client.get("/fhir/ValueSet?name=x").status_code == 400
    assert json.loads(app_client.get("/fhir/ValueSet?url=urn:x").data)["total"] == 0


def _translated(app_client: FlaskClient, **query: str) -> tuple[bool, list[tuple[str, str | None]]]:
    answer = json.loads(app_client.get("/fhir/ConceptMap/$translate", query_string=query).data)["parameter"]
    matches = []
    for match in answer[1:]:
        parts = {part["name"]: part for part in match["part"]}
        code = parts["concept"]["valueCoding"]["code"] if "concept" in parts else None
        matches.append((parts["equivalence"]["valueCode"], code))
    return answer[0]["valueBoolean"], matches


def test_a_code_is_translated_in_its_own_system_only(app_client: FlaskClient) -> None:
    assert _translated(app_client, system=SNOMED, code="59026006") == (True, [("equivalent", "G24.5")])
    assert _translated(app_client, system="https://ehr.example/codes", code="59026006") == (False, [])


def test_a_translation_can_ask_one_map_and_one_target(app_client: FlaskClient) -> None:
    query = {"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "G24.01"}
    url = f"{OURS}/ConceptMap/icd-10-cm-to-icd-10"
    assert _translated(app_client, **query, url=url) == (True, [("wider", "G24.0")])
    assert _translated(app_client, **query, targetsystem="urn:none") == (False, [])


def test_a_translation_without_a_code_says_what_is_missing(app_client: FlaskClient) -> None:
    answer = app_client.get("/fhir/ConceptMap/$translate?system=x")
    assert (answer.status_code, json.loads(answer.data)["issue"][0]["details"]["coding"][0]["code"]) == (
        400,
        "translate-parameter",
    )
