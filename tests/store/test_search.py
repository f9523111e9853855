"""Search against a real database: what each parameter finds, and how a result is paged and put together."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from sqlalchemy import update

from referral_service.fhir.search import Cursor, SearchQuery, parse_search
from referral_service.store import tables
from referral_service.store.engine import Store
from referral_service.store.search import search
from referral_service.store.search.matching import Scope
from referral_service.store.search.paging import page_statement
from referral_service.store.sight import Sight
from referral_service.store.writes import Rows, bounded, insert_all

BASE = "https://here.example/fhir"
CLIENT, STRANGER = "clinic", "stranger"
ADULT, CHILD, REVIEW = "adult-movement-disorders", "pediatric-neuromotor", "intake-review"
FLAG = "https://referral-service.example/fhir/CodeSystem/flag"
SUBSETTED = {"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "code": "SUBSETTED"}
THEIRS = {"Patient/their-1": "Patient/p1", "Task/their-t1": "Task/t1", "Practitioner/their-d": "Practitioner/d1"}


def at(minute: int) -> str:
    return f"2026-03-16T12:{minute:02}:00.000Z"


def text_of(kind: str, identity: str, **elements: Any) -> str:
    return json.dumps({"resourceType": kind, "id": identity, **elements}, separators=(",", ":"))


def add(rows: Rows, table: Any, **values: Any) -> None:
    rows.setdefault(table, []).append({"client": CLIENT, **values})


def add_tokens(rows: Rows, kind: str, owner: str, client: str = CLIENT, **pairs: list[tuple[str, str]]) -> None:
    for param, listed in pairs.items():
        for system, value in listed:
            add(rows, tables.token, owner=owner, type=kind, param=param, system=system, value=value, client=client)


def add_patient(rows: Rows, identity: str, minute: int, client: str = CLIENT, **columns: Any) -> None:
    names = [{"family": columns.get("family", "Ng"), "given": columns.get("given", [])}]
    content = text_of("Patient", identity, name=names)
    shared = {"id": identity, "client": client, "type": "Patient", "version": 1, "last_updated": at(minute)}
    birth_date = columns.get("birth_date")
    add(rows, tables.resource, **shared, content=content, content_hash="", birth_date=birth_date)
    family = [("", str(columns.get("family", "Ng")).lower())]
    given = [("", name.lower()) for name in columns.get("given", [])]
    add_tokens(rows, "Patient", identity, client, identifier=[("nhs", identity)], family=family, given=given)


def add_referral(rows: Rows, identity: str, minute: int, client: str = CLIENT, **columns: Any) -> None:
    """A referral ``r…`` with its Task ``t…``."""
    task_id = columns.pop("task_id", identity.replace("r", "t"))
    of_task = columns.pop("task", {})
    received = f"in-{identity}"
    shared: dict[str, Any] = {"client": client, "version": 1, "last_updated": at(minute)}
    receipt: dict[str, Any] = {
        "id": received,
        "client": client,
        "request_id": "x",
        "door": "create",
        "result": "decided",
    }
    add(rows, tables.received, **receipt, at=at(minute), body=b"", answers=None)
    request = {"status": "active", "intent": "order", "priority": "routine", "requester": "Practitioner/d1", **columns}
    fixed = {"received_on": "2026-03-16", "path": "", "content_hash": "", "disposition": "routed", "decision": "{}"}
    kept = {"decision_input": "{}", "input_hash": "", "content": text_of("ServiceRequest", identity)}
    add(rows, tables.service_request, **shared, id=identity, received_id=received, **fixed, **kept, **request)
    task: dict[str, Any] = {
        "queue": ADULT,
        "status": "requested",
        "priority_rank": 0,
        "due": "2026-03-20",
        "flags": ",,",
        **of_task,
    }
    dated = {"red_flag": 0, "by_hand": 0, "authored_on": at(minute), "requester": request["requester"]}
    own = {"id": task_id, "referral_id": identity, "patient_id": columns.get("patient_id")}
    own |= {"born": "", "sender": "", "sender_code": "", "masked": 0}
    add(rows, tables.task, **shared, **own, **{**dated, **task}, content=text_of("Task", task_id))
    identifier = [("urn:orders", identity)]
    add_tokens(rows, "ServiceRequest", identity, client, identifier=identifier)


def small_world() -> Rows:
    """Three referrals of one client and one of another that is like the first in everything."""
    rows: Rows = {}
    add_patient(rows, "p1", 1, family="Öz", given=["Ada", "Mary Ann"], birth_date="1990-05-17")
    add_patient(rows, "p2", 2, family="McNeil", given=["ADA"], birth_date="1990")
    add_patient(rows, "p9", 3, client=STRANGER, family="Öz", given=["Ada"], birth_date="1990-05-17")
    first = {"assignee": "Dr. Bell", "business_status": "triage", "flags": ",red-flag,deceased,", "priority_rank": 3}
    add_referral(rows, "r1", 1, patient_id="p1", authored_on="2026-03-01T00:30:00+02:00", task=first)
    second = {"status": "completed", "queue": CHILD, "due": "2026-03-25", "assignee": "ann", "flags": ",deceased,"}
    columns = {"priority": "urgent", "intent": "plan", "requester": "Organization/o1", "authored_on": "2026-03"}
    add_referral(rows, "r2", 2, patient_id="p2", subject="Patient/p2", task=second, **columns)
    third = {"queue": REVIEW, "status": "on-hold"}
    add_referral(rows, "r3", 3, subject="Patient/not-here", status="revoked", requester=None, task=third)
    add_referral(rows, "r9", 1, client=STRANGER, patient_id="p9", task=first)
    add_tokens(rows, "ServiceRequest", "r1", code=[("sct", "1")], _tag=[("icd", "G24.3"), (FLAG, "red-flag")])
    add_tokens(rows, "ServiceRequest", "r3", _awaits=[("", "Patient/not-here")], code=[("", "1")])
    return rows


@pytest.fixture
def world(store: Store) -> Store:
    with store.writing() as connection:
        insert_all(connection, small_world())
    return store


def asked(kind: str, text: str, *, lenient: bool = False) -> SearchQuery:
    parsed = parse_search(kind, parse_qsl(text, keep_blank_values=True), lenient=lenient)
    assert isinstance(parsed, SearchQuery), parsed
    return parsed


def bundle(store: Store, kind: str, text: str = "", client: str = CLIENT, *, lenient: bool = False) -> Any:
    """Asked three times, as by whoever polls: the statement is kept at the second, so the third answer is of it."""
    query = asked(kind, text, lenient=lenient)
    first, _, third = (answered(store, query, client, THEIRS) for _ in range(3))
    assert third == first
    return json.loads(first)


def answered(store: Store, query: SearchQuery, client: str, named: Mapping[str, str]) -> bytes:
    with store.reading() as connection:
        return search(connection, Sight(client), query, base_url=BASE, resolve=named.get)


def found(store: Store, kind: str, text: str = "", client: str = CLIENT) -> list[str]:
    return [entry["resource"]["id"] for entry in bundle(store, kind, text, client).get("entry", [])]


def link(page: Any, relation: str) -> str | None:
    return next((one["url"] for one in page["link"] if one["relation"] == relation), None)


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("", ["t1", "t2", "t3"]),
        ("_id=t2,t1,t9", ["t1", "t2"]),
        ("_id=their-t1", ["t1"]),
        ("_lastUpdated=2026-03-16", ["t1", "t2", "t3"]),
        ("_lastUpdated=2026-03-17", []),
        ("_lastUpdated=2026-03-16T12:02", ["t2"]),
        ("_lastUpdated=gt2026-03-16T12:02:00.000Z", ["t3"]),
        ("_lastUpdated=ge2026-03-16T12:02:00.000Z", ["t2", "t3"]),
        ("_lastUpdated=lt2026-03-16T12:02:00.000Z", ["t1"]),
        ("_lastUpdated=le2026-03-16T12:02:00.000Z", ["t1", "t2"]),
        ("modified=ne2026-03-16T12:02", ["t1", "t3"]),
        ("authored-on=sa2026-03-16T12:02", ["t3"]),
        ("authored-on=eb2026-03-16T12:02", ["t1"]),
        ("authored-on=2026-03-16T12:01,2026-03-16T12:03", ["t1", "t3"]),
        ("_lastUpdated=ge2026-03-16T12:02&_lastUpdated=lt2026-03-16T12:03", ["t2"]),
        ("_tag=red-flag", ["t1"]),
        (f"_tag={FLAG}|deceased", ["t1", "t2"]),
        ("_tag=urn:other|deceased", []),
        ("_tag=RED-FLAG", []),
        ("_tag=flag", []),
        (f"_tag={FLAG}|", ["t1", "t2"]),
        ("_tag:not=red-flag", ["t2", "t3"]),
        ("_tag:missing=true", ["t3"]),
        ("_tag:missing=false", ["t1", "t2"]),
        ("status=requested", ["t1"]),
        ("status=http://hl7.org/fhir/task-status|requested,on-hold", ["t1", "t3"]),
        ("status=urn:other|requested", []),
        ("status=unheard-of", []),
        ("status:not=requested", ["t2", "t3"]),
        ("status:not=requested&_sort=-_lastUpdated", ["t3", "t2"]),
        ("status:not=requested&priority=routine", ["t2", "t3"]),
        ("status:missing=true", []),
        ("status:missing=false&_sort=status", ["t2", "t3", "t1"]),
        ("status=requested&status=completed", []),
        ("business-status=triage", ["t1"]),
        ("business-status=https://referral-service.example/fhir/CodeSystem/business-status|triage", ["t1"]),
        ("business-status:not=triage", ["t2", "t3"]),
        ("business-status:missing=true", ["t2", "t3"]),
        ("priority=stat,asap", ["t1"]),
        ("priority:not=routine", ["t1"]),
        (f"owner=HealthcareService/{CHILD}", ["t2"]),
        (f"owner={CHILD},{REVIEW}", ["t2", "t3"]),
        (f"owner={BASE}/HealthcareService/{ADULT}", ["t1"]),
        (f"owner=https://else.example/HealthcareService/{ADULT}", []),
        (f"owner={ADULT}&status=requested", ["t1"]),
        (f"owner={ADULT}&priority=stat", ["t1"]),
        (f"owner={ADULT}&status=completed", []),
        ("patient=Patient/p1", ["t1"]),
        ("patient=p1,p2,p9", ["t1", "t2"]),
        ("patient=Patient/their-1", ["t1"]),
        ("patient=their-1", ["t1"]),
        (f"patient={BASE}/Patient/p1", ["t1"]),
        ("patient=Patient/not-here", ["t3"]),
        ("patient=Device/p1", []),
        ("patient:missing=true", ["t3"]),
        ("requester=Practitioner/d1", ["t1"]),
        ("requester=Practitioner/their-d", ["t1"]),
        ("requester=o1", ["t2"]),
        ("requester:Practitioner=o1", []),
        ("requester:missing=true", ["t3"]),
        ("focus=ServiceRequest/r2", ["t2"]),
        ("focus:ServiceRequest=r2", ["t2"]),
        ("focus=r9", []),
        ("identifier=urn:ietf:rfc:3986|urn:uuid:t1", ["t1"]),
        ("identifier=urn:uuid:t1,urn:orders|r2", ["t1", "t2"]),
        ("identifier=urn:ietf:rfc:3986|", ["t1", "t2", "t3"]),
        ("identifier=urn:orders|r2", ["t2"]),
        ("identifier=r2", ["t2"]),
        ("identifier=|r2", []),
        ("identifier:not=r2", ["t1", "t3"]),
        ("code=fulfill", ["t1", "t2", "t3"]),
        ("code=http://hl7.org/fhir/CodeSystem/task-code|approve", []),
        ("due=2026-03-20", ["t1", "t3"]),
        ("due=gt2026-03-20", ["t2"]),
        ("due=le2026-03-20", ["t1", "t3"]),
        ("due=lt2026-03-25T08:00:00Z", ["t1", "t2", "t3"]),
        ("assignee=dr. b", ["t1"]),
        ("assignee=%25", []),
        ("assignee:contains=BELL", ["t1"]),
        ("assignee:exact=ann", ["t2"]),
        ("assignee:exact=Ann", []),
        ("assignee:missing=true", ["t3"]),
        ("patient.identifier=nhs|p1", ["t1"]),
        ("patient:Patient.identifier=p1,p2", ["t1", "t2"]),
        ("patient.identifier=p9", []),
        ("focus:ServiceRequest.identifier=urn:orders|r3", ["t3"]),
        ("focus:ServiceRequest.identifier=r9", []),
    ],
)
def test_a_task_is_found_by(world: Store, text: str, ids: list[str]) -> None:
    assert found(world, "Task", text) == ids


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("", ["r1", "r2", "r3"]),
        ("_id=r1", ["r1"]),
        ("_lastUpdated=gt2026-03-16T12:02", ["r3"]),
        ("_tag=G24.3", ["r1"]),
        ("_tag=icd|G24.3,icd|G24.9", ["r1"]),
        ("_tag=G24.3&_tag=red-flag", ["r1"]),
        ("_tag=icd|", ["r1"]),
        ("_tag:not=G24.3", ["r2", "r3"]),
        ("_tag:missing=true", ["r2", "r3"]),
        ("identifier=urn:orders|r2,r3", ["r2", "r3"]),
        ("identifier=urn:orders|r9", []),
        ("status=revoked", ["r3"]),
        ("status:not=revoked", ["r1", "r2"]),
        ("intent=http://hl7.org/fhir/request-intent|plan", ["r2"]),
        ("priority=urgent", ["r2"]),
        ("subject=Patient/p1", ["r1"]),
        ("subject=p2", ["r2"]),
        ("subject:Patient=Patient/their-1", ["r1"]),
        ("subject=Patient/not-here", ["r3"]),
        ("subject:missing=true", []),
        ("patient=p1,p2", ["r1", "r2"]),
        ("patient=not-here", ["r3"]),
        ("patient.identifier=nhs|p2", ["r2"]),
        ("patient.identifier=p9", []),
        ("requester=Organization/o1", ["r2"]),
        ("authored=2026-02-28", ["r1"]),
        ("authored=2026-03", ["r2"]),
        ("authored=2026-03-01", []),
        ("authored=lt2026-03-01", ["r1"]),
        ("authored=gt2026-03-30", ["r2"]),
        ("authored=ge2026-02-28T22:30:00Z", ["r1", "r2"]),
        ("authored:missing=true", ["r3"]),
        ("code=1", ["r1", "r3"]),
        ("code=sct|1", ["r1"]),
        ("code=|1", ["r3"]),
        ("code:missing=true", ["r2"]),
    ],
)
def test_a_referral_is_found_by(world: Store, text: str, ids: list[str]) -> None:
    assert found(world, "ServiceRequest", text) == ids


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("", ["p1", "p2"]),
        ("_id=p1", ["p1"]),
        ("_id=their-1", ["p1"]),
        ("identifier=nhs|p2", ["p2"]),
        ("birthdate=1990", ["p1", "p2"]),
        ("birthdate=1990-05", ["p1"]),
        ("birthdate=1990-05-17", ["p1"]),
        ("birthdate=lt1990-05", ["p2"]),
        ("birthdate=gt1990-05", ["p2"]),
        ("birthdate=le1990-05-17", ["p1", "p2"]),
        ("birthdate=sa1989", ["p1", "p2"]),
        ("birthdate=ne1990-05-17", ["p2"]),
        ("family=mc", ["p2"]),
        ("family=öZ", ["p1"]),
        ("family=neil", []),
        ("family:contains=NEIL", ["p2"]),
        ("family:exact=McNeil", ["p2"]),
        ("family:exact=mcneil", []),
        ("given=ada", ["p1", "p2"]),
        ("given:exact=Ada", ["p1"]),
        ("given=mary", ["p1"]),
        ("given=ann", []),
        ("given=_da", []),
        ("given=ada&family=mc", ["p2"]),
        ("given:missing=true", []),
    ],
)
def test_a_patient_is_found_by(world: Store, text: str, ids: list[str]) -> None:
    assert found(world, "Patient", text) == ids


def test_a_client_finds_only_its_own(world: Store) -> None:
    assert found(world, "Task", "patient=p9,p1", STRANGER) == ["t9"]
    assert found(world, "Patient", "given=ada", STRANGER) == ["p9"]
    assert found(world, "ServiceRequest", "_include=ServiceRequest:patient", STRANGER) == ["r9", "p9"]
    assert found(world, "ServiceRequest", "", "nobody") == []


@pytest.mark.parametrize(
    ("kind", "sort", "ids"),
    [
        ("Task", "-_lastUpdated", ["t3", "t2", "t1"]),
        ("Task", "-_id", ["t3", "t2", "t1"]),
        ("Task", "-priority,-due", ["t1", "t2", "t3"]),
        ("Task", "due,-authored-on", ["t3", "t1", "t2"]),
        ("Task", "business-status,-owner", ["t2", "t3", "t1"]),
        ("ServiceRequest", "-priority,_id", ["r2", "r1", "r3"]),
        ("ServiceRequest", "-authored", ["r2", "r1", "r3"]),
        ("Patient", "family", ["p2", "p1"]),
        ("Patient", "given,-birthdate", ["p1", "p2"]),
    ],
)
def test_a_result_is_sorted_by_and_pages_in_the_same_order(world: Store, kind: str, sort: str, ids: list[str]) -> None:
    pages, following = [], f"{BASE}/{kind}?_sort={sort}&_count=1"
    while following:
        page = bundle(world, kind, urlsplit(following).query)
        pages += [entry["resource"]["id"] for entry in page["entry"]]
        following = link(page, "next") or ""
    assert (found(world, kind, f"_sort={sort}"), pages) == (ids, ids)


def test_a_page_is_a_searchset_of_the_stored_texts(world: Store) -> None:
    page = bundle(world, "Task", "_sort=due&_count=1&_include=Task:focus&_include=Task:patient&_total=accurate")
    following = link(page, "next")
    assert following is not None
    assert page == {
        "resourceType": "Bundle",
        "type": "searchset",
        "total": 3,
        "link": [
            {
                "relation": "self",
                "url": f"{BASE}/Task?_sort=due&_count=1&_include=Task:focus&_include=Task:patient&_total=accurate",
            },
            {"relation": "next", "url": following},
        ],
        "entry": [
            {
                "fullUrl": f"{BASE}/Task/t1",
                "resource": {"resourceType": "Task", "id": "t1"},
                "search": {"mode": "match"},
            },
            {
                "fullUrl": f"{BASE}/ServiceRequest/r1",
                "resource": {"resourceType": "ServiceRequest", "id": "r1"},
                "search": {"mode": "include"},
            },
            {
                "fullUrl": f"{BASE}/Patient/p1",
                "resource": json.loads(small_world()[tables.resource][0]["content"]),
                "search": {"mode": "include"},
            },
        ],
    }


def test_a_stored_text_is_pasted_as_it_is(world: Store) -> None:
    text = '{"resourceType":"Task","id":"t1","x":1.10,"e":1e3}'
    with world.writing() as connection:
        connection.execute(update(tables.task).where(tables.task.c.id == "t1").values(content=text))
        written = search(connection, Sight(CLIENT), asked("Task", "_id=t1"), base_url=BASE, resolve=THEIRS.get)
    assert text.encode() in written


def test_what_is_included_comes_once_and_after_the_matches(world: Store) -> None:
    both = "_include=ServiceRequest:subject&_include=ServiceRequest:patient&_revinclude=Task:focus"
    assert found(world, "ServiceRequest", both) == ["r1", "r2", "r3", "p1", "p2", "t1", "t2", "t3"]
    assert found(world, "Task", "_include=Task:owner") == ["t1", "t2", "t3"]


def test_rows_that_arrive_or_change_while_one_pages_are_met_and_none_is_lost(world: Store) -> None:
    first = bundle(world, "Task", "_count=2")
    following = link(first, "next")
    assert following is not None
    with world.writing() as connection:
        rows: Rows = {}
        add_referral(rows, "r0", 0)
        add_referral(rows, "r4", 4)
        insert_all(connection, rows)
        connection.execute(update(tables.task).where(tables.task.c.id == "t1").values(last_updated=at(9)))
    assert [entry["resource"]["id"] for entry in first["entry"]] == ["t1", "t2"]
    assert found(world, "Task", urlsplit(following).query.replace("_count=2", "_count=9")) == ["t3", "t4", "t1"]


def test_a_search_asked_again_and_again_finds_what_has_come_since(world: Store) -> None:
    assert found(world, "Task", f"owner={ADULT}") == ["t1"]
    with world.writing() as connection:
        rows: Rows = {}
        add_referral(rows, "r4", 4)
        insert_all(connection, rows)
    assert found(world, "Task", f"owner={ADULT}") == ["t1", "t4"]


def test_a_name_of_the_senders_own_is_looked_up_each_time(world: Store) -> None:
    query = asked("Task", "patient=Patient/mine")

    def ids(leads_to: str) -> list[str]:
        page = json.loads(answered(world, query, CLIENT, {"Patient/mine": leads_to}))
        return [entry["resource"]["id"] for entry in page["entry"]]

    assert [ids(f"Patient/{one}") for one in ("p1", "p1", "p1", "p2")] == [["t1"], ["t1"], ["t1"], ["t2"]]


def test_a_worklist_pages_through_all_its_statuses_and_queues_in_one_order(store: Store) -> None:
    rows: Rows = {}
    places = [(status, queue) for status in ("requested", "accepted", "completed") for queue in (ADULT, CHILD, REVIEW)]
    for number in range(45):
        status, queue = places[number * 7 % 9]
        add_referral(rows, f"r{number:02}", number % 20, task={"status": status, "queue": queue})
    with store.writing() as connection:
        insert_all(connection, rows)
    wanted = [
        (row["last_updated"], row["id"])
        for row in rows[tables.task]
        if row["status"] != "completed" and row["queue"] != REVIEW
    ]
    for sort, falls in (("_lastUpdated", False), ("-_lastUpdated", True)):
        pages = []
        following = f"?status:not=completed&owner={ADULT},{CHILD}&_sort={sort}&_count=3"
        while following:
            page = bundle(store, "Task", urlsplit(following).query)
            pages += [entry["resource"]["id"] for entry in page["entry"]]
            following = link(page, "next") or ""
        assert pages == [identity for _, identity in sorted(wanted, reverse=falls)]


def test_a_total_is_told_when_it_is_known_or_asked_for(world: Store) -> None:
    def total(text: str) -> int | None:
        number: int | None = bundle(world, "Task", text).get("total")
        return number

    asked_for = ["", "_count=1", "_count=1&_total=estimate", "_total=none", "_count=0", "_summary=count&status=on-hold"]
    assert [total(text) for text in asked_for] == [3, None, 3, None, 3, 1]


def test_a_count_has_no_entries_and_no_next_page(world: Store) -> None:
    assert bundle(world, "Task", "_summary=count&status:not=on-hold") == {
        "resourceType": "Bundle",
        "type": "searchset",
        "total": 2,
        "link": [{"relation": "self", "url": f"{BASE}/Task?_summary=count&status:not=on-hold"}],
    }


def test_nothing_found_is_a_bundle_without_entries(world: Store) -> None:
    assert bundle(world, "Patient", "family=nobody") == {
        "resourceType": "Bundle",
        "type": "searchset",
        "total": 0,
        "link": [{"relation": "self", "url": f"{BASE}/Patient?family=nobody"}],
    }


def test_what_was_ignored_is_told_in_an_outcome_of_the_bundle(world: Store) -> None:
    page = bundle(world, "Task", "_id=t1&colour=x", lenient=True)
    assert page["entry"][1:] == [
        {
            "resource": {
                "resourceType": "OperationOutcome",
                "issue": [
                    {
                        "severity": "warning",
                        "code": "not-supported",
                        "details": {
                            "coding": [
                                {
                                    "system": "https://referral-service.example/fhir/CodeSystem/issue",
                                    "code": "search-parameter",
                                }
                            ]
                        },
                        "diagnostics": "The parameter colour is not known for Task and was ignored.",
                    }
                ],
            },
            "search": {"mode": "outcome"},
        }
    ]


def test_elements_cut_the_matches_and_a_summary_cuts_what_is_included_too(world: Store) -> None:
    def shown(text: str) -> list[Any]:
        return [entry["resource"] for entry in bundle(world, "Task", f"_id=t2&_include=Task:patient&{text}")["entry"]]

    whole = json.loads(small_world()[tables.resource][1]["content"])
    task = {"resourceType": "Task", "id": "t2", "meta": {"tag": [SUBSETTED]}}
    assert shown("_elements=status") == [task, whole]
    assert shown("_summary=data") == [task, {**whole, "meta": {"tag": [SUBSETTED]}}]


def test_a_cursor_tells_nothing_of_a_patient(world: Store) -> None:
    following = link(bundle(world, "Patient", "_sort=family,birthdate&_count=1"), "next")
    again = link(bundle(world, "Patient", "_sort=_id&_count=1"), "next")
    assert following is not None
    assert again is not None
    query = asked("Patient", urlsplit(following).query)
    assert query.after is not None
    assert (query.after.values, query.after.id) == ((None, None), "p2")


def test_a_cursor_of_a_row_that_is_not_here_begins_at_the_beginning(world: Store) -> None:
    following = link(bundle(world, "Patient", "_sort=family&_count=1"), "next")
    assert following is not None
    assert found(world, "Patient", urlsplit(following).query, STRANGER) == ["p9"]


def test_a_key_too_long_for_an_index_is_found_all_the_same(store: Store) -> None:
    value = "x" * 300
    rows: Rows = {}
    add_referral(rows, "r1", 1)
    add_tokens(rows, "ServiceRequest", "r1", code=[("", bounded(value))])
    with store.writing() as connection:
        insert_all(connection, rows)
    assert found(store, "ServiceRequest", f"code={value}") == ["r1"]


def plan(store: Store, kind: str, text: str, after: Cursor | None = None) -> list[str]:
    """The lines of SQLite's plan that touch stored rows."""
    with store.reading() as connection:
        statement = page_statement(Scope(Sight(CLIENT), BASE, THEIRS.get), asked(kind, text), after, 21)
        sql = str(statement.compile(connection, compile_kwargs={"literal_binds": True}))
        lines = [str(row[3]) for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}")]
    names = ("task", "service_request", "resource", "token")
    return [line for line in lines if any(line.startswith((f"SCAN {name}", f"SEARCH {name}")) for name in names)]


