"""What callers are promised of one another, and of what they may do: each test holds one sentence of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from flask import Flask
from flask.testing import FlaskClient

from referral_service.access.gate import Gate
from referral_service.app import application
from referral_service.intake import Incoming, Site, receive
from referral_service.referral import Queue
from referral_service.store.engine import Store
from referral_service.worklist import Role
from tests.callers import Doors, filler, person, placer
from tests.shapes import ADULT_BORN, CHILD_BORN, Caller, Resource, bundle, entry, ledger_of, patient, referral, rules
from tests.systems import System
from tests.web.signing import KEY, add_users, form, sign_in

EVERY_QUEUE = tuple(Queue)
NHS = {"system": "urn:example:nhs", "value": "943-476"}


@pytest.fixture
def doors(site: Site) -> Doors:
    return Doors(site)


@pytest.fixture
def asking(site: Site) -> FlaskClient:
    return application(site, Gate(asks=True)).test_client()


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/fhir/ServiceRequest"),
        ("POST", "/fhir"),
        ("POST", "/fhir/ServiceRequest/$preview"),
        ("POST", "/fhir/ServiceRequest/$validate"),
        ("PUT", "/fhir/Patient/1"),
        ("PATCH", "/fhir/Task/1"),
        ("GET", "/fhir/ServiceRequest/$receipt?identifier=A-1"),
    ],
)
def test_who_shows_no_token_is_told_to_log_in_and_is_only_counted(
    asking: FlaskClient, site: Site, method: str, path: str
) -> None:
    answer = asking.open(path, method=method, json=referral())
    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert (answer.get_json(force=True)["issue"][0]["code"], rules(answer.get_json(force=True))) == (
        "login",
        [("login", "")],
    )
    caller = Caller(asking, site)
    assert (caller.sums(), caller.count("ServiceRequest"), caller.count("Patient")) == (ledger_of(), 0, 0)


@pytest.mark.parametrize(
    "path",
    [
        "/fhir/metadata",
        "/fhir/.well-known/smart-configuration",
        "/openapi.json",
        "/health/live",
        "/health/ready",
        "/metrics",
        "/fhir/HealthcareService/intake-review",
        "/fhir/CodeSystem/issue",
    ],
)
def test_what_says_how_to_call_is_told_to_everybody(asking: FlaskClient, path: str) -> None:
    assert asking.get(path).status_code == 200


def test_the_token_address_is_that_of_the_public_url_whatever_the_host_header_says(
    asking: FlaskClient, store: Store
) -> None:
    system, elsewhere = System().register(store), {"Host": "evil.example", "X-Forwarded-Host": "evil.example"}
    found = asking.get("/fhir/.well-known/smart-configuration", headers=elsewhere).get_json(force=True)
    assert found["token_endpoint"] == "http://localhost/auth/token"
    stolen = replace(system, audience="http://evil.example/auth/token").form()
    assert asking.post("/auth/token", data=stolen, headers=elsewhere).status_code == 401
    assert asking.post("/auth/token", data=system.form(), headers=elsewhere).status_code == 200


# --- two senders


def test_the_patients_1_of_two_ehrs_never_meet(doors: Doors) -> None:
    north, south = doors.of(placer("north")), doors.of(placer("south"))
    for caller, born in ((north, ADULT_BORN), (south, CHILD_BORN)):
        assert caller.put("Patient/1", patient(born, id="1")).status_code == 201
    assert [caller.read("Patient/1")["birthDate"] for caller in (north, south)] == [ADULT_BORN, CHILD_BORN]
    made = [caller.create(referral(subject={"reference": "Patient/1"})).json for caller in (north, south)]
    queues = [caller.queue_of(one["id"]) for caller, one in zip((north, south), made, strict=True)]
    assert queues == ["adult-movement-disorders", "pediatric-neuromotor"]
    assert doors.of(placer("west")).get("Patient/1").status_code == 404


def test_a_senders_own_id_goes_on_working_beside_ours_and_for_that_sender_alone(doors: Doors) -> None:
    north = doors.of(placer("north"))
    ours = north.put("Patient/p-7", patient(ADULT_BORN, id="p-7")).json["id"]
    assert ours != "p-7"
    again = north.put("Patient/p-7", patient("1960-01-01", id="p-7"))
    by_ours = north.put(f"Patient/{ours}", patient("1961-01-01", id=ours))
    assert [(one.status_code, one.json["id"]) for one in (again, by_ours)] == [(200, ours)] * 2
    assert north.read("Patient/p-7") == north.read(f"Patient/{ours}")
    assert north.read("Patient/p-7/_history")["total"] == 3
    about = north.create(referral(subject={"reference": "Patient/p-7"})).json
    assert about["subject"]["reference"] == f"Patient/{ours}"
    clinic = doors.of(filler("clinic", Queue.ADULT))
    assert [clinic.get(f"Patient/{one}").status_code for one in (ours, "p-7")] == [200, 404]


def test_a_key_of_another_sender_is_another_key(doors: Doors) -> None:
    callers = [doors.of(placer(name)) for name in ("north", "south")]
    first = [one.create(referral("A-1"), Idempotency_Key="k") for one in callers]
    again = [one.create(referral("A-1"), Idempotency_Key="k") for one in callers]
    assert [one.status_code for one in (*first, *again)] == [201, 201, 200, 200]
    assert [one.json["id"] for one in first] == [one.json["id"] for one in again]
    assert first[0].json["id"] != first[1].json["id"]


def test_a_conditional_create_finds_what_its_own_sender_sent(doors: Doors) -> None:
    asked = {"If_None_Exist": "identifier=urn:example:orders|A-1"}
    statuses = [doors.of(placer(name)).create(referral("A-1"), **asked).status_code for name in ("n", "s", "n")]
    assert statuses == [201, 201, 200]


def test_a_receipt_is_for_its_sender_and_not_for_who_works_on_it(doors: Doors) -> None:
    doors.of(placer("north")).create(referral("A-1"), X_Request_Id="r-1")
    for query in ("request-id=r-1", "identifier=urn:example:orders|A-1"):
        statuses = [
            doors.of(who).get(f"ServiceRequest/$receipt?{query}").status_code
            for who in (placer("north"), placer("south"), filler("clinic", *EVERY_QUEUE), person("Lee", Role.LEAD))
        ]
        assert statuses == [200, 404, 404, 403]


def test_the_same_patient_of_another_sender_is_shown_to_coordinators_on_the_page_only(doors: Doors) -> None:
    def sent(client: str, born: str) -> Resource:
        who = patient(born, id="p", identifier=[NHS])
        return doors.of(placer(client)).create(referral("A-1", contained=[who])).json

    north, south = sent("north", ADULT_BORN), sent("south", ADULT_BORN)
    for client, one in (("north", north), ("south", south)):
        decided = doors.of(placer(client)).get(f"ServiceRequest/{one['id']}/$decision").text
        assert "possible-duplicate" not in decided + orjson.dumps(one).decode()
    kim, mo = person("Kim", Role.COORDINATOR, Queue.ADULT), person("Mo", Role.COORDINATOR, Queue.PEDIATRIC)
    page = doors.of(kim).http.get(f"/referrals/{north['id']}").text
    assert ("Also open for a patient of this number" in page, f"/referrals/{south['id']}" in page) == (True, True)
    clinic = doors.of(filler("clinic", *EVERY_QUEUE))
    assert clinic.reroute(clinic.task_of(south["id"]), Queue.PEDIATRIC).status_code == 200
    assert "Also open" not in doors.of(kim).http.get(f"/referrals/{north['id']}").text
    assert "Also open" not in doors.of(mo).http.get(f"/referrals/{south['id']}").text
    lead = doors.of(person("Lee", Role.LEAD)).http
    assert f"/referrals/{south['id']}" in lead.get(f"/referrals/{north['id']}").text
    task = clinic.task_of(south["id"])
    assert clinic.move(task, status="cancelled", statusReason=WITHDRAWN).status_code == 200
    assert "Also open" not in lead.get(f"/referrals/{north['id']}").text


def test_a_number_without_a_system_makes_nobody_the_same_patient(doors: Doors) -> None:
    made = [
        doors.of(placer(client)).create(referral(contained=[patient(id="p", identifier=[{"value": "7"}])])).json["id"]
        for client in ("north", "south")
    ]
    page = doors.of(person("Lee", Role.LEAD)).http.get(f"/referrals/{made[0]}").text
    assert "Also open" not in page


# --- placer, filler, lead

WITHDRAWN = {
    "coding": [
        {"system": "https://referral-service.example/fhir/CodeSystem/status-reason", "code": "withdrawn-by-sender"}
    ]
}


def test_a_placer_cancels_before_work_begins_and_makes_no_move_of_the_owner(doors: Doors) -> None:
    north, clinic = doors.of(placer("north")), doors.of(filler("clinic", Queue.ADULT))
    first, second = (north.task_of(north.create(referral(number)).json["id"]) for number in ("A-1", "A-2"))
    assert rules(north.move(first, status="accepted").json) == [("forbidden", "Task")]
    assert north.move(first, status="cancelled", statusReason=WITHDRAWN).status_code == 200
    for status in ("accepted", "in-progress"):
        assert clinic.move(clinic.task_of(second["focus"]["reference"][15:]), status=status).status_code == 200
    late = north.move(north.read(f"Task/{second['id']}"), status="cancelled", statusReason=WITHDRAWN)
    assert (late.status_code, north.read(f"Task/{second['id']}")["status"]) == (422, "in-progress")


@pytest.mark.parametrize("who", [placer("north"), filler("clinic", *EVERY_QUEUE)], ids=["placer", "filler"])
def test_only_a_lead_calls_a_task_an_error_or_takes_back_an_end(doors: Doors, who: Any) -> None:
    north, caller = doors.of(placer("north")), doors.of(who)
    task = north.task_of(north.create(referral()).json["id"])
    wrong = [{"text": "Another patient was meant."}]
    assert caller.move(task, status="entered-in-error", note=wrong).status_code == 403
    assert north.move(task, status="cancelled", statusReason=WITHDRAWN).status_code == 200
    assert caller.undo(task["id"], If_Match='W/"2"').status_code == 403
    assert north.read(f"Task/{task['id']}")["status"] == "cancelled"


def test_on_the_pages_a_lead_makes_the_moves_that_a_coordinator_may_not(site: Site) -> None:
    add_users(site.store)
    app = application(site, Gate(asks=True, secret_key=KEY))
    (made,) = receive(
        site, Incoming("ehr", "test", "r", orjson.dumps(referral()), datetime.now(UTC)), "ServiceRequest"
    ).answers
    page = f"/referrals/{made.id}"
    statuses = []
    for user in ("coordinator", "lead"):
        browser = app.test_client()
        sign_in(browser, user)
        typed = {"version": "1", "reason": "", "comment": "Another patient was meant."}
        statuses.append(form(browser, f"{page}/do/entered-in-error", page=page, **typed).status_code)
    assert statuses == [403, 303]


def test_a_batch_of_one_sender_never_reaches_what_another_sent(doors: Doors) -> None:
    north, south = doors.of(placer("north")), doors.of(placer("south"))
    ours = north.put("Patient/1", patient(ADULT_BORN, id="1")).json["id"]
    sent = bundle(
        entry(patient(CHILD_BORN, id=ours), method="PUT", url=f"Patient/{ours}"),
        entry(referral(subject={"reference": f"Patient/{ours}"})),
        kind="batch",
    )
    assert south.post("", sent).status_code == 200
    assert north.read("Patient/1")["birthDate"] == ADULT_BORN


# --- without authentication


def test_without_authentication_all_callers_are_one_placer_filler_and_lead(app: Flask, site: Site) -> None:
    first, second = Caller(app.test_client(), site), Caller(app.test_client(), site)
    first.put("Patient/1", patient(id="1"))
    identity = first.create(referral(subject={"reference": "Patient/1"}), X_Request_Id="r-1").json["id"]
    assert second.read("Patient/1") == first.read("Patient/1")
    assert len(second.receipts("request-id=r-1")) == 1
    assert second.create(referral(subject={"reference": "Patient/1"})).status_code == 200
    task = second.task_of(identity)
    assert second.move(task, status="accepted").status_code == 200
    wrong = [{"text": "Another patient was meant."}]
    assert second.move(second.task_of(identity), status="entered-in-error", note=wrong).status_code == 200
    assert [app.test_client().get(path).status_code for path in ("/", "/overview", "/audit", "/not-taken")] == [200] * 4
