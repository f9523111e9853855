"""What a token allows is asked of each entry of a Bundle and of what a search brings along."""

from __future__ import annotations

from typing import Any

import pytest

from referral_service.intake import Site
from tests.callers import Doors, placer
from tests.shapes import Caller, Resource, bundle, entry, ledger_of, patient, referral, rules


@pytest.fixture
def doors(site: Site) -> Doors:
    return Doors(site)


def answers(found: Any) -> list[tuple[str, list[tuple[str, str]]]]:
    """The status of each entry with the rules and places of its errors."""
    return [
        (one["response"]["status"][:3], rules(one["response"]["outcome"]) if "outcome" in one["response"] else [])
        for one in found.get_json(force=True)["entry"]
    ]


def lacking(scopes: str) -> str:
    """https://www.rfc-editor.org/rfc/rfc6750#section-3.1"""
    return f'Bearer error="insufficient_scope", scope="{scopes}"'


def with_scopes(doors: Doors, scopes: str) -> Caller:
    return doors.of(placer("north", scopes))


def put(resource: Resource) -> Resource:
    return entry(resource, None, "PUT", f"{resource['resourceType']}/{resource['id']}")


def test_each_entry_of_a_batch_needs_its_own_scope(doors: Doors) -> None:
    caller = with_scopes(doors, "system/ServiceRequest.c system/Patient.u")
    found = caller.post("", bundle(entry(referral("A-1")), entry(patient()), put(patient(id="1")), kind="batch"))
    assert (found.status_code, answers(found)) == (
        200,
        [("201", []), ("403", [("forbidden", "Bundle.entry[1]")]), ("201", [])],
    )
    assert (caller.count("Patient"), caller.sums()) == (2, ledger_of(routed=1))


def test_a_transaction_fails_whole_and_names_the_entries(doors: Doors) -> None:
    caller = with_scopes(doors, "system/ServiceRequest.c")
    condition = {"resourceType": "Condition", "subject": {"reference": "Patient/1"}, "code": {"text": "Dystonia"}}
    found = caller.post("", bundle(entry(condition), entry(referral("A-1")), put(patient(id="1"))))
    assert (found.status_code, rules(found.get_json(force=True))) == (
        403,
        [("forbidden", "Bundle.entry[0]"), ("forbidden", "Bundle.entry[2]")],
    )
    assert found.headers["WWW-Authenticate"] == lacking("system/Condition.c system/Patient.u")
    assert (caller.count("Patient"), caller.count("Condition"), caller.sums()) == (0, 0, ledger_of(refused=1))


@pytest.mark.parametrize("kind", ["batch", "collection"])
def test_a_referral_that_leads_to_a_forbidden_entry_is_refused_with_it(doors: Doors, kind: str) -> None:
    caller = with_scopes(doors, "system/ServiceRequest.c")
    about = entry(referral("A-1", subject={"reference": "urn:uuid:11111111-1111-4111-8111-111111111111"}))
    who = entry(patient(), "urn:uuid:11111111-1111-4111-8111-111111111111")
    sent = [about, who, entry(referral("A-2"))]
    if kind == "collection":
        sent = [{name: value for name, value in one.items() if name != "request"} for one in sent]
        sent[0]["fullUrl"] = "urn:uuid:21111111-1111-4111-8111-111111111111"
        sent[2]["fullUrl"] = "urn:uuid:31111111-1111-4111-8111-111111111111"
    found = answers(caller.post("", bundle(*sent, kind=kind)))
    forbidden = [("forbidden", "Bundle.entry[1]")]
    assert found == [("403", forbidden), ("403", forbidden), ("201", [])]
    assert caller.sums() == ledger_of(routed=1, refused=1)


def test_an_update_in_a_bundle_needs_the_scope_to_update(doors: Doors) -> None:
    whole, creates = with_scopes(doors, "system/*.cruds"), with_scopes(doors, "system/ServiceRequest.crs")
    whole.put("ServiceRequest/1", referral("A-1", id="1"))
    again = bundle(put(referral("A-1", id="1", note=[{"text": "More."}])), kind="batch")
    assert answers(creates.post("", again)) == [("403", [("forbidden", "Bundle.entry[0]")])]
    assert (whole.sums(), whole.read("ServiceRequest/1")["meta"]["versionId"]) == (ledger_of(routed=1), "1")


def test_what_is_not_stored_needs_no_scope(doors: Doors) -> None:
    caller = with_scopes(doors, "system/ServiceRequest.c")
    basic = {"resourceType": "Basic", "code": {"text": "anything"}}
    assert [status for status, _ in answers(caller.post("", bundle(entry(basic), entry(referral()))))] == ["200", "201"]


def test_a_replay_answers_no_entry_that_the_token_no_longer_allows(doors: Doors) -> None:
    sent = bundle(entry(referral("A-1")), entry(patient()), kind="batch")
    first = with_scopes(doors, "system/*.cruds").post("", sent, Idempotency_Key="k")
    again = with_scopes(doors, "system/ServiceRequest.c").post("", sent, Idempotency_Key="k")
    assert [[status for status, _ in answers(one)] for one in (first, again)] == [["201", "201"], ["200", "403"]]


