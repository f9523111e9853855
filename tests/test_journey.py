"""One story from end to end, over real HTTP against a real process, on either engine.

A child of 9 and an adult of 54 arrive, are coded and stand in the right queues; the same message again makes nothing
new; a referral whose patient is unknown waits in review and is routed when the Patient arrives; killing the process
after the 201 loses nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.serving import Server

THIS_YEAR = datetime.now(UTC).year
FLAG = "https://referral-service.example/fhir/CodeSystem/flag"
PLACER = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "PLAC"}]}


@pytest.fixture(params=["sqlite", "postgresql"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    url = f"sqlite:///{tmp_path / 'journey.db'}"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres_url")
    running = Server(url, tmp_path)
    running.start()
    yield running
    running.stop()


def test_two_referrals_find_their_queues_and_nothing_is_lost(server: Server) -> None:
    child = _a_child_of_nine_arrives(server)
    adult = _an_adult_of_fifty_four_arrives(server)
    _the_same_message_again_makes_nothing_new(server, child)
    waiting = _a_referral_waits_for_its_patient(server)
    _is_routed_when_the_patient_arrives(server, waiting)
    _the_queue_takes_the_child_up(server, child)
    _a_kill_after_the_answer_loses_nothing(server, [child, adult, waiting])


def _a_child_of_nine_arrives(server: Server) -> dict[str, Any]:
    patient = {
        "resourceType": "Patient",
        "id": "p",
        "birthDate": f"{THIS_YEAR - 10}-12-31",
        "name": [{"family": "Vogel"}],
    }
    referral = {
        **_referral("JOURNEY-1", {"reference": "#p"}),
        "contained": [patient],
        "reasonCode": [{"text": "?generalised dystonia, feet turn in when walking"}],
    }
    answer = server.post("/fhir/ServiceRequest", referral)
    assert answer.status_code == 201
    task = server.get(answer.links["related"]["url"]).json()
    assert task["owner"] == {"reference": "HealthcareService/pediatric-neuromotor"}
    assert [coding["code"] for coding in task["reasonCode"]["coding"]] == ["G24.8", "G24.8"]
    assert task["reasonCode"]["text"].startswith("Suspected")
    assert task["status"] == "requested"
    return {"body": referral, "id": answer.json()["id"], "task": task}


def _an_adult_of_fifty_four_arrives(server: Server) -> dict[str, Any]:
    bundle = {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [
            _entry(
                "Patient", "urn:uuid:0b0f6e60-6ff4-4a0c-9e4c-5a6a6d1f0001", {"birthDate": f"{THIS_YEAR - 55}-12-31"}
            ),
            _entry(
                "Condition",
                "urn:uuid:0b0f6e60-6ff4-4a0c-9e4c-5a6a6d1f0002",
                {
                    "subject": {"reference": "urn:uuid:0b0f6e60-6ff4-4a0c-9e4c-5a6a6d1f0001"},
                    "code": {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "G24.3"}]},
                    "clinicalStatus": _coded("condition-clinical", "active"),
                    "verificationStatus": _coded("condition-ver-status", "confirmed"),
                },
            ),
            _entry(
                "ServiceRequest",
                "urn:uuid:0b0f6e60-6ff4-4a0c-9e4c-5a6a6d1f0003",
                {
                    **_referral("JOURNEY-2", {"reference": "urn:uuid:0b0f6e60-6ff4-4a0c-9e4c-5a6a6d1f0001"}),
                    "reasonReference": [{"reference": "urn:uuid:0b0f6e60-6ff4-4a0c-9e4c-5a6a6d1f0002"}],
                },
            ),
        ],
    }
    answer = server.post("/fhir", bundle)
    assert answer.status_code == 200
    assert [entry["response"]["status"] for entry in answer.json()["entry"]] == ["201 Created"] * 3
    location = answer.json()["entry"][2]["response"]["location"]
    referral = server.get(location).json()
    task = _task_of(server, referral["id"])
    assert task["owner"] == {"reference": "HealthcareService/adult-movement-disorders"}
    assert [coding["code"] for coding in task["reasonCode"]["coding"]] == ["G24.3", "G24.3"]
    assert task["for"] == referral["subject"]
    return {"body": bundle, "id": referral["id"], "task": task}


def _the_same_message_again_makes_nothing_new(server: Server, child: dict[str, Any]) -> None:
    answer = server.post("/fhir/ServiceRequest", child["body"])
    assert (answer.status_code, answer.json()["id"]) == (200, child["id"])
    assert server.get("/fhir/Task?_total=accurate&_count=1").json()["total"] == 2


def _a_referral_waits_for_its_patient(server: Server) -> dict[str, Any]:
    referral = {
        **_referral("JOURNEY-3", {"reference": "Patient/ehr-77"}),
        "reasonCode": [{"text": "Known blepharospasm, for botulinum toxin"}],
    }
    answer = server.post("/fhir/ServiceRequest", referral)
    assert answer.status_code == 201
    task = server.get(answer.links["related"]["url"]).json()
    assert task["owner"] == {"reference": "HealthcareService/intake-review"}
    assert task["meta"]["tag"] == [{"system": FLAG, "code": "age-undetermined"}]
    return {"body": referral, "id": answer.json()["id"], "task": task}


def _is_routed_when_the_patient_arrives(server: Server, waiting: dict[str, Any]) -> None:
    patient = {"resourceType": "Patient", "id": "ehr-77", "birthDate": "1950-06-01"}
    answer = server.put("/fhir/Patient/ehr-77", patient)
    assert answer.status_code == 201
    task = server.get(f"/fhir/Task/{waiting['task']['id']}").json()
    assert task["owner"] == {"reference": "HealthcareService/adult-movement-disorders"}
    assert task["authoredOn"] == waiting["task"]["authoredOn"]
    assert "tag" not in task["meta"]
    ours = answer.headers["Location"].split("/fhir/")[1].split("/_history")[0]
    assert server.get(f"/fhir/ServiceRequest/{waiting['id']}").json()["subject"] == {"reference": ours}
    assert server.get("/fhir/Patient/ehr-77").json()["id"] == ours.removeprefix("Patient/")


def _the_queue_takes_the_child_up(server: Server, child: dict[str, Any]) -> None:
    task = {**child["task"], "status": "accepted"}
    answer = server.put(f"/fhir/Task/{task['id']}", task, **{"If-Match": 'W/"1"'})
    assert (answer.status_code, answer.json()["status"]) == (200, "accepted")
    assert server.put(f"/fhir/Task/{task['id']}", task, **{"If-Match": 'W/"1"'}).status_code == 412


def _a_kill_after_the_answer_loses_nothing(server: Server, known: list[dict[str, Any]]) -> None:
    referral = {
        **_referral("JOURNEY-4", {"reference": "Patient/ehr-77"}),
        "reasonCode": [{"text": "oromandibular dystonia"}],
    }
    answer = server.post("/fhir/ServiceRequest", referral)
    server.kill()
    assert answer.status_code == 201
    server.start()
    for referral_id in [*(one["id"] for one in known), answer.json()["id"]]:
        assert server.get(f"/fhir/ServiceRequest/{referral_id}").status_code == 200
        assert _task_of(server, referral_id)["focus"] == {"reference": f"ServiceRequest/{referral_id}"}
    again = server.post("/fhir/ServiceRequest", referral)
    assert (again.status_code, again.json()["id"]) == (200, answer.json()["id"])


def _task_of(server: Server, referral_id: str) -> dict[str, Any]:
    found = server.get(f"/fhir/Task?focus=ServiceRequest/{referral_id}").json()
    assert len(found["entry"]) == 1
    task: dict[str, Any] = found["entry"][0]["resource"]
    return task


def _referral(number: str, subject: dict[str, str]) -> dict[str, Any]:
    return {
        "resourceType": "ServiceRequest",
        "identifier": [{"type": PLACER, "system": "https://ehr.example/placer", "value": number}],
        "status": "active",
        "intent": "order",
        "subject": subject,
        "requester": {"display": "Dr Invented"},
    }


def _entry(kind: str, full_url: str, resource: dict[str, Any]) -> dict[str, Any]:
    return {
        "fullUrl": full_url,
        "resource": {"resourceType": kind, **resource},
        "request": {"method": "POST", "url": kind},
    }


def _coded(system: str, code: str) -> dict[str, Any]:
    return {"coding": [{"system": f"http://terminology.hl7.org/CodeSystem/{system}", "code": code}]}
