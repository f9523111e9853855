"""Every access by somebody known leaves an event: who, from where, what of whom, granted or denied."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select, text
from werkzeug.routing import Rule as Route

from referral_service.access.gate import Gate
from referral_service.app import application
from referral_service.fhir import conformance
from referral_service.intake import Site
from referral_service.policy import Limits
from referral_service.store import audit, tables
from referral_service.store.engine import Store
from referral_service.web.rules import RULES
from tests import callers
from tests.callers import Doors
from tests.shapes import ADULT_BORN, OWN, Caller, bundle, entry, patient, placer, referral
from tests.web.signing import KEY, add_users, form, sign_in

Event = dict[str, Any]
BALP = "https://profiles.ihe.net/ITI/BALP/StructureDefinition/IHE.BasicAudit."
OURS = {"Sec-Fetch-Site": "same-origin"}


def events(app: Flask) -> list[Event]:
    """The whole trail, oldest first, once everything is written."""
    app.extensions["recorder"].settle()
    store: Store = app.extensions["site"].store
    with store.reading() as connection:
        event = tables.audit_event
        return [json.loads(one) for one in connection.execute(select(event.c.content).order_by(event.c.at)).scalars()]


def new_events(app: Flask, before: list[Event]) -> list[Event]:
    known = {one["id"] for one in before}
    return [one for one in events(app) if one["id"] not in known]


def named(event: Event) -> set[str]:
    return {one["what"]["reference"] for one in event["entity"] if "reference" in one.get("what", {})}


def query(event: Event) -> str:
    return base64.b64decode(next(one["query"] for one in event["entity"] if "query" in one)).decode()


def profile(event: Event) -> str:
    return next(iter(event["meta"].get("profile", [""]))).removeprefix(BALP)


def _closed(app: Flask) -> list[Route]:
    return [one for one in app.url_map.iter_rules() if not RULES[one.endpoint].is_public]


def test_every_call_of_every_route_that_asks_who_leaves_one_event(app: Flask) -> None:
    client, missing = app.test_client(), []
    routes = [(route, method) for route in _closed(app) for method in sorted((route.methods or set()) - {"OPTIONS"})]
    assert len(routes) > 40
    for route, method in routes:
        given = {
            "kind": "Patient",
            "position": 0,
            "number": 1,
            "version": 1,
            "key": "weeks",
            "move": "claim",
            "code": "claim",
        }
        values = {name: given.get(name, "x") for name in route.arguments}
        if route.endpoint == "submitting.not_created":
            values["kind"] = "AuditEvent"
        if route.endpoint.startswith("auditor."):
            values.pop("kind", None)
        found = app.url_map.bind("localhost").build(route.endpoint, values, method=method)
        before = events(app)
        answer = client.open(found, method=method, headers=OURS)
        left = new_events(app, before)
        expected = [] if answer.status_code in (204, 304) else [_outcome(answer.status_code)]
        if [one["outcome"] for one in left] != expected:
            missing.append((route.endpoint, method, answer.status_code, [one["outcome"] for one in left]))
        assert all(one["agent"][0]["network"] == {"address": "127.0.0.1", "type": "2"} for one in left)
    assert missing == []


def _outcome(status: int) -> str:
    return "0" if status < 400 else "4" if status < 500 else "8"


def test_nobody_buys_an_event_without_being_known(site: Site) -> None:
    app = application(site, Gate(asks=True))
    assert app.test_client().get("/fhir/Task").status_code == 401
    assert app.test_client().get("/fhir/metadata").status_code == 200
    assert app.test_client().get("/nowhere").status_code == 404
    assert events(app) == []


@pytest.mark.parametrize(
    ("method", "path", "headers", "status", "action"),
    [
        ("DELETE", "/fhir/ServiceRequest/x", {}, 405, "D"),
        ("POST", "/fhir/Task", {}, 405, "C"),
        ("GET", "/fhir/Medication/x", {}, 404, "R"),
        ("GET", "/nowhere", {}, 404, "R"),
        ("GET", "/fhir/Task", {"Accept": "text/html"}, 406, "E"),
        ("GET", "/fhir/Task/%00", {}, 400, "R"),
    ],
)
def test_what_there_is_not_leaves_an_event_of_whoever_is_known_and_is_counted(
    site: Site, method: str, path: str, headers: dict[str, str], status: int, action: str
) -> None:
    doors = Doors(site)
    client = doors.of(callers.placer("north")).http
    before = events(doors.app)
    assert client.open(path, method=method, headers=headers).status_code == status
    left = new_events(doors.app, before)
    assert [(one["action"], one["outcome"], one["agent"][0]["who"]["identifier"]["value"]) for one in left] == [
        (action, "4", "north")
    ]
    few = replace(site, policy=replace(site.policy, limits=Limits(known=1, unknown=1)))
    app = application(few, Gate(asks=True, told=lambda: callers.placer("south")))
    given = [app.test_client().open(path, method=method, headers=headers).status_code for _ in range(30)]
    assert (given[0], 429 in given) == (status, True)


def test_signing_out_is_no_create(site: Site) -> None:
    app = application(site, Gate(asks=True, secret_key=KEY))
    add_users(site.store)
    browser, everywhere = app.test_client(), app.test_client()
    for one in (browser, everywhere):
        sign_in(one, "lead")
    before = events(app)
    assert form(browser, "/sign-out", page="/account").status_code == 303
    assert form(everywhere, "/sign-out-everywhere", page="/account").status_code == 303
    left = [one for one in new_events(app, before) if one["subtype"][0]["code"] != "read"]
    assert [(one["action"], one["subtype"][0]["code"], one["outcome"]) for one in left] == [("E", "110123", "0")] * 2


def test_what_is_typed_where_a_code_belongs_is_not_kept(app: Flask, caller: Caller) -> None:
    before = events(app)
    asked = (
        "status=Quaklebeen&code=G24.3&_tag=urn:x|Quaklebeen&owner=HealthcareService/Quaklebeen",
        "status:not=cancelled,Quaklebeen&authored-on=ge2026-01-01&modified=Quaklebeen",
        "owner=HealthcareService/intake-review&_sort=-due&_include=Task:focus&status:not=cancelled",
        f"_tag={OWN}/CodeSystem/flag|red-flag&code=http://hl7.org/fhir/sid/icd-10-cm|G24.3&_count=5",
    )
    for one in asked:
        caller.get(f"Task?{one}")
    caller.get("Task?Quaklebeen=1&_elements=Quaklebeen", Prefer="handling=lenient")
    assert [query(one) for one in new_events(app, before) if one["outcome"] == "0"] == [
        "Task?status=***&code=G24.3&_tag=***&owner=***",
        f"Task?{asked[2]}",
        f"Task?{asked[3]}",
        "Task?***=***&_elements=***",
    ]


def test_a_create_names_the_referral_and_its_patient(app: Flask, caller: Caller, site: Site) -> None:
    answer = caller.post("ServiceRequest", referral(), X_Request_Id="r-1")
    with site.store.reading() as connection:
        patients = audit.patients_of(connection, [answer.json["id"]])
    (event,) = events(app)
    assert named(event) == {f"ServiceRequest/{answer.json['id']}", *(f"Patient/{one}" for one in patients)}
    assert (event["action"], event["outcome"], profile(event)) == ("C", "0", "PatientCreate")
    assert event["entity"][-1]["what"] == {"identifier": {"value": "r-1"}}
    assert [one["requestor"] for one in event["agent"]] == [False, False, True]
    assert event["agent"][2]["name"] == "Local user"


def test_every_kind_of_call_leaves_an_event_that_r4_and_the_models_take(app: Flask, caller: Caller) -> None:
    from fhir.resources.R4B.auditevent import AuditEvent

    made = caller.post("ServiceRequest", referral())
    identity, task = made.json["id"], made.headers["Link"].partition("/Task/")[2].partition(">")[0]
    condition = {"resourceType": "Condition", "subject": {"reference": "Patient/1"}, "code": {"text": "Dystonia"}}
    put = caller.put("Patient/1", patient(ADULT_BORN, id="1"))
    caller.put("Patient/1", patient("1971-01-01", id="1"))
    caller.post("Condition", condition)
    caller.post("", bundle(entry(referral("B-1")), entry(referral("B-2"))))
    caller.post("ServiceRequest", referral(status="draft"))
    caller.post("ServiceRequest/$preview", referral())
    for path in (f"ServiceRequest/{identity}", "Patient/1", f"ServiceRequest/{identity}/_history"):
        assert caller.get(f"{path}").status_code == 200
    for path in (
        f"ServiceRequest/{identity}/_history/1",
        f"Task/{task}/$actions",
        f"ServiceRequest/{identity}/$original",
    ):
        assert caller.get(f"{path}").status_code == 200
    assert caller.get("Task?status=requested").status_code == 200
    assert caller.get("Patient/nobody").status_code == 404
    assert app.test_client().get("/").status_code == 200
    left = events(app)
    found = [(one["action"], one["subtype"][0]["code"], one["outcome"], profile(one)) for one in left]
    assert put.status_code == 201
    assert found == [
        ("C", "create", "0", "PatientCreate"),
        ("C", "create", "0", "PatientCreate"),
        ("U", "update", "0", "PatientUpdate"),
        ("C", "create", "0", "PatientCreate"),
        ("C", "create", "0", ""),
        ("C", "create", "4", ""),
        ("E", "operation", "0", ""),
        ("R", "read", "0", "PatientRead"),
        ("R", "read", "0", "PatientRead"),
        ("R", "read", "0", "PatientRead"),
        ("R", "vread", "0", "PatientRead"),
        ("E", "operation", "0", ""),
        ("E", "operation", "0", ""),
        ("E", "search-type", "0", "Query"),
        ("R", "read", "4", ""),
        ("E", "search-type", "0", "Query"),
    ]
    for one in left:
        assert [issue for issue in conformance.check(one) if issue.severity in ("error", "fatal")] == []
        assert AuditEvent.model_validate(one).id == one["id"]
        assert faults_by_balp(one) == []


_SLICES = {"Create": ("C", {"create"}), "Read": ("R", {"read", "vread"}), "Update": ("U", {"update", "patch"})}


def faults_by_balp(event: Event) -> list[str]:
    """What of the profile that an event claims does not hold (BALP 1.1.4, the slices that it requires)."""
    name = profile(event)
    if not name:
        return []
    plain, entities = name.removeprefix("Patient"), event["entity"]
    types = [one["type"]["code"] for one in entities]
    action, interactions = _SLICES.get(plain, ("E", {"search-type"}))
    roles = [one["type"]["coding"][0]["code"] for one in event["agent"]]
    wanted = {
        "action": event["action"] == action and event["outcome"] == "0",
        "subtype": bool({one["code"] for one in event["subtype"]} & interactions),
        "agents": roles[:2] == (["110152", "110153"] if action == "R" else ["110153", "110152"]),
        "who": all("who" in one and ("network" in one) == (number < 2) for number, one in enumerate(event["agent"])),
        "system object": types.count("2") == 1,
        "request": types.count("XrequestId") == 1,
        "patient": types.count("1") == 1 if name.startswith("Patient") else True,
        "query": ("query" in entities[types.index("2")]) == (plain == "Query"),
    }
    return [what for what, holds in wanted.items() if not holds]


def test_a_poll_that_is_told_nothing_new_leaves_no_event(app: Flask, caller: Caller) -> None:
    identity = caller.post("ServiceRequest", referral()).json["id"]
    before = events(app)
    client = app.test_client()
    assert client.get(f"/fhir/ServiceRequest/{identity}", headers={"If-None-Match": 'W/"1"'}).status_code == 304
    page = client.get("/refresh")
    assert client.get("/refresh", headers={"If-None-Match": page.headers["ETag"]}).status_code == 304
    assert len(new_events(app, before)) == 1


def test_a_preview_stores_nothing_but_its_event(app: Flask, caller: Caller, site: Site) -> None:
    assert caller.post("ServiceRequest/$preview", referral()).status_code == 200
    assert len(events(app)) == 1
    with site.store.reading() as connection:
        filled = [
            table.name
            for table in tables.metadata.sorted_tables
            if connection.execute(select(text("1")).select_from(table).limit(1)).first()
        ]
    assert sorted(filled) == ["audit_event"]


def test_what_was_denied_says_why_and_keeps_no_id_that_the_caller_made_up(app: Flask, caller: Caller) -> None:
    ours = "00000000-0000-4000-8000-000000000001"
    caller.get("Patient/QUAKLEBEEN-1970")
    caller.get(f"Patient/{ours}")
    app.test_client().post("/do/claim", data={}, headers={"Sec-Fetch-Site": "cross-site"})
    left = events(app)
    assert [(one["outcome"], one["outcomeDesc"], named(one)) for one in left] == [
        ("4", "not-found", set()),
        ("4", "not-found", {f"Patient/{ours}"}),
        ("4", "forbidden", set()),
    ]
    assert "QUAKLEBEEN" not in json.dumps(left)


def test_a_search_names_whom_it_found_and_keeps_no_name_that_was_asked_for(app: Flask, caller: Caller) -> None:
    known = patient(ADULT_BORN, name=[{"family": "Quaklebeen"}], identifier=[placer("MRN-77")])
    identity = caller.post("Patient", known).json["id"]
    before = events(app)
    caller.get("Patient?family=Quaklebeen&_count=5")
    caller.get("Patient?identifier=urn:example:orders|MRN-99&birthdate=1970-05-01")
    caller.get(f"Task?patient=Patient/{identity}&status=requested,accepted")
    app.test_client().post("/", data={"text": "Quaklebeen"})
    left = new_events(app, before)
    assert [(query(one), named(one), profile(one)) for one in left] == [
        ("Patient?family=***&_count=5", {f"Patient/{identity}"}, "PatientQuery"),
        ("Patient?identifier=***&birthdate=***", set(), "Query"),
        (f"Task?patient=Patient/{identity}&status=requested,accepted", set(), "Query"),
        ("/", set(), "Query"),
    ]
    assert not {"Quaklebeen", "MRN-77", "MRN-99", "1970-05-01"} & {
        word for word in ("Quaklebeen", "MRN-77", "MRN-99", "1970-05-01") if word in json.dumps(left) + query(left[1])
    }


def test_a_page_of_one_referral_and_a_move_of_it_name_its_patient(app: Flask, caller: Caller, site: Site) -> None:
    made = caller.post("ServiceRequest", referral())
    task = made.headers["Link"].partition("/Task/")[2].partition(">")[0]
    with site.store.reading() as connection:
        (of,) = audit.patients_of(connection, [made.json["id"]])
    before = events(app)
    client = app.test_client()
    client.get(f"/referrals/{made.json['id']}")
    moved = client.post(f"/referrals/{made.json['id']}/do/receive", data={"version": "1"}, headers=OURS)
    assert moved.status_code == 303
    left = new_events(app, before)
    assert [(one["action"], named(one), profile(one)) for one in left] == [
        ("R", {f"ServiceRequest/{made.json['id']}", f"Patient/{of}"}, "PatientRead"),
        ("U", {f"Task/{task}", f"Patient/{of}"}, "PatientUpdate"),
    ]


def test_many_moved_at_once_leave_an_event_each_and_one_of_the_list_shown(app: Flask, caller: Caller) -> None:
    tasks = [
        caller.post("ServiceRequest", referral(f"M-{number}")).headers["Link"].partition("/Task/")[2].partition(">")[0]
        for number in range(2)
    ]
    before = events(app)
    app.test_client().post("/do/claim", data={"task": [f"{one}.1" for one in tasks]}, headers=OURS)
    assert sorted((one["action"], len(named(one))) for one in new_events(app, before)) == [("E", 2), ("U", 2), ("U", 2)]


def test_the_same_again_names_what_was_given_back(app: Flask, caller: Caller) -> None:
    first = caller.post("ServiceRequest", referral())
    before = events(app)
    assert caller.post("ServiceRequest", referral()).status_code == 200
    (left,) = new_events(app, before)
    assert named(left) == named(before[0])
    assert f"ServiceRequest/{first.json['id']}" in named(left)


def test_no_2xx_of_a_write_without_its_event(app: Flask, caller: Caller, site: Site) -> None:
    def rename(old: str, new: str) -> None:
        with site.store.writing() as connection:
            connection.execute(text(f"ALTER TABLE {old} RENAME TO {new}"))

    rename("audit_entity", "audit_entity_away")
    try:
        assert caller.post("ServiceRequest", referral()).status_code >= 500
    finally:
        rename("audit_entity_away", "audit_entity")
    with site.store.reading() as connection:
        assert connection.execute(select(tables.service_request.c.id)).all() == []
        assert connection.execute(select(tables.received.c.id)).all() == []
    assert [one["outcome"] for one in events(app)] == ["8"]


def test_what_the_service_decides_by_itself_is_its_own_access(app: Flask, caller: Caller) -> None:
    waiting = referral("W-1", subject={"reference": "Patient/77"})
    made = caller.post("ServiceRequest", waiting)
    before = events(app)
    assert caller.put("Patient/77", patient(id="77")).status_code == 201
    later = [one for one in new_events(app, before) if one["agent"][0].get("name") == "Referral service"]
    assert [(one["action"], f"ServiceRequest/{made.json['id']}" in named(one)) for one in later] == [("U", True)]
    with app.extensions["site"].store.reading() as connection:
        kinds = connection.execute(
            select(tables.audit_event.c.actor_kind).where(tables.audit_event.c.id == later[0]["id"])
        )
        assert kinds.scalars().all() == ["machine"]


@pytest.fixture
def reader(app: Flask, caller: Caller) -> FlaskClient:
    """A trail of three: a create, a read of it, and one that was not found."""
    identity = caller.post("ServiceRequest", referral()).json["id"]
    caller.get(f"ServiceRequest/{identity}")
    events(app)
    caller.get("ServiceRequest/nobody")
    events(app)
    return app.test_client()


def _found(reader: FlaskClient, address: str) -> list[tuple[str, str]]:
    answer = reader.get(address)
    assert answer.status_code == 200, answer.text
    reader.application.extensions["recorder"].settle()
    return [(one["resource"]["action"], one["resource"]["outcome"]) for one in answer.json.get("entry", [])]


def test_the_trail_is_searched_newest_first(app: Flask, reader: FlaskClient) -> None:
    created, read, _ = events(app)
    patient_ = next(one for one in named(created) if one.startswith("Patient/"))
    other = next(one for one in named(created) if one.startswith("ServiceRequest/"))
    base = "/fhir/AuditEvent"
    assert _found(reader, base) == [("R", "4"), ("R", "0"), ("C", "0")]
    both = [("R", "0"), ("C", "0")]
    for asked in (
        f"patient={patient_}",
        f"patient={patient_.partition('/')[2]}",
        f"entity={other}",
        "outcome=0&action=R,C",
    ):
        assert _found(reader, f"{base}?{asked}") == both
    assert _found(reader, f"{base}?entity={other}&action=R") == [("R", "0")]
    assert _found(reader, f"{base}?_id={read['id']}") == [("R", "0")]
    assert _found(reader, f"{base}?agent=nobody") == []
    assert _found(reader, f"{base}?agent:identifier=local&outcome=4&date=lt2020") == []
    assert _found(reader, f"{base}?outcome=4&date=ge2020") == [("R", "4")]
    posted = reader.post(f"{base}/_search", data={"patient": patient_, "_count": "1"})
    assert [one["resource"]["id"] for one in posted.json["entry"]] == [read["id"]]
    assert reader.get(f"{base}/{read['id']}").json == read
    assert reader.get(f"{base}/nobody").status_code == 404
    assert reader.get(f"{base}?_sort=date").status_code == 400
    assert reader.get(f"{base}?family=x").status_code == 400


def test_pages_of_the_trail_follow_one_another_while_events_arrive(app: Flask, reader: FlaskClient) -> None:
    before = [one["id"] for one in events(app)]
    seen, address = [], "/fhir/AuditEvent?_count=1"
    for _ in range(3):
        answer = reader.get(address).json
        events(app)
        seen += [one["resource"]["id"] for one in answer["entry"]]
        address = next((one["url"] for one in answer["link"] if one["relation"] == "next"), "")
    assert (seen, address) == (before[::-1], "")


def test_the_total_of_a_trail_is_that_of_all_pages(app: Flask, reader: FlaskClient) -> None:
    assert reader.get("/fhir/AuditEvent?_count=1&_total=accurate").json["total"] == 3
    events(app)
    assert reader.get("/fhir/AuditEvent?_summary=count&outcome=4").json["total"] == 1


def test_the_page_of_the_trail_is_narrowed_by_day_person_patient_action_and_outcome(reader: FlaskClient) -> None:
    app = reader.application
    patient_ = next(one for one in named(events(app)[0]) if one.startswith("Patient/")).partition("/")[2]

    def rows(asked: str) -> int:
        answer = reader.get(f"/audit{asked}")
        events(app)
        assert answer.status_code == 200
        return answer.text.count("<tr role") - 1

    assert rows("?outcome=4") == 1
    assert rows(f"?patient={patient_}") == 2
    assert rows(f"?patient={patient_}&action=C") == 1
    assert rows("?person=nobody") == -1
    assert "Nothing fits" in reader.get("/audit?to=2020-01-01").text
    assert reader.get("/audit?from=yesterday").status_code == 400
    assert reader.get("/audit?action=X").status_code == 400
    assert rows(f"/patients/{patient_}") == 2
    assert "Nobody has touched them" in reader.get("/audit/patients/00000000").text


def test_an_empty_trail_says_so(app_client: FlaskClient) -> None:
    assert "Nobody has touched anything yet" in app_client.get("/audit").text


def test_only_auditors_open_the_trail() -> None:
    opened = {name: rule for name, rule in RULES.items() if name.startswith(("auditor.", "trail."))}
    assert len(opened) == 5
    assert {(rule.scope, rule.roles, rule.is_public) for rule in opened.values()} == {
        (None, frozenset({"auditor"}), False)
    }


def test_a_read_by_the_senders_own_id_names_ours_alone(app: Flask, caller: Caller) -> None:
    theirs = "11111111-2222-4333-8444-555555555555"
    made = caller.put(f"Patient/{theirs}", patient(id=theirs))
    before = events(app)
    assert caller.get(f"Patient/{theirs}").status_code == 200
    (left,) = new_events(app, before)
    assert (named(left), profile(left)) == ({f"Patient/{made.json['id']}"}, "PatientRead")


def test_a_page_that_says_why_a_move_was_not_made_names_the_patient_it_shows(app: Flask, caller: Caller) -> None:
    made = caller.post("ServiceRequest", referral())
    before = events(app)
    address = f"/referrals/{made.json['id']}/do/reject"
    assert app.test_client().post(address, data={"version": "1"}, headers=OURS).status_code == 422
    (left,) = new_events(app, before)
    assert (left["action"], left["outcome"]) == ("U", "4")
    assert named(left) == named(before[0])


def test_an_export_names_whom_it_lists(app: Flask, caller: Caller) -> None:
    made = caller.post("ServiceRequest", referral())
    before = events(app)
    assert made.json["id"] in app.test_client().get("/worklist.csv?queue=all").text
    left = new_events(app, before)
    patients = {one for one in named(before[0]) if one.startswith("Patient/")}
    assert [(one["action"], query(one)) for one in left] == [("E", "/worklist.csv?queue=all"), ("E", "/worklist.csv")]
    assert [named(one) for one in left] == [set(), patients]


def test_a_text_that_was_not_taken_is_named_by_its_own_id(app: Flask, caller: Caller) -> None:
    caller.post("ServiceRequest", referral(status="draft"))
    client = app.test_client()
    with app.extensions["site"].store.reading() as connection:
        received = connection.execute(select(tables.received.c.id)).scalar_one()
    before = events(app)
    for path in (f"/not-taken/{received}", f"/not-taken/{received}/text", f"/referrals/new?source={received}~0"):
        assert client.get(path).status_code == 200
    assert [query(one) for one in new_events(app, before)] == [f"not-taken/{received}"] * 3


def test_an_alert_that_is_acknowledged_leaves_its_event_with_it(app: Flask, caller: Caller) -> None:
    caller.post("ServiceRequest", referral(reason="Acute dystonic reaction after metoclopramide"))
    with app.extensions["site"].store.reading() as connection:
        alert = connection.execute(select(tables.alert.c.id)).scalar_one()
    before = events(app)
    assert app.test_client().post(f"/alerts/{alert}/acknowledge", headers=OURS).status_code == 303
    (left,) = new_events(app, before)
    assert (left["action"], profile(left), named(left)) == ("U", "PatientUpdate", named(before[0]))