PLANNED_BY_SQLITE = pytest.mark.parametrize("store", ["sqlite"], indirect=True)
"""PostgreSQL plans by statistics, which an empty table has none of."""


@pytest.mark.parametrize(
    ("kind", "text", "columns"),
    [
        ("Task", f"status=requested&owner={ADULT}", ["(status=? AND queue=?)"]),
        ("Task", f"status=requested&owner={ADULT}&_lastUpdated=gt2026", ["(status=? AND queue=? AND last_updated>?)"]),
        ("Task", "status=requested", ["(status=? AND queue=?)"] * 3),
        ("Task", f"owner={ADULT}", ["(status=? AND queue=?)"] * 10),
        ("Task", f"status=requested&owner={ADULT}&priority=stat", ["(status=? AND queue=?)"]),
        ("Task", f"status=requested&owner={ADULT}&_sort=-priority", ["(status=? AND queue=?)"]),
        ("Task", "_lastUpdated=gt2026-03-01", ["(client=? AND last_updated>?)"]),
        ("ServiceRequest", "_lastUpdated=gt2026-03-01", ["(client=? AND last_updated>?)"]),
        ("Task", "_id=t1", ["(id=?)"]),
    ],
)
@PLANNED_BY_SQLITE
def test_a_worklist_and_a_poll_read_a_range_of_an_index(store: Store, kind: str, text: str, columns: list[str]) -> None:
    lines = plan(store, kind, text)
    assert [line[line.index("(") :] for line in lines] == columns
    assert all(line.startswith("SEARCH") for line in lines)


@PLANNED_BY_SQLITE
def test_a_later_page_of_a_worklist_begins_in_the_index_where_the_one_before_ended(store: Store) -> None:
    (line,) = plan(store, "Task", f"status=requested&owner={ADULT}", Cursor((at(1),), "t1"))
    assert line[line.index("(") :] == "(status=? AND queue=? AND (last_updated,id)>(?,?))"


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("Task", "patient=Patient/p1"),
        ("Task", "patient.identifier=nhs|p1"),
        ("Task", "identifier=urn:orders|r1"),
        ("Task", "focus:ServiceRequest.identifier=r1"),
        ("ServiceRequest", "identifier=r1"),
        ("ServiceRequest", "patient=p1"),
        ("ServiceRequest", "patient.identifier=p1"),
        ("Patient", "identifier=p1"),
    ],
)
@PLANNED_BY_SQLITE
def test_what_leads_to_a_few_ids_never_walks_all_rows(store: Store, kind: str, text: str) -> None:
    lines = plan(store, kind, text)
    assert [line for line in lines if line.startswith("SCAN") or line.endswith("(client=?)")] == []
