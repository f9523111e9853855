"""Reads, versions and histories."""

from __future__ import annotations

import pytest

from tests.shapes import ADULT_BORN, CHILD_BORN, Caller, patient, referral, rules


def test_a_resource_is_read_by_our_id_and_by_its_senders(caller: Caller) -> None:
    made = caller.put("Patient/p1", patient(id="p1")).json
    for name in ("p1", made["id"]):
        answer = caller.get(f"Patient/{name}")
        assert (answer.json, answer.headers["ETag"]) == (made, 'W/"1"')
    assert caller.get("Practitioner/p1").status_code == 404


def test_every_version_goes_on_being_readable(caller: Caller) -> None:
    for born in (ADULT_BORN, CHILD_BORN):
        caller.put("Patient/p1", patient(born, id="p1"))
    one, two = caller.get("Patient/p1/_history/1"), caller.get("Patient/p1/_history/2")
    assert [(answer.json["birthDate"], answer.headers["ETag"]) for answer in (one, two)] == [
        (ADULT_BORN, 'W/"1"'),
        (CHILD_BORN, 'W/"2"'),
    ]
    assert two.json == caller.read("Patient/p1")
    missing = caller.get("Patient/p1/_history/3")
    assert (missing.status_code, rules(missing.json)) == (404, [("not-found", "")])


def test_the_history_lists_the_newest_first(caller: Caller) -> None:
    ours = [caller.put("Patient/p1", patient(born, id="p1")).json for born in (ADULT_BORN, CHILD_BORN)]
    found = caller.read("Patient/p1/_history")
    assert (found["resourceType"], found["type"], found["total"]) == ("Bundle", "history", 2)
    assert [one["resource"] for one in found["entry"]] == ours[::-1]
    assert [(one["request"]["method"], one["response"]["etag"]) for one in found["entry"]] == [
        ("PUT", 'W/"2"'),
        ("POST", 'W/"1"'),
    ]
    assert {one["fullUrl"] for one in found["entry"]} == {f"http://localhost/fhir/Patient/{ours[0]['id']}"}


@pytest.mark.parametrize("name", ["adult-movement-disorders", "pediatric-neuromotor", "intake-review"])
def test_each_queue_is_a_healthcare_service(caller: Caller, name: str) -> None:
    found = caller.read(f"HealthcareService/{name}")
    assert (found["resourceType"], found["id"], found["active"]) == ("HealthcareService", name, True)
    assert found["type"][0]["coding"][0]["code"] == name
    assert caller.get("HealthcareService/other").status_code == 404


def test_the_owner_of_a_task_can_be_read(caller: Caller) -> None:
    task = caller.task_of(caller.create(referral()).json["id"])
    assert caller.get(task["owner"]["reference"]).status_code == 200
