"""The description of what systems can call is made from the routes, and no call it allows makes the server fail."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import schemathesis
from flask.testing import FlaskClient
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import Case

from referral_service.intake import Site
from referral_service.referral import Queue
from referral_service.web.rules import RULES
from tests.callers import Doors, filler, placer
from tests.shapes import patient, referral

EXAMPLES = 4
"""Of each call; the same ones each time."""
NOT_DESCRIBED = {"static", "hooks.preflight"}
"""Files of the pages, and what only browsers ask."""


def described(app_client: FlaskClient) -> Any:
    return app_client.get("/openapi.json").get_json()


def test_every_route_for_systems_is_described_and_no_other(app_client: FlaskClient) -> None:
    operations = [one for path in described(app_client)["paths"].values() for one in path.values()]
    names = {"-".join(one["operationId"].split("-")[:2]) for one in operations}
    for_systems = {name for name, rule in RULES.items() if (rule.is_public or rule.scope) and name not in NOT_DESCRIBED}
    assert names == {name.replace(".", "-") for name in for_systems}
    assert [name for name, times in Counter(one["operationId"] for one in operations).items() if times > 1] == []


def test_an_operation_names_the_scope_that_it_needs(app_client: FlaskClient) -> None:
    paths = described(app_client)["paths"]
    needs = {
        (method, path): paths[path][method]["security"]
        for method, path in (
            ("post", "/fhir/ServiceRequest"),
            ("put", "/fhir/Patient/{identity}"),
            ("get", "/fhir/Task"),
            ("post", "/fhir/Task/_search"),
            ("post", "/fhir"),
            ("get", "/fhir/metadata"),
        )
    }
    assert needs == {
        ("post", "/fhir/ServiceRequest"): [{"smart": ["system/ServiceRequest.c"]}],
        ("put", "/fhir/Patient/{identity}"): [{"smart": ["system/Patient.u"]}],
        ("get", "/fhir/Task"): [{"smart": ["system/Task.s"]}],
        ("post", "/fhir/Task/_search"): [{"smart": ["system/Task.s"]}],
        ("post", "/fhir"): [{"smart": []}],
        ("get", "/fhir/metadata"): [],
    }


def test_a_search_is_described_with_all_that_it_can_be_asked(app_client: FlaskClient) -> None:
    listed = described(app_client)["paths"]["/fhir/Patient"]["get"]["parameters"]
    own = {"_id", "identifier", "birthdate", "family", "given"}
    shared = {"_sort", "_include", "_revinclude", "_elements", "_count", "_summary", "_total"}
    assert {one["name"] for one in listed} == own | shared


def test_no_call_makes_the_server_fail(site: Site) -> None:
    doors = Doors(site)
    ids = _records(doors)
    schema = schemathesis.openapi.from_wsgi("/openapi.json", doors.app)
    called: Counter[int] = Counter()
    for found in schema.get_all_operations():
        _try(doors, found.ok(), ids, called)
    assert {200, 201, 400, 404} <= called.keys()
    assert [status for status in called if status >= 500] == []


def _records(doors: Doors) -> dict[str, str]:
    caller = doors.of(placer("north"))
    ids = {"Patient": caller.post("Patient", patient()).get_json(force=True)["id"]}
    ids["ServiceRequest"] = caller.create(referral()).get_json(force=True)["id"]
    ids["Task"] = caller.task_of(ids["ServiceRequest"])["id"]
    return ids


def _try(doors: Doors, operation: Any, ids: dict[str, str], called: Counter[int]) -> None:
    """Every other call asks for a record that there is, by its sender and by who works on it in turn."""
    who = [placer("north"), filler("clinic", Queue.ADULT)]
    kind = operation.path.split("/")[2] if operation.path.count("/") > 1 else ""

    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy())
    def call(case: Case) -> None:
        number = called.total()
        doors.who = who[number % 2]
        if number % 4 < 2 and kind in ids and "identity" in case.path_parameters:
            case.path_parameters["identity"] = ids[kind]
        answer = case.call()
        called[answer.status_code] += 1
        assert answer.status_code < 500, (operation.label, answer.text)

    call()


@pytest.mark.parametrize("path", ["/health/live", "/health/ready", "/metrics"])
def test_what_whoever_watches_is_told_is_as_it_is_described(app_client: FlaskClient, path: str) -> None:
    schema = schemathesis.openapi.from_wsgi("/openapi.json", app_client.application)
    answer = schema[path]["GET"].Case().call_and_validate()
    described_as = described(app_client)["paths"][path]["get"]
    assert (answer.status_code, described_as["security"]) == (200, [])
    assert set(described_as["responses"]) == ({"200", "503"} if path == "/health/ready" else {"200"})