def test_a_conditional_create_needs_no_more_than_a_create(doors: Doors) -> None:
    caller = with_scopes(doors, "system/ServiceRequest.c")
    statuses = [
        caller.create(referral("A-1"), If_None_Exist="identifier=urn:example:orders|A-1").status_code for _ in range(2)
    ]
    assert statuses == [201, 200]


@pytest.mark.parametrize("status", ["revoked", "entered-in-error"])
def test_a_cancel_needs_the_scope_to_update_whatever_the_door(doors: Doors, status: str) -> None:
    creates, updates = with_scopes(doors, "system/ServiceRequest.c"), with_scopes(doors, "system/ServiceRequest.cu")
    whole = with_scopes(doors, "system/*.cruds")
    identity = whole.create(referral("A-1")).get_json(force=True)["id"]
    cancel = referral("A-1", status=status)
    told = creates.create(cancel)
    assert (told.status_code, rules(told.get_json(force=True))) == (403, [("forbidden", "ServiceRequest")])
    in_batch = answers(creates.post("", bundle(entry(cancel), kind="batch")))
    assert in_batch == [("403", [("forbidden", "Bundle.entry[0].resource")])]
    loose = [{"resource": cancel, "fullUrl": "urn:uuid:31111111-1111-4111-8111-111111111111"}]
    assert [one for one, _ in answers(creates.post("", bundle(*loose, kind="collection")))] == ["403"]
    assert creates.post("", bundle(entry(cancel))).status_code == 403
    before = whole.task_of(identity)
    assert (before["status"], whole.sums()) == ("requested", ledger_of(routed=1))
    assert updates.create(cancel).status_code == 200
    assert whole.task_of(identity)["status"] == "cancelled"


FOUND = {"If_None_Exist": "identifier=urn:example:orders|A-1"}


@pytest.mark.parametrize("headers", [FOUND, {}, {"Idempotency_Key": "k"}])
@pytest.mark.parametrize("wanted", ["", "representation"])
def test_what_was_here_before_is_given_back_to_whoever_may_read_it(
    doors: Doors, headers: dict[str, str], wanted: str
) -> None:
    prefer = {"Prefer": f"return={wanted}"} if wanted else {}
    creates, reads = with_scopes(doors, "system/ServiceRequest.c"), with_scopes(doors, "system/ServiceRequest.cr")
    first = creates.create(referral("A-1"), **headers, **prefer)
    assert (first.status_code, first.get_json(force=True)["resourceType"]) == (201, "ServiceRequest")
    again = creates.create(referral("A-1"), **headers, **prefer)
    assert (again.status_code, again.data, again.headers["Location"]) == (200, b"", first.headers["Location"])
    assert reads.create(referral("A-1"), **headers, **prefer).data == first.data
    entries = [
        one.post("", bundle(entry(referral("A-1")), kind="batch"), **prefer).get_json(force=True)["entry"][0]
        for one in (creates, reads)
    ]
    assert ["resource" in one for one in entries] == [False, bool(wanted)]


@pytest.mark.parametrize(
    ("query", "scope"),
    [
        ("Task?_include=Task:focus", "ServiceRequest.r"),
        ("Task?_include=Task:patient", "Patient.r"),
        ("ServiceRequest?_include=ServiceRequest:subject", "Patient.r"),
        ("ServiceRequest?_revinclude=Task:focus", "Task.r"),
    ],
)
def test_what_a_search_brings_along_needs_the_scope_to_read_it(doors: Doors, query: str, scope: str) -> None:
    searches = "system/Task.s system/ServiceRequest.s"
    refused = with_scopes(doors, searches).get(query)
    assert (refused.status_code, refused.headers["WWW-Authenticate"]) == (403, lacking(f"system/{scope}"))
    assert with_scopes(doors, f"{searches} system/{scope}").get(query).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("GET", "Task/1", "system/Task.r"),
        ("PUT", "Patient/1", "system/Patient.u"),
        ("POST", "ServiceRequest/_search", "system/ServiceRequest.s"),
    ],
)
def test_a_token_without_the_scope_of_a_door_is_told_which_one_it_lacks(
    doors: Doors, method: str, path: str, scope: str
) -> None:
    found = with_scopes(doors, "system/ServiceRequest.c").http.open(f"/fhir/{path}", method=method)
    assert (found.status_code, found.headers["WWW-Authenticate"]) == (403, lacking(scope))


def test_a_door_that_no_scope_opens_names_none(doors: Doors) -> None:
    found = with_scopes(doors, "system/*.cruds").get("AuditEvent")
    assert (found.status_code, "WWW-Authenticate" in found.headers) == (403, False)


def test_an_included_queue_needs_no_scope(doors: Doors) -> None:
    assert with_scopes(doors, "system/Task.s").get("Task?_include=Task:owner").status_code == 200


@pytest.mark.parametrize("path", ["", "/_history", "/_history/1", "/$decision", "/$original"])
def test_reading_in_any_way_needs_the_scope_to_read(doors: Doors, path: str) -> None:
    identity = with_scopes(doors, "system/*.cruds").create(referral()).get_json(force=True)["id"]
    others = with_scopes(doors, "system/ServiceRequest.cus system/Task.cruds")
    assert others.get(f"ServiceRequest/{identity}{path}").status_code == 403
    assert with_scopes(doors, "system/ServiceRequest.r").get(f"ServiceRequest/{identity}{path}").status_code == 200
